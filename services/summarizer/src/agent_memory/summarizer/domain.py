"""What is written about nodes of the table of contents. Pure."""
