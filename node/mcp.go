package node

import (
	"context"
	"fmt"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/mcpserver"
	"github.com/memd/memd/memory"
)

// mcpService is the node as the MCP door sees it: the same verbs as over HTTP.
type mcpService struct{ n *Node }

// MCP is this node's MCP door. agent and place are those of mcpserver.Config.
func (n *Node) MCP(agent, place string) *mcpserver.Server {
	return mcpserver.New(mcpserver.Config{
		Service: mcpService{n}, Tools: n.cfg.MCPTools, Version: n.cfg.Version, Agent: agent, Place: place, Log: n.log,
	})
}

// token reads a token that an agent handed back.
func token(field, s string) (*clock.Clock, error) {
	if s == "" {
		return nil, nil
	}
	c, err := clock.ParseToken(s)
	if err != nil {
		return nil, &memory.FieldError{Field: field, Problem: "is not a token: pass one as an answer gave it"}
	}
	return &c, nil
}

// write does for a changing tool what the HTTP door does before a changing verb.
func (s mcpService) write(ctx context.Context, o mcpserver.WriteOptions) (httpapi.WriteOptions, error) {
	s.n.Beat()
	out := httpapi.WriteOptions{Agent: o.Agent, Anonymous: o.Anonymous, IdempotencyKey: o.IdempotencyKey}
	after, err := token("after", o.After)
	if err != nil {
		return out, err
	}
	if out.Match, err = token("if_match", o.Match); err != nil {
		return out, err
	}
	return out, s.n.reach(ctx, after)
}

// read is the same for a reading tool.
func (s mcpService) read(ctx context.Context, o mcpserver.ReadOptions) (opt httpapi.ReadOptions, stale bool, err error) {
	if stale, err = s.n.Admit(ctx); err != nil {
		return opt, stale, err
	}
	opt.Conflicts = o.Conflicts
	opt.After, err = token("after", o.After)
	return opt, stale, err
}

func (s mcpService) Store(ctx context.Context, d memory.Draft, o mcpserver.WriteOptions) (mcpserver.Stored, error) {
	opt, err := s.write(ctx, o)
	if err != nil {
		return mcpserver.Stored{}, err
	}
	c, err := s.n.Create(ctx, d, opt)
	return mcpserver.Stored{
		ID: c.ID, Title: c.Title, Namespace: c.Namespace, Tier: c.Tier, AgentID: c.Agent,
		Existing: c.Existing, Acks: c.Acks, Token: c.Token.Token(),
	}, err
}

func (s mcpService) Update(ctx context.Context, id string, p memory.Patch, o mcpserver.WriteOptions) (mcpserver.Memory, error) {
	opt, err := s.write(ctx, o)
	if err != nil {
		return mcpserver.Memory{}, err
	}
	u, err := s.n.Update(ctx, id, p, opt)
	if err != nil {
		return mcpserver.Memory{}, err
	}
	return shownAs(u.Body)
}

func (s mcpService) Delete(ctx context.Context, id string, o mcpserver.WriteOptions) (mcpserver.Deleted, error) {
	opt, err := s.write(ctx, o)
	if err != nil {
		return mcpserver.Deleted{}, err
	}
	d, err := s.n.Delete(ctx, id, opt)
	return mcpserver.Deleted{ID: d.ID, Token: d.Token.Token()}, err
}

func (s mcpService) Get(ctx context.Context, id string, o mcpserver.ReadOptions) (out mcpserver.Full, err error) {
	opt, stale, err := s.read(ctx, o)
	if err != nil {
		return out, err
	}
	m, err := s.n.Get(ctx, id, opt)
	if err != nil {
		return out, err
	}
	out.Stale, out.Links = stale, shownLinks(m.Links)
	if out.Memory, err = shownAs(m.Body); err != nil {
		return out, err
	}
	for _, other := range m.Siblings {
		lost, err := shownAs(other.Body)
		if err != nil {
			return out, err
		}
		out.Siblings = append(out.Siblings, lost)
	}
	return out, nil
}

func (s mcpService) List(ctx context.Context, f memory.Filter, o mcpserver.ReadOptions) (mcpserver.Page, error) {
	opt, stale, err := s.read(ctx, o)
	if err != nil {
		return mcpserver.Page{}, err
	}
	rows, err := s.n.List(ctx, f, opt)
	if err != nil {
		return mcpserver.Page{}, err
	}
	out := mcpserver.Page{Stale: stale}
	for _, r := range rows {
		m, err := shownAs(r.Body)
		if err != nil {
			return out, err
		}
		out.Memories = append(out.Memories, m)
	}
	return out, nil
}

func (s mcpService) Recall(ctx context.Context, q mcpserver.Query, o mcpserver.ReadOptions) (mcpserver.Page, error) {
	return s.find(ctx, s.n.Recall, q, o)
}

func (s mcpService) Search(ctx context.Context, q mcpserver.Query, o mcpserver.ReadOptions) (mcpserver.Page, error) {
	page, err := s.find(ctx, s.n.Search, q, o)
	page.Mode = "" // all words or none: nothing was weighed
	return page, err
}

type finding func(context.Context, httpapi.Query, httpapi.ReadOptions) (httpapi.Found, error)

func (s mcpService) find(ctx context.Context, verb finding, q mcpserver.Query, o mcpserver.ReadOptions) (mcpserver.Page, error) {
	opt, stale, err := s.read(ctx, o)
	if err != nil {
		return mcpserver.Page{}, err
	}
	found, err := verb(ctx, httpapi.Query{
		Text: q.Text, AsAgent: q.AsAgent, Budget: q.Budget, Filter: memory.Filter{
			Namespace: q.Namespace, Tier: q.Tier, Tag: q.Tag, AgentID: q.AgentID, Since: q.Since, Until: q.Until, Limit: q.Limit,
		},
	}, opt)
	if err != nil {
		return mcpserver.Page{}, err
	}
	out := mcpserver.Page{Mode: found.Mode, TokensUsed: found.Tokens, Dropped: found.Dropped, Stale: stale, Behind: found.Behind}
	for _, h := range found.Hits {
		m, err := shownAs(h.Body)
		if err != nil {
			return out, err
		}
		m.Score = h.Score
		out.Memories = append(out.Memories, m)
	}
	return out, nil
}

func (s mcpService) SessionStart(ctx context.Context, namespace string, limit int, o mcpserver.ReadOptions) (mcpserver.Page, error) {
	opt, stale, err := s.read(ctx, o)
	if err != nil {
		return mcpserver.Page{}, err
	}
	res, err := s.n.SessionStart(ctx, namespace, limit, opt)
	if err != nil {
		return mcpserver.Page{}, err
	}
	out := mcpserver.Page{Stale: stale}
	for _, r := range res.Memories {
		m, err := shownAs(r.Body)
		if err != nil {
			return out, err
		}
		out.Memories = append(out.Memories, m)
	}
	for _, st := range res.Standards {
		out.Standards = append(out.Standards, mcpserver.Standard{Namespace: st.Namespace, ID: st.ID, Title: st.Title, Content: st.Content})
	}
	return out, nil
}

func (s mcpService) Stats(ctx context.Context, o mcpserver.ReadOptions) (memory.Raw, error) {
	opt, _, err := s.read(ctx, o)
	if err != nil {
		return nil, err
	}
	st, err := s.n.Stats(ctx, opt)
	if err != nil {
		return nil, err
	}
	return memory.AppendJSON(nil, st)
}

func (s mcpService) Capabilities(ctx context.Context, schema int) (memory.Raw, error) {
	return s.n.Capabilities(ctx, schema)
}

func (s mcpService) Status(ctx context.Context) (memory.Raw, error) {
	st, err := s.n.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	return memory.AppendJSON(nil, st)
}

// shownAs reads a memory from its rendered form. What a node renders can be read, so an
// error is its own fault, whatever kind it would be on the way in.
func shownAs(body []byte) (mcpserver.Memory, error) {
	m, err := mcpserver.ParseMemory(body)
	if err != nil {
		return m, fmt.Errorf("read a rendered memory: %s", err.Error())
	}
	return m, nil
}
