package client

import (
	"context"
	"net/http"
)

// Revisions are the versions of a memory that lost a conflict and were superseded since.
type Revisions struct {
	ID   string     `json:"id"` // in full
	Lost []Revision `json:"revisions"`
}

// Revision is a version that no reader is shown any more.
type Revision struct {
	Dot       string  `json:"dot"`
	WrittenAt string  `json:"written_at"`
	Agent     string  `json:"agent_id"`
	Held      bool    `json:"held"` // the node that answered has its content
	Memory    *Memory `json:"memory,omitzero"`
}

// Revisions lists them, the latest first. Errors as Get.
func (c *Client) Revisions(ctx context.Context, id string, opt ReadOptions) (*Revisions, error) {
	return call[Revisions](ctx, c, request{method: http.MethodGet, path: pathMemory(id) + "/revisions", query: opt.values()})
}
