package mcpserver

import (
	"context"
	"fmt"
	"strings"

	"github.com/memd/memd/memory"
)

// optionNames are the arguments that are not members of a memory.
var optionNames = []string{"id", "idempotency_key", "after", "if_match"}

func (s *Server) store(ctx context.Context, r *request) (answer, error) {
	opt := s.writes(r)
	if r.err != nil {
		return answer{}, r.err
	}
	d, err := memory.DecodeDraft(r.without(optionNames...))
	if err != nil {
		return answer{}, err
	}
	if d.AgentID == nil {
		d.AgentID = saysAgent(d.Metadata)
	}
	if d.Source == nil {
		d.Source = new("claude") // contract 1.1: the default of this door
	}
	if d.OnConflict == nil {
		agent := opt.Agent
		if d.AgentID != nil {
			agent = *d.AgentID
		}
		d.OnConflict = new(conflictPolicy(agent))
	}
	out, err := s.service.Store(ctx, d, opt)
	if err != nil {
		return answer{}, err
	}
	what := "Stored"
	if out.Existing {
		what = "Was there already, or merged into what was there:"
	}
	text := fmt.Sprintf("%s %s %s in %s (tier %s, by %s; %s).\ntoken: %s",
		what, plain(out.ID), quote(out.Title), out.Namespace, out.Tier, out.AgentID, durable(out.Acks), out.Token)
	return answer{text, out}, nil
}

func durable(acks int) string {
	if acks == 1 {
		return "durable on 1 node"
	}
	return fmt.Sprintf("durable on %d nodes", acks)
}

// saysAgent is the agent_id of the metadata, nil if it names none.
func saysAgent(metadata memory.Raw) *string {
	var m struct {
		AgentID *string `json:"agent_id"`
	}
	if len(metadata) == 0 || memory.ParseJSON(metadata, &m) != nil {
		return nil
	}
	return m.AgentID
}

func (s *Server) recall(ctx context.Context, r *request) (answer, error) {
	q, opt := r.query("context", 10, 50), r.readOptions()
	if r.err != nil {
		return answer{}, r.err
	}
	page, err := s.service.Recall(ctx, q, opt)
	if err != nil {
		return answer{}, err
	}
	page.clip()
	none := "No memory matches. Try other words, a shorter context, or no namespace."
	if page.Dropped > 0 {
		none = "No memory that matches fits into the budget: give more budget_tokens"
	}
	head := found(len(page.Memories), none)
	if page.Mode != "" && len(page.Memories) > 0 {
		head += ", ranked by " + page.Mode
	}
	if page.Dropped > 0 && len(page.Memories) > 0 {
		head += fmt.Sprintf("; %d more did not fit into the budget", page.Dropped)
	}
	return answer{s.fence(head, &page), recalled{
		Memories: page.rows(), Count: len(page.Memories), Mode: page.Mode, TokensUsed: page.TokensUsed, Dropped: page.Dropped,
		Token: page.Token, Stale: page.Stale || page.Behind,
	}}, nil
}

type recalled struct {
	Memories   []oneOfMany `json:"memories"`
	Count      int         `json:"count"`
	Mode       string      `json:"mode,omitzero"`
	TokensUsed int         `json:"tokens_used"`
	Dropped    int         `json:"memories_dropped,omitzero"`
	Token      string      `json:"token,omitzero"`
	Stale      bool        `json:"stale,omitzero"`
}

func (s *Server) search(ctx context.Context, r *request) (answer, error) {
	q, opt := r.query("query", 20, 200), r.readOptions()
	if r.err != nil {
		return answer{}, r.err
	}
	page, err := s.service.Search(ctx, q, opt)
	if err != nil {
		return answer{}, err
	}
	page.clip()
	head := found(len(page.Memories), "No memory contains all these words. Try fewer, or memory_recall, which takes any of them.")
	return answer{s.fence(head, &page), struct {
		Results []oneOfMany `json:"results"`
		Count   int         `json:"count"`
		Token   string      `json:"token,omitzero"`
		Stale   bool        `json:"stale,omitzero"`
	}{page.rows(), len(page.Memories), page.Token, page.Stale || page.Behind}}, nil
}

func (s *Server) get(ctx context.Context, r *request) (answer, error) {
	id, opt := r.id("id"), r.readOptions()
	opt.Conflicts = r.flag("conflicts")
	if r.err != nil {
		return answer{}, r.err
	}
	m, err := s.service.Get(ctx, id, opt)
	if err != nil {
		return answer{}, err
	}
	if m.Links == nil {
		m.Links = []Link{}
	}
	page := Page{Memories: append([]Memory{m.Memory}, m.Siblings...), Stale: m.Stale}
	head := "1 memory"
	if len(m.Siblings) > 0 {
		head += fmt.Sprintf(" and %d contents written at the same time that lost; settle it with memory_update", len(m.Siblings))
	} else if m.Conflicts > 0 {
		head += fmt.Sprintf("; %d other contents were written at the same time (conflicts=true shows them)", m.Conflicts)
	}
	var text strings.Builder
	text.WriteString(s.fence(head, &page))
	for _, l := range m.Links {
		text.WriteString("\nlink: " + l.line())
	}
	return answer{text.String(), m}, nil
}

func (s *Server) list(ctx context.Context, r *request) (answer, error) {
	f, opt := r.filter(20, 200), r.readOptions()
	if r.err != nil {
		return answer{}, r.err
	}
	page, err := s.service.List(ctx, f, opt)
	if err != nil {
		return answer{}, err
	}
	page.clip()
	head := found(len(page.Memories), "No memory passes these filters.")
	if f.Limit > 0 && len(page.Memories) == f.Limit {
		head += fmt.Sprintf("; there may be more: pass offset %d", f.Offset+f.Limit)
	}
	return answer{s.index(head, &page), listed{Memories: page.rows(), Count: len(page.Memories), Stale: page.Stale}}, nil
}

type listed struct {
	Memories []oneOfMany `json:"memories"`
	Count    int         `json:"count"`
	Mode     string      `json:"mode,omitzero"`
	Stale    bool        `json:"stale,omitzero"`

	Standards []Standard `json:"standards,omitzero"`
}

func (s *Server) update(ctx context.Context, r *request) (answer, error) {
	id, opt := r.id("id"), s.writes(r)
	if r.err != nil {
		return answer{}, r.err
	}
	p, err := memory.DecodePatch(r.without(optionNames...))
	if err != nil {
		return answer{}, err
	}
	if p.Empty() {
		return answer{}, invalid("arguments", "name nothing to change")
	}
	m, err := s.service.Update(ctx, id, p, opt)
	if err != nil {
		return answer{}, err
	}
	page := Page{Memories: []Memory{m}}
	return answer{s.fence("Updated", &page), struct {
		Updated bool   `json:"updated"`
		Memory  Memory `json:"memory"`
	}{true, m}}, nil
}

func (s *Server) delete(ctx context.Context, r *request) (answer, error) {
	id, opt := r.id("id"), s.writes(r)
	if r.err != nil {
		return answer{}, r.err
	}
	d, err := s.service.Delete(ctx, id, opt)
	if err != nil {
		return answer{}, err
	}
	return answer{"Deleted " + plain(d.ID) + ".\ntoken: " + d.Token, struct {
		Deleted bool   `json:"deleted"`
		ID      string `json:"id"`
		Token   string `json:"token"`
	}{true, d.ID, d.Token}}, nil
}

func (s *Server) link(ctx context.Context, r *request) (answer, error) {
	l := Link{SourceID: r.id("source_id"), TargetID: r.id("target_id"), Relation: r.text("relation")}
	opt := s.writes(r)
	if l.Relation == "" {
		l.Relation = "related_to"
	}
	switch l.Relation {
	case "related_to", "supersedes", "contradicts", "derived_from":
	default:
		r.fail(invalid("relation", "must be related_to, supersedes, contradicts or derived_from"))
	}
	if r.err != nil {
		return answer{}, r.err
	}
	out, err := s.service.Link(ctx, l, opt)
	if err != nil {
		return answer{}, err
	}
	text := "Linked: " + out.line() + "."
	if out.Token != "" {
		text += "\ntoken: " + out.Token
	}
	return answer{text, struct {
		Linked bool `json:"linked"`
		Link
		Token string `json:"token,omitzero"`
	}{true, out.Link, out.Token}}, nil
}

// found is the first line of an answer with memories.
func found(n int, none string) string {
	switch n {
	case 0:
		return none
	case 1:
		return "1 memory"
	}
	return fmt.Sprintf("%d memories", n)
}

// quote brings stored text into one line that it cannot leave.
func quote(s string) string {
	return string(memory.AppendString(nil, strings.ToValidUTF8(s, "\uFFFD")))
}
