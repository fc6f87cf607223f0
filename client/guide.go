package client

import (
	"context"
	"net/http"
	"strconv"

	"github.com/memd/memd/memory"
)

// Session is what to know at the start of a session.
type Session struct {
	ID        string     // a handle for the caller's own use: no node keeps anything of it
	Memories  []Memory   // the most important ones, without those of Standards
	Standards []Standard // that apply in the namespace, the most general first
}

// SessionStart returns the most important memories of a namespace, "" = of all, and the
// standards that apply there. A limit of 0 is the node's default.
func (c *Client) SessionStart(ctx context.Context, namespace string, limit int, opt ReadOptions) (*Session, error) {
	in := struct {
		Namespace string `json:"namespace,omitzero"`
		Limit     int    `json:"limit,omitzero"`
	}{namespace, limit}
	body, err := memory.AppendJSON(nil, in)
	if err != nil {
		return nil, err
	}
	res, err := c.do(ctx, request{method: http.MethodPost, path: "/api/v1/session/start", query: opt.values(), body: body})
	if err != nil {
		return nil, err
	}
	out, err := decode[struct {
		ID        string     `json:"session_id"`
		Memories  []Memory   `json:"memories"`
		Standard  *Standard  `json:"standard"` // one; several are in Standards
		Standards []Standard `json:"standards"`
	}](res)
	if err != nil {
		return nil, err
	}
	s := &Session{ID: out.ID, Memories: out.Memories, Standards: out.Standards}
	if out.Standard != nil {
		s.Standards = []Standard{*out.Standard}
	}
	for i := range s.Standards {
		s.Standards[i].Governance = orNil(s.Standards[i].Governance)
	}
	if stale(res) {
		for i := range s.Memories {
			s.Memories[i].Stale = true
		}
	}
	return s, nil
}

// Capabilities says what the node that answers can do, by one of the schemas 1 to 3; 0 =
// the node's default.
func (c *Client) Capabilities(ctx context.Context, schema int) (memory.Raw, error) {
	r := request{method: http.MethodGet, path: "/api/v1/capabilities"}
	if schema != 0 {
		r.header = http.Header{"Accept-Capabilities": {"v" + strconv.Itoa(schema)}}
	}
	out, err := call[memory.Raw](ctx, c, r)
	if err != nil {
		return nil, err
	}
	return *out, nil
}
