package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
)

// PathMCP is where agents speak MCP.
const PathMCP = "/mcp"

// mcp hands the request to the MCP door. What it answers, errors included, has the forms
// of that protocol. A verb that needs the gate goes through it there.
func (c *call) mcp() error {
	r := c.r.WithContext(c.context())
	if r.Method == http.MethodPost {
		body, err := readAll(nil, c.r.Body)
		if err != nil {
			return err
		}
		if err := checkBatch(body); err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	c.door.MCP.ServeHTTP(c, r)
	return nil
}

// maxBatch bounds the calls of one request, which the older revisions of the protocol
// allow: it is counted as one.
const maxBatch = 50

func checkBatch(body []byte) error {
	if body = bytes.TrimLeft(body, " \t\r\n"); len(body) == 0 || body[0] != '[' {
		return nil
	}
	// The lenient decoder, since the one of the MCP door is lenient, too.
	var batch []json.RawMessage
	if err := json.Unmarshal(body, &batch); err != nil {
		return invalid("body", "is no JSON array")
	}
	if len(batch) > maxBatch {
		return invalid("body", "must have at most "+strconv.Itoa(maxBatch)+" calls")
	}
	return nil
}
