package client

import (
	"context"
	"net/http"
)

// Diagnosis is what one node finds wrong with itself and with the ways to its peers.
type Diagnosis struct {
	Node     string    `json:"node"`
	Version  string    `json:"version"`
	Findings []Finding `json:"findings"`
}

// Finding is one thing that is wrong, in words for people.
type Finding struct {
	Severity string `json:"severity"` // "error" (something does not work) or "warning"
	Check    string `json:"check"`    // what was looked at: "clock", "certificate", "udp", …
	About    string `json:"about"`    // the peer that it is about; "" = the node itself
	Problem  string `json:"problem"`
	Remedy   string `json:"remedy"` // what to do about it
}

// Doctor asks the node that answers to look for what is wrong. It takes some seconds.
func (c *Client) Doctor(ctx context.Context) (*Diagnosis, error) {
	return call[Diagnosis](ctx, c, request{method: http.MethodGet, path: "/api/v1/doctor"})
}
