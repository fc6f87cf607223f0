package main

import (
	"context"
	"errors"
	"time"

	"github.com/memd/memd/client"
	"github.com/memd/memd/mcpserver"
)

// remote is a mesh as the MCP door sees it: the verbs of whatever node of it answers.
type remote struct{ c *client.Client }

// told is a node's answer in the words of the MCP door: a node that lacks an endpoint is
// of an older version, and must not be taken for one that lacks a memory.
func told(err error) error {
	if e, ok := errors.AsType[*client.Error](err); ok && (e.Code == "NO_ROUTE" || e.Code == "METHOD_NOT_ALLOWED") {
		return mcpserver.ErrNotHere
	}
	return err
}

// write waits for what the call has to come after, and hands the rest on.
func (r remote) write(ctx context.Context, o mcpserver.WriteOptions) (client.WriteOptions, error) {
	opt := client.WriteOptions{IdempotencyKey: o.IdempotencyKey, Agent: o.Agent, Match: o.Match}
	if o.After == "" {
		return opt, nil
	}
	_, err := r.c.Stats(ctx, client.ReadOptions{After: o.After})
	return opt, told(err)
}

func (r remote) Store(ctx context.Context, d mcpserver.Draft, o mcpserver.WriteOptions) (mcpserver.Stored, error) {
	// A client's zero value means the default. What an agent says with one is looked at here,
	// by the rules of the node.
	if _, err := d.Memory(time.Now(), o.Agent); err != nil {
		return mcpserver.Stored{}, err
	}
	opt, err := r.write(ctx, o)
	if err != nil {
		return mcpserver.Stored{}, err
	}
	out, err := r.c.Store(ctx, client.Draft{
		Title: or(d.Title), Content: or(d.Content), Tier: or(d.Tier), Namespace: or(d.Namespace), Tags: d.Tags,
		Priority: int(or(d.Priority)), Confidence: d.Confidence, Source: or(d.Source), TTLSecs: or(d.TTLSecs), ExpiresAt: d.ExpiresAt,
		AgentID: or(d.AgentID), Scope: or(d.Scope), OnConflict: or(d.OnConflict), Metadata: d.Metadata,
	}, opt)
	if err != nil {
		return mcpserver.Stored{}, told(err)
	}
	return mcpserver.Stored{
		ID: out.ID, Title: out.Title, Namespace: out.Namespace, Tier: out.Tier, AgentID: out.AgentID,
		Existing: out.Existing, Acks: out.Acks, Token: out.Token,
	}, nil
}

func or[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (r remote) Update(ctx context.Context, id string, p mcpserver.Patch, o mcpserver.WriteOptions) (mcpserver.Memory, error) {
	opt, err := r.write(ctx, o)
	if err != nil {
		return mcpserver.Memory{}, err
	}
	patch := client.Patch{
		Title: p.Title, Content: p.Content, Tier: p.Tier, Namespace: p.Namespace, Tags: p.Tags, Confidence: p.Confidence,
		ExpiresAt: p.ExpiresAt, ClearExpiry: p.ClearExpiry, Metadata: p.Metadata,
	}
	if p.Priority != nil {
		patch.Priority = new(int(*p.Priority))
	}
	out, err := r.c.Update(ctx, id, patch, opt)
	if err != nil {
		return mcpserver.Memory{}, told(err)
	}
	return shown(&out.Memory), nil
}

func (r remote) Delete(ctx context.Context, id string, o mcpserver.WriteOptions) (mcpserver.Deleted, error) {
	opt, err := r.write(ctx, o)
	if err != nil {
		return mcpserver.Deleted{}, err
	}
	out, err := r.c.Delete(ctx, id, opt)
	if err != nil {
		return mcpserver.Deleted{}, told(err)
	}
	return mcpserver.Deleted{ID: out.ID, Token: out.Token}, nil
}

func (r remote) Get(ctx context.Context, id string, o mcpserver.ReadOptions) (mcpserver.Full, error) {
	m, err := r.c.Get(ctx, id, client.ReadOptions{After: o.After, Conflicts: o.Conflicts})
	if err != nil {
		return mcpserver.Full{}, told(err)
	}
	out := mcpserver.Full{Memory: shown(&m.Memory), Links: shownLinks(m.Links), Stale: m.Stale}
	for i := range m.Siblings {
		out.Siblings = append(out.Siblings, shown(&m.Siblings[i]))
	}
	return out, nil
}

func (r remote) List(ctx context.Context, f mcpserver.Filter, o mcpserver.ReadOptions) (mcpserver.Page, error) {
	rows, err := r.c.List(ctx, f, client.ReadOptions{After: o.After})
	if err != nil {
		return mcpserver.Page{}, told(err)
	}
	return page(rows), nil
}

func (r remote) Recall(ctx context.Context, q mcpserver.Query, o mcpserver.ReadOptions) (mcpserver.Page, error) {
	return found(r.c.Recall(ctx, query(q), client.ReadOptions{After: o.After}))
}

func (r remote) Search(ctx context.Context, q mcpserver.Query, o mcpserver.ReadOptions) (mcpserver.Page, error) {
	return found(r.c.Search(ctx, query(q), client.ReadOptions{After: o.After}))
}

func query(q mcpserver.Query) client.Query {
	return client.Query{Text: q.Text, AsAgent: q.AsAgent, Budget: q.Budget, Filter: client.Filter{
		Namespace: q.Namespace, Tier: q.Tier, Tag: q.Tag, AgentID: q.AgentID, Since: q.Since, Until: q.Until, Limit: q.Limit,
	}}
}

func found(f *client.Recalled, err error) (mcpserver.Page, error) {
	if err != nil {
		return mcpserver.Page{}, told(err)
	}
	out := mcpserver.Page{Mode: f.Mode, TokensUsed: f.TokensUsed, Dropped: f.Dropped, Stale: f.Stale, Behind: f.Behind}
	for i := range f.Hits {
		m := shown(&f.Hits[i].Memory)
		m.Score = f.Hits[i].Score
		out.Memories = append(out.Memories, m)
	}
	return out, nil
}

func page(rows []client.Memory) mcpserver.Page {
	out := mcpserver.Page{Memories: make([]mcpserver.Memory, len(rows))}
	for i := range rows {
		out.Memories[i] = shown(&rows[i])
		out.Stale = out.Stale || rows[i].Stale
	}
	return out
}

// shown is a memory in the words of the MCP door.
func shown(m *client.Memory) mcpserver.Memory {
	out := mcpserver.Memory{
		ID: m.ID, Title: m.Title, Content: m.Content, Namespace: m.Namespace, Tier: m.Tier, Tags: m.Tags, Priority: m.Priority,
		Confidence: m.Confidence, Source: m.Source, AccessCount: m.AccessCount, CreatedAt: mcpserver.FormatTime(&m.CreatedAt),
		UpdatedAt: mcpserver.FormatTime(&m.UpdatedAt), LastAccessedAt: mcpserver.FormatTime(m.LastAccessedAt),
		ExpiresAt: mcpserver.FormatTime(m.ExpiresAt), Metadata: m.Metadata, Conflicts: m.Conflicts, Token: m.Token,
	}
	out.Settle()
	return out
}

func (r remote) SessionStart(ctx context.Context, namespace string, limit int, o mcpserver.ReadOptions) (mcpserver.Page, error) {
	res, err := r.c.SessionStart(ctx, namespace, limit, client.ReadOptions{After: o.After})
	if err != nil {
		return mcpserver.Page{}, told(err)
	}
	out := page(res.Memories)
	for _, st := range res.Standards {
		out.Standards = append(out.Standards, mcpserver.Standard{Namespace: st.Namespace, ID: st.ID, Title: st.Title, Content: st.Content})
	}
	return out, nil
}

func (r remote) Stats(ctx context.Context, o mcpserver.ReadOptions) (mcpserver.Raw, error) {
	out, err := r.c.Stats(ctx, client.ReadOptions{After: o.After})
	if err != nil {
		return nil, told(err)
	}
	return mcpserver.JSON(out)
}

func (r remote) Status(ctx context.Context) (mcpserver.Raw, error) {
	out, err := r.c.Cluster(ctx)
	if err != nil {
		return nil, told(err)
	}
	return mcpserver.JSON(out)
}

func (r remote) Capabilities(ctx context.Context, schema int) (mcpserver.Raw, error) {
	out, err := r.c.Capabilities(ctx, schema)
	return out, told(err)
}
