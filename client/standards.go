package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/memd/memd/memory"
)

// Standard is what a namespace's standard says; ID is "" if it has none.
type Standard struct {
	Namespace  string     `json:"namespace"`
	ID         string     `json:"standard_id"` // of the memory
	Title      string     `json:"title,omitzero"`
	Content    string     `json:"content,omitzero"`
	Priority   int        `json:"priority,omitzero"`
	Parent     string     `json:"parent,omitzero"`     // a namespace that stands above it, beside those of its path
	Governance memory.Raw `json:"governance,omitzero"` // an object; kept and shown, not enforced
}

// StandardChain are the namespaces that stand above one, the most general first and it
// itself last, and the standards that they have.
type StandardChain struct {
	Namespace string     `json:"namespace"`
	Chain     []string   `json:"chain"`
	Standards []Standard `json:"standards"`
}

// StandardDraft sets a namespace's standard. What is not given stays as it is.
type StandardDraft struct {
	Namespace string `json:"namespace"`
	// ID of the memory, or a unique prefix; "" = the one that is the standard already, or
	// one that is made for it.
	ID         string     `json:"id,omitzero"`
	Parent     *string    `json:"parent,omitzero"`     // "" = none
	Governance memory.Raw `json:"governance,omitzero"` // an object; "null" = none
}

// StandardSet is the answer to SetStandard.
type StandardSet struct {
	Namespace  string     `json:"namespace"`
	ID         string     `json:"standard_id"`
	Parent     string     `json:"parent,omitzero"`
	Governance memory.Raw `json:"governance,omitzero"`
	Written
}

// StandardCleared is the answer to ClearStandard. Nothing was written unless it is Cleared.
type StandardCleared struct {
	Cleared   bool   `json:"cleared"`
	Namespace string `json:"namespace"`
	Written
}

const pathNamespaces = "/api/v1/namespaces"

// Namespaces counts the memories of each namespace that has some.
func (c *Client) Namespaces(ctx context.Context, opt ReadOptions) ([]NamespaceCount, error) {
	out, err := call[struct {
		Namespaces []NamespaceCount `json:"namespaces"`
	}](ctx, c, request{method: http.MethodGet, path: pathNamespaces, query: opt.values()})
	if err != nil {
		return nil, err
	}
	return out.Namespaces, nil
}

// Standard returns the standard of a namespace, without what it inherits.
func (c *Client) Standard(ctx context.Context, namespace string, opt ReadOptions) (*Standard, error) {
	q := opt.values()
	q.Set("namespace", namespace)
	out, err := call[Standard](ctx, c, request{method: http.MethodGet, path: pathNamespaces, query: q})
	if err != nil {
		return nil, err
	}
	out.Governance = orNil(out.Governance)
	return out, nil
}

// orNil is a value, nil for null.
func orNil(v memory.Raw) memory.Raw {
	if string(v) == "null" {
		return nil
	}
	return v
}

// StandardChain returns all standards that apply in a namespace.
func (c *Client) StandardChain(ctx context.Context, namespace string, opt ReadOptions) (*StandardChain, error) {
	q := opt.values()
	q.Set("namespace", namespace)
	q.Set("inherit", "true")
	out, err := call[StandardChain](ctx, c, request{method: http.MethodGet, path: pathNamespaces, query: q})
	if err != nil {
		return nil, err
	}
	for i := range out.Standards {
		out.Standards[i].Governance = orNil(out.Standards[i].Governance)
	}
	return out, nil
}

// SetStandard sets the standard of a namespace. Errors beside those of every write:
// memory.ErrNotFound for a memory that is not there.
func (c *Client) SetStandard(ctx context.Context, d StandardDraft, opt WriteOptions) (*StandardSet, error) {
	r, err := c.write(http.MethodPost, pathNamespaces, d, opt)
	if err != nil {
		return nil, err
	}
	out, err := call[StandardSet](ctx, c, r)
	if err != nil {
		return nil, err
	}
	out.Governance = orNil(out.Governance)
	return out, nil
}

// ClearStandard takes the standard of a namespace away; its memory stays.
func (c *Client) ClearStandard(ctx context.Context, namespace string, opt WriteOptions) (*StandardCleared, error) {
	r, err := c.write(http.MethodDelete, pathNamespaces+"/"+url.PathEscape(namespace)+"/standard", nil, opt)
	if err != nil {
		return nil, err
	}
	return call[StandardCleared](ctx, c, r)
}
