package main

import (
	"context"

	"github.com/memd/memd/client"
	"github.com/memd/memd/mcpserver"
)

func (r remote) Link(ctx context.Context, l mcpserver.Link, o mcpserver.WriteOptions) (mcpserver.Linked, error) {
	opt, err := r.write(ctx, o)
	if err != nil {
		return mcpserver.Linked{}, err
	}
	out, err := r.c.Link(ctx, client.Link{SourceID: l.SourceID, TargetID: l.TargetID, Relation: l.Relation}, opt)
	if err != nil {
		return mcpserver.Linked{}, told(err)
	}
	return mcpserver.Linked{Link: shownLink(&out.Link), Token: out.Token}, nil
}

func shownLink(l *client.Link) mcpserver.Link {
	return mcpserver.Link{SourceID: l.SourceID, TargetID: l.TargetID, Relation: l.Relation, CreatedAt: mcpserver.FormatTime(&l.CreatedAt)}
}

func shownLinks(links []client.Link) []mcpserver.Link {
	out := make([]mcpserver.Link, len(links))
	for i := range links {
		out[i] = shownLink(&links[i])
	}
	return out
}

func (r remote) Links(ctx context.Context, id string, o mcpserver.ReadOptions) ([]mcpserver.Link, error) {
	links, err := r.c.Links(ctx, id, client.ReadOptions{After: o.After})
	return shownLinks(links), told(err)
}

func (r remote) Promote(ctx context.Context, id string, o mcpserver.WriteOptions) (mcpserver.Memory, error) {
	opt, err := r.write(ctx, o)
	if err != nil {
		return mcpserver.Memory{}, err
	}
	out, err := r.c.Promote(ctx, id, opt)
	if err != nil {
		return mcpserver.Memory{}, told(err)
	}
	return mcpserver.Memory{ID: out.ID, Tier: out.Tier, Token: out.Token}, nil
}

func (r remote) PromoteTo(ctx context.Context, id, ns string, o mcpserver.WriteOptions) (mcpserver.Ascended, error) {
	opt, err := r.write(ctx, o)
	if err != nil {
		return mcpserver.Ascended{}, err
	}
	out, err := r.c.PromoteTo(ctx, id, ns, opt)
	if err != nil {
		return mcpserver.Ascended{}, told(err)
	}
	return mcpserver.Ascended{SourceID: out.SourceID, CloneID: out.CloneID, Token: out.Token}, nil
}

func (r remote) Forget(ctx context.Context, f mcpserver.Forget, o mcpserver.WriteOptions) (mcpserver.Forgotten, error) {
	opt, err := r.write(ctx, o)
	if err != nil {
		return mcpserver.Forgotten{}, err
	}
	out, err := r.c.Forget(ctx, client.Selection{Namespace: f.Namespace, Pattern: f.Pattern, Tier: f.Tier}, opt)
	if err != nil {
		return mcpserver.Forgotten{}, told(err)
	}
	return mcpserver.Forgotten{Deleted: out.Deleted, Token: out.Token}, nil
}

func (r remote) Consolidate(ctx context.Context, c mcpserver.Consolidation, o mcpserver.WriteOptions) (mcpserver.Consolidated, error) {
	opt, err := r.write(ctx, o)
	if err != nil {
		return mcpserver.Consolidated{}, err
	}
	out, err := r.c.Consolidate(ctx, client.Consolidation{IDs: c.IDs, Title: c.Title, Summary: c.Summary, Namespace: c.Namespace, Tier: c.Tier}, opt)
	if err != nil {
		return mcpserver.Consolidated{}, told(err)
	}
	return mcpserver.Consolidated{ID: out.ID, Consolidated: out.Consolidated, Token: out.Token}, nil
}
