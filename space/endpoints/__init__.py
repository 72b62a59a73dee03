"""Named API endpoints and MCP tools."""
