package client

import (
	"context"
	"net/http"
	"time"
)

// Registration is what an agent says of itself.
type Registration struct {
	AgentID      string   `json:"agent_id"`
	AgentType    string   `json:"agent_type"` // "human", "system" or "ai:<name>"
	Capabilities []string `json:"capabilities,omitzero"`
}

// Agent is a registered agent.
type Agent struct {
	AgentID      string    `json:"agent_id"`
	AgentType    string    `json:"agent_type"`
	Capabilities []string  `json:"capabilities"`
	RegisteredAt time.Time `json:"registered_at"`
	LastSeenAt   time.Time `json:"last_seen_at"` // of its last registration
}

// Registered is the answer to RegisterAgent.
type Registered struct {
	AgentID      string   `json:"agent_id"`
	AgentType    string   `json:"agent_type"`
	Capabilities []string `json:"capabilities"`
	Written
}

const pathAgents = "/api/v1/agents"

// RegisterAgent registers an agent, or what it says of itself now.
func (c *Client) RegisterAgent(ctx context.Context, a Registration, opt WriteOptions) (*Registered, error) {
	r, err := c.write(http.MethodPost, pathAgents, a, opt)
	if err != nil {
		return nil, err
	}
	return call[Registered](ctx, c, r)
}

// Agents lists the registered agents by id.
func (c *Client) Agents(ctx context.Context, opt ReadOptions) ([]Agent, error) {
	out, err := call[struct {
		Agents []Agent `json:"agents"`
	}](ctx, c, request{method: http.MethodGet, path: pathAgents, query: opt.values()})
	if err != nil {
		return nil, err
	}
	return out.Agents, nil
}
