"""An MCP server over the SDK: desktops as tools and resources, over stdio or streamable HTTP.

It is a client of a `desktop-sandbox serve`, as any other program, and keeps no state but connections.
"""
