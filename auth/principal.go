package auth

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/memd/memd/memory"
)

// Everything stands in a list of namespaces or agents for all of them.
const Everything = "*"

// Principal is somebody who showed a key. Its methods are safe on nil, which is the node
// itself: nobody asked for a key, or no request is behind what is done.
type Principal struct {
	ID      string // of the key; "" for the one of --api-key
	Name    string
	Scopes  Scopes
	Expires time.Time // zero = never

	// Namespaces that may be read and written: each with all that is below it. Everything
	// is all of them, an empty list none.
	Namespaces []string
	// Agents are the ids under which the principal may write; one that ends in * stands for
	// all that begin so. An empty list is none but Own.
	Agents []string

	// Strong is set for a key that cannot be guessed however often somebody tries.
	Strong bool
}

// May tells whether the principal may do what needs the scope.
func (p *Principal) May(s Scope) bool {
	switch s {
	case Undeclared:
		return false
	case Public, Any:
		return true
	case Peer: // gives and takes memories of every namespace
		if p != nil && p.Scopes&(1<<Peer) == 0 && !p.Everywhere() {
			return false
		}
	}
	return p == nil || p.Scopes&(1<<s|1<<Admin) != 0
}

// Namespace tells whether memories of ns may be seen and changed.
func (p *Principal) Namespace(ns string) bool {
	if p == nil {
		return true
	}
	for _, own := range p.Namespaces {
		if own == Everything || ns == own || len(ns) > len(own) && ns[len(own)] == '/' && ns[:len(own)] == own {
			return true
		}
	}
	return false
}

// Everywhere tells whether there is no namespace that the principal is kept from.
func (p *Principal) Everywhere() bool {
	return p == nil || slices.Contains(p.Namespaces, Everything)
}

// Agent tells whether the principal may write under the id.
func (p *Principal) Agent(id string) bool {
	if p == nil || id == p.Own() {
		return true
	}
	for _, own := range p.Agents {
		if prefix, open := strings.CutSuffix(own, "*"); id == own || open && strings.HasPrefix(id, prefix) {
			return true
		}
	}
	return false
}

// Limited tells whether there is a namespace or an agent that the principal is kept from.
func (p *Principal) Limited() bool {
	return p != nil && !(p.Everywhere() && slices.Contains(p.Agents, Everything))
}

// Own is the id under which the principal writes if it does not say another: the first of
// its list that is one, else one made of its name. "" for a principal that may claim any:
// who that is must be said.
func (p *Principal) Own() string {
	if p == nil || slices.Contains(p.Agents, Everything) {
		return ""
	}
	for _, id := range p.Agents {
		if !strings.HasSuffix(id, "*") {
			return id
		}
	}
	return "key:" + p.Name
}

// Nameless is the id under which a key of a file that may claim any agent writes if nothing
// says which: always the same one. "" for every other principal; the one of --api-key may be
// shown by everybody, so that the content is what tells its writers apart.
func (p *Principal) Nameless() string {
	if p == nil || p.ID == "" || p.Own() != "" {
		return ""
	}
	return "key:" + p.Name
}

// all has every right.
func all(name string) *Principal {
	return &Principal{Name: name, Scopes: 1 << Admin, Namespaces: []string{Everything}, Agents: []string{Everything}}
}

// check makes sure that what a file says can be meant.
func (p *Principal) check() error {
	if err := memory.ValidateNodeName(p.Name); err != nil {
		return err
	}
	for _, ns := range p.Namespaces {
		if ns != Everything {
			if err := memory.ValidateNamespace(ns); err != nil {
				return err
			}
		}
	}
	for _, id := range p.Agents {
		if prefix := strings.TrimSuffix(id, "*"); prefix != "" {
			if err := memory.ValidateAgentID(prefix); err != nil {
				return err
			}
		}
	}
	return nil
}

type contextKey struct{}

// With returns a context of what the principal asked for. nil is the node itself.
func With(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From tells on whose behalf something is done. known is false if nobody has said: where
// keys are needed, that is a mistake and not a right.
func From(ctx context.Context) (p *Principal, known bool) {
	p, known = ctx.Value(contextKey{}).(*Principal)
	return p, known
}
