package node

import (
	"context"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/mcpserver"
	"github.com/memd/memd/memory"
)

func (s mcpService) Link(ctx context.Context, l mcpserver.Link, o mcpserver.WriteOptions) (mcpserver.Linked, error) {
	opt, err := s.write(ctx, o)
	if err != nil {
		return mcpserver.Linked{}, err
	}
	out, err := s.n.Link(ctx, memory.Link{SourceID: l.SourceID, TargetID: l.TargetID, Relation: l.Relation}, opt)
	if err != nil {
		return mcpserver.Linked{}, err
	}
	return mcpserver.Linked{Link: shownLink(&out.Link), Token: out.Token.Token()}, nil
}

func (s mcpService) Links(ctx context.Context, id string, o mcpserver.ReadOptions) ([]mcpserver.Link, error) {
	opt, _, err := s.read(ctx, o)
	if err != nil {
		return nil, err
	}
	links, err := s.n.Links(ctx, id, opt)
	return shownLinks(links), err
}

func shownLink(l *memory.Link) mcpserver.Link {
	return mcpserver.Link{SourceID: l.SourceID, TargetID: l.TargetID, Relation: l.Relation, CreatedAt: mcpserver.FormatTime(&l.CreatedAt)}
}

func shownLinks(links []memory.Link) []mcpserver.Link {
	out := make([]mcpserver.Link, len(links))
	for i := range links {
		out[i] = shownLink(&links[i])
	}
	return out
}

func (s mcpService) Promote(ctx context.Context, id string, o mcpserver.WriteOptions) (mcpserver.Memory, error) {
	opt, err := s.write(ctx, o)
	if err != nil {
		return mcpserver.Memory{}, err
	}
	u, err := s.n.Promote(ctx, id, opt)
	if err != nil {
		return mcpserver.Memory{}, err
	}
	return shownAs(u.Body)
}

func (s mcpService) PromoteTo(ctx context.Context, id, ns string, o mcpserver.WriteOptions) (mcpserver.Ascended, error) {
	opt, err := s.write(ctx, o)
	if err != nil {
		return mcpserver.Ascended{}, err
	}
	a, err := s.n.PromoteTo(ctx, id, ns, opt)
	return mcpserver.Ascended{SourceID: a.SourceID, CloneID: a.CloneID, Token: a.Token.Token()}, err
}

func (s mcpService) Forget(ctx context.Context, f mcpserver.Forget, o mcpserver.WriteOptions) (mcpserver.Forgotten, error) {
	opt, err := s.write(ctx, o)
	if err != nil {
		return mcpserver.Forgotten{}, err
	}
	out, err := s.n.Forget(ctx, httpapi.Selection{Namespace: f.Namespace, Pattern: f.Pattern, Tier: f.Tier}, opt)
	return mcpserver.Forgotten{Deleted: out.Count, Token: out.Token.Token()}, err
}

func (s mcpService) Consolidate(ctx context.Context, c mcpserver.Consolidation, o mcpserver.WriteOptions) (mcpserver.Consolidated, error) {
	opt, err := s.write(ctx, o)
	if err != nil {
		return mcpserver.Consolidated{}, err
	}
	d := memory.Draft{Title: &c.Title, Content: &c.Summary}
	if c.Namespace != "" {
		d.Namespace = &c.Namespace
	}
	if c.Tier != "" {
		d.Tier = &c.Tier
	}
	out, err := s.n.Consolidate(ctx, httpapi.Consolidation{IDs: c.IDs, Draft: d}, opt)
	return mcpserver.Consolidated{ID: out.ID, Consolidated: out.Consolidated, Token: out.Token.Token()}, err
}
