package httpapi

import "net/http"

// PathMCP is where agents speak MCP.
const PathMCP = "/mcp"

// mcp hands the request to the MCP door. What it answers, errors included, has the forms
// of that protocol. A verb that needs the gate goes through it there.
func (c *call) mcp() error {
	r := c.r.WithContext(c.context())
	r.Body = http.MaxBytesReader(c.w, c.r.Body, maxBody)
	c.door.MCP.ServeHTTP(c, r)
	return nil
}
