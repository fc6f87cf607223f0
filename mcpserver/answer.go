package mcpserver

import (
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/memd/memd/memory"
)

// answer is what a tool says: the same twice, for programs and for models.
type answer struct {
	text string
	data any
}

func (a answer) result() (*mcp.CallToolResult, error) {
	data, err := memory.AppendJSON(nil, a.data)
	if err != nil {
		return nil, err
	}
	return &mcp.CallToolResult{
		Content:           []mcp.Content{&mcp.TextContent{Text: a.text}},
		StructuredContent: memory.Raw(data),
	}, nil
}
