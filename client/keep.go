package client

import (
	"context"
	"net/http"

	"github.com/memd/memd/memory"
)

// Promoted is the answer to Promote.
type Promoted struct {
	ID   string `json:"id"` // in full
	Tier string `json:"tier"`
	Written
}

// Ascended is the answer to PromoteTo.
type Ascended struct {
	SourceID    string `json:"source_id"` // in full
	CloneID     string `json:"clone_id"`
	ToNamespace string `json:"to_namespace"`
	Existing    bool   `json:"existing"` // the copy was there
	Written
}

// Selection is what to forget: the memories with these ids, or those that pass all filters
// that are set. An empty one is a *memory.FieldError.
type Selection struct {
	IDs       []string `json:"ids,omitzero"` // at most memory.MaxBulk, each in full
	Namespace string   `json:"namespace,omitzero"`
	Pattern   string   `json:"pattern,omitzero"` // words that the memory has, all of them
	Tier      string   `json:"tier,omitzero"`
}

// Forgotten is the answer to Forget. Its Dot is empty.
type Forgotten struct {
	Deleted  int `json:"deleted"`
	Archived int `json:"archived"` // of them: put aside first
	Written
}

// Consolidation makes one memory of several.
type Consolidation struct {
	IDs       []string `json:"ids"` // 2 to 100
	Title     string   `json:"title"`
	Summary   string   `json:"summary"`
	Namespace string   `json:"namespace,omitzero"`
	Tier      string   `json:"tier,omitzero"` // "" = long
	AgentID   string   `json:"agent_id,omitzero"`
}

// Consolidated is the answer to Consolidate.
type Consolidated struct {
	ID           string `json:"id"`
	Consolidated int    `json:"consolidated"` // memories that it stands for, now deleted
	Existing     bool   `json:"existing"`
	Written
}

// Collected is the answer to Collect. Its Dot is empty.
type Collected struct {
	ExpiredDeleted int `json:"expired_deleted"`
	Written
}

// Promote makes a memory a lasting one: tier long, no expiry. Errors as Update.
func (c *Client) Promote(ctx context.Context, id string, opt WriteOptions) (*Promoted, error) {
	r, err := c.write(http.MethodPost, pathMemory(id)+"/promote", nil, opt)
	if err != nil {
		return nil, err
	}
	return call[Promoted](ctx, c, r)
}

// PromoteTo copies a memory into a namespace above its own, and links the copy to it as
// derived from it. Errors as Update, and *memory.ConflictError if the title is taken there.
func (c *Client) PromoteTo(ctx context.Context, id, namespace string, opt WriteOptions) (*Ascended, error) {
	r, err := c.write(http.MethodPost, pathMemory(id)+"/promote", map[string]string{"to_namespace": namespace}, opt)
	if err != nil {
		return nil, err
	}
	return call[Ascended](ctx, c, r)
}

// Forget deletes what the selection means. It works in parts: after an error some may be
// gone, and the same call again goes on with the rest.
func (c *Client) Forget(ctx context.Context, s Selection, opt WriteOptions) (*Forgotten, error) {
	r, err := c.write(http.MethodPost, "/api/v1/forget", s, opt)
	if err != nil {
		return nil, err
	}
	return call[Forgotten](ctx, c, r)
}

// WouldForget counts what Forget would delete.
func (c *Client) WouldForget(ctx context.Context, s Selection, opt WriteOptions) (int, error) {
	r, err := c.write(http.MethodPost, "/api/v1/forget", s, opt)
	if err != nil {
		return 0, err
	}
	r.query.Set("dry_run", "1")
	out, err := call[struct {
		WouldDelete *int `json:"would_delete"`
	}](ctx, c, r)
	switch {
	case err != nil:
		return 0, err
	case out.WouldDelete == nil:
		return 0, errAnswer
	}
	return *out.WouldDelete, nil
}

// Consolidate puts one memory in the place of several, which are deleted. Errors as
// Store, and memory.ErrNotFound, *memory.AmbiguousError.
func (c *Client) Consolidate(ctx context.Context, s Consolidation, opt WriteOptions) (*Consolidated, error) {
	r, err := c.write(http.MethodPost, "/api/v1/consolidate", s, opt)
	if err != nil {
		return nil, err
	}
	return call[Consolidated](ctx, c, r)
}

// Collect sweeps what has expired, as nodes do by themselves from time to time.
func (c *Client) Collect(ctx context.Context, opt WriteOptions) (*Collected, error) {
	r, err := c.write(http.MethodPost, "/api/v1/gc", nil, opt)
	if err != nil {
		return nil, err
	}
	return call[Collected](ctx, c, r)
}

// ErrNotArchived is that of package memory: an ErrNotFound.
var ErrNotArchived = memory.ErrNotArchived
