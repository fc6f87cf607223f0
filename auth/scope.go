package auth

import (
	"fmt"
	"strings"
)

// Scope is what a verb needs and a principal may have.
type Scope uint8

// Scopes. The zero value is that of a verb for which nobody has said what it needs:
// no principal has it, so that a forgotten declaration refuses and does not let in.
const (
	Undeclared Scope = iota
	Public           // needs no key: health
	Any              // a key, whatever it may do
	Read             // read memories and how the node is
	Write            // change memories
	Peer             // replicate: what nodes ask of one another, every namespace of it
	Admin            // everything, and what operators need; Peer only with all namespaces
)

var scopeNames = map[Scope]string{Public: "public", Any: "any", Read: "read", Write: "write", Peer: "peer", Admin: "admin"}

func (s Scope) String() string {
	if name, ok := scopeNames[s]; ok {
		return name
	}
	return "undeclared"
}

// granted are the scopes that a principal can be given, in the order in which they are shown.
var granted = []Scope{Read, Write, Peer, Admin}

// Scopes is a set of granted scopes.
type Scopes uint8

// ParseScopes reads names: read, write, peer, admin.
func ParseScopes(names []string) (Scopes, error) {
	var out Scopes
next:
	for _, name := range names {
		for _, s := range granted {
			if name == s.String() {
				out |= 1 << s
				continue next
			}
		}
		return 0, fmt.Errorf("scope %.20q: want read, write, peer or admin", name)
	}
	return out, nil
}

// Names are the names that ParseScopes reads.
func (s Scopes) Names() []string {
	out := []string{}
	for _, g := range granted {
		if s&(1<<g) != 0 {
			out = append(out, g.String())
		}
	}
	return out
}

func (s Scopes) String() string { return strings.Join(s.Names(), ",") }
