package httpapi

import (
	"context"
	"strconv"

	"github.com/memd/memd/memory"
)

func (f *fake) Namespaces(ctx context.Context, opt ReadOptions) ([]NamespaceCount, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = opt
	return []NamespaceCount{{"a", 2}}, f.enter(ctx)
}

func (f *fake) standard(ns string) Standard {
	s := Standard{Namespace: ns}
	if ns == "none" {
		return s
	}
	s.ID, s.Title, s.Content, s.Priority = "m1", "T", "c", 5
	if ns != "*" {
		s.Parent, s.Governance = "p", memory.Raw(`{"write":"any"}`)
	}
	return s
}

func (f *fake) Standard(ctx context.Context, ns string, opt ReadOptions) (Standard, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id, f.read = ns, opt
	return f.standard(ns), f.enter(ctx)
}

func (f *fake) StandardChain(ctx context.Context, ns string, opt ReadOptions) (StandardChain, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id, f.read = ns, opt
	return StandardChain{Namespace: ns, Chain: []string{"*", ns}, Standards: []Standard{f.standard("*"), f.standard(ns)}}, f.enter(ctx)
}

func (f *fake) SetStandard(ctx context.Context, d memory.StandardDraft, opt WriteOptions) (StandardSet, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return StandardSet{}, err
	}
	f.standardDraft = d
	if err := f.wanted(opt); err != nil {
		return StandardSet{}, err
	}
	out := StandardSet{Namespace: d.Namespace, ID: "m1", Dot: testDot, Token: testToken, Acks: 2}
	if d.Parent != nil {
		out.Parent = *d.Parent
	}
	if d.Governance != nil {
		out.Governance = *d.Governance
	}
	return out, nil
}

func (f *fake) ClearStandard(ctx context.Context, ns string, opt WriteOptions) (StandardCleared, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return StandardCleared{}, err
	}
	f.id = ns
	if err := f.wanted(opt); err != nil {
		return StandardCleared{}, err
	}
	return StandardCleared{Cleared: ns != "none", Dot: testDot, Token: testToken, Acks: 2}, nil
}

func (f *fake) RegisterAgent(ctx context.Context, a memory.Agent, opt WriteOptions) (Registered, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return Registered{}, err
	}
	if err := f.wanted(opt); err != nil {
		return Registered{}, err
	}
	return Registered{Dot: testDot, Token: testToken, Acks: 2}, nil
}

func (f *fake) Agents(ctx context.Context, opt ReadOptions) ([]memory.Agent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = opt
	return []memory.Agent{{ID: "ai:a", Type: "ai:x", Capabilities: []string{"code"}, RegisteredAt: testNow, LastSeenAt: testNow}}, f.enter(ctx)
}

func (f *fake) Capabilities(ctx context.Context, schema int) (memory.Raw, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return memory.Raw(`{"schema_version":"` + strconv.Itoa(schema) + `"}`), f.enter(ctx)
}

func (f *fake) SessionStart(ctx context.Context, ns string, limit int, opt ReadOptions) (Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id, f.read, f.limit = ns, opt, limit
	s := Session{Memories: []Rendered{f.rendered()}}
	switch ns {
	case "a":
		s.Standards = []Standard{f.standard("a")}
	case "a/b":
		s.Standards = []Standard{f.standard("*"), f.standard("a/b")}
	}
	return s, f.enter(ctx)
}
