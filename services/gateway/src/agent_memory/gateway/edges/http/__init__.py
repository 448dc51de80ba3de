"""REST: requests to commands and queries, answers as JSON bytes."""
