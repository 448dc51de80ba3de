"""HTTP, gRPC and MCP edge: requests to commands, reads from views."""
