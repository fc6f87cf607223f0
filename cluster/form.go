package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Formation is what a node does about its cluster id.
type Formation int

const (
	// Wait for more members, or for the one who mints.
	Wait Formation = iota
	// Mint a new id: this node founds the cluster.
	Mint
	// Adopt the id that another member has.
	Adopt
	// Formed already; nothing to do.
	Formed
	// Split means that members of two clusters are in sight and this node belongs
	// to none. It must not guess; a human has to take one of them out of reach.
	Split
)

func (f Formation) String() string {
	return [...]string{"wait", "mint", "adopt", "formed", "split"}[f]
}

// Decision is the result of Form. ID is set for Adopt and Formed. Reason is a
// phrase for logs and for the readiness page.
type Decision struct {
	Formation
	ID     ID
	Reason string
}

// Form decides, from what gossip shows, how a node comes by its cluster id. It
// is pure: ask again whenever the members change.
//
// A node without seeds that expects nobody else founds a cluster at once. Any
// other waits until expect names are alive (at least two if it has seeds: a
// node told to join somebody must never found a cluster alone), and then the
// smallest name founds it. An id in sight is always adopted first, from the
// living if one of them has it, else from a member that was known and is not
// alive now.
//
// With more nodes than expect, two halves that have not seen each other yet
// could both found one, so expect should be the number of nodes that the
// operator starts; the result is then the Split of whoever meets both.
func Form(self Member, seen []Member, expect int, hasJoin bool) Decision {
	if !self.Cluster.IsZero() {
		return Decision{Formation: Formed, ID: self.Cluster}
	}
	names := []string{self.Name}
	living, gone := map[ID]string{}, map[ID]string{}
	for _, m := range seen {
		if m.Name == self.Name {
			continue
		}
		if m.State == StateAlive {
			names = append(names, m.Name)
		}
		if !m.Cluster.IsZero() {
			if m.State == StateAlive {
				living[m.Cluster] = m.Name
			} else {
				gone[m.Cluster] = m.Name
			}
		}
	}
	for _, ids := range []map[ID]string{living, gone} {
		switch len(ids) {
		case 0:
			continue
		case 1:
			for id, name := range ids {
				return Decision{Formation: Adopt, ID: id, Reason: "the cluster of " + name}
			}
		default:
			return Decision{Formation: Split, Reason: splitReason(ids)}
		}
	}
	need := max(expect, 1)
	if hasJoin {
		need = max(need, 2)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < need {
		return Decision{Reason: fmt.Sprintf("%d of %d members in sight", len(names), need)}
	}
	if names[0] != self.Name {
		return Decision{Reason: fmt.Sprintf("%s founds the cluster", names[0])}
	}
	return Decision{Formation: Mint, Reason: fmt.Sprintf("%d of %d members in sight", len(names), need)}
}

// splitReason names one member of each cluster, in a stable order.
func splitReason(ids map[ID]string) string {
	type pair struct{ id, name string }
	var all []pair
	for id, name := range ids {
		all = append(all, pair{id.String(), name})
	}
	slices.SortFunc(all, func(a, b pair) int { return cmp.Compare(a.id, b.id) })
	var s strings.Builder
	s.WriteString("members of different clusters are in sight:")
	for i, p := range all {
		if i > 0 {
			s.WriteString(",")
		}
		fmt.Fprintf(&s, " %s (of %s)", p.id, p.name)
	}
	return s.String()
}
