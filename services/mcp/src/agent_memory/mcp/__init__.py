"""MCP gateway: tools, resources and prompts over the HTTP API. A process of its own, beside an agent or shared by many."""
