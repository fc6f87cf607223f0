package recall

import (
	"strings"

	"github.com/memd/memd/memory"
)

// Chain is a namespace and its ancestors, itself first: where a memory may lie that holds
// for it, too. It is empty for "".
func Chain(ns string) []string {
	if ns == "" {
		return nil
	}
	out := []string{ns}
	for {
		i := strings.LastIndexByte(ns, '/')
		if i < 0 {
			return out
		}
		ns = ns[:i]
		out = append(out, ns)
	}
}

// ancestor is what lies so many levels above a namespace; the top is its own ancestor.
func ancestor(ns string, levels int) string {
	for ; levels > 0; levels-- {
		i := strings.LastIndexByte(ns, '/')
		if i < 0 {
			break
		}
		ns = ns[:i]
	}
	return ns
}

// scopeLevels is how far up from the namespace of whoever asks a scope reaches (contract
// 1.3): everything in and below that ancestor.
var scopeLevels = map[string]int{"team": 1, "unit": 2, "org": 3}

// Visible tells whether somebody in the namespace as may see a memory, by its scope:
// collective is everybody's, private its namespace's alone. "" sees all.
func Visible(m *memory.Memory, as string) bool { return VisibleIn(m.Namespace, m.Scope(), as) }

// VisibleIn is Visible of a memory that has a scope in a namespace.
func VisibleIn(namespace, scope, as string) bool {
	if as == "" || scope == "collective" {
		return true
	}
	levels, wide := scopeLevels[scope]
	if !wide {
		return namespace == as
	}
	root := ancestor(as, levels)
	return namespace == root || strings.HasPrefix(namespace, root+"/")
}
