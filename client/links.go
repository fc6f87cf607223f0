package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Link is a directed relation between two memories.
type Link struct {
	SourceID  string    `json:"source_id"`
	TargetID  string    `json:"target_id"`
	Relation  string    `json:"relation,omitzero"` // "" = related_to
	CreatedAt time.Time `json:"created_at,omitzero"`
}

// Linked is the answer to Link: the link with its ids in full.
type Linked struct {
	Link
	Existing bool `json:"existing"` // it was there
	Written
}

// Unlinked is the answer to Unlink. Its Dot is empty.
type Unlinked struct {
	Deleted bool `json:"deleted"` // there was one at least
	Written
}

const pathLinks = "/api/v1/links"

// Link relates two memories, each given by its id or a unique prefix of it. A link that is
// there stays as it is. Errors as Store, and memory.ErrNotFound, *memory.AmbiguousError.
func (c *Client) Link(ctx context.Context, l Link, opt WriteOptions) (*Linked, error) {
	r, err := c.write(http.MethodPost, pathLinks, l, opt)
	if err != nil {
		return nil, err
	}
	return call[Linked](ctx, c, r)
}

// Unlink removes all relations from the source to the target.
func (c *Client) Unlink(ctx context.Context, source, target string, opt WriteOptions) (*Unlinked, error) {
	r, err := c.write(http.MethodDelete, pathLinks, Link{SourceID: source, TargetID: target}, opt)
	if err != nil {
		return nil, err
	}
	return call[Unlinked](ctx, c, r)
}

// Links lists the links of a memory, in both directions. A memory that is not there has
// none.
func (c *Client) Links(ctx context.Context, id string, opt ReadOptions) ([]Link, error) {
	out, err := call[struct {
		Links []Link `json:"links"`
	}](ctx, c, request{method: http.MethodGet, path: pathLinks + "/" + url.PathEscape(id), query: opt.values()})
	if err != nil {
		return nil, err
	}
	return out.Links, nil
}
