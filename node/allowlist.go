package node

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// allowlist says which namespaces each peer may have. It is read from a file of lines
//
//	name namespace...
//
// where a namespace stands for all that is below it too, * for all, and # begins a comment.
// Who is not in it may have nothing but what belongs to everybody: members and agents.
type allowlist struct {
	path string

	mu    sync.Mutex
	raw   []byte
	peers map[string]allowed
	// hidden is what a peer was found to be denied; see storage.SinceRequest.Hidden. It
	// spares pages a look at each such row, and nothing is lost with it.
	// Invariant: found with this very reading of the file. Test: TestAllowlist widens it.
	hidden map[string]clock.Clock
}

// allowed are the namespaces of one peer. It is a storage.Guard.
type allowed struct {
	all        bool
	namespaces []string
}

func (a allowed) Namespace(ns string) bool {
	return a.all || slices.ContainsFunc(a.namespaces, func(own string) bool {
		return ns == own || strings.HasPrefix(ns, own) && ns[len(own)] == '/'
	})
}

// Agent is for writes, which no peer makes through a guard.
func (allowed) Agent(string) bool { return false }

func openAllowlist(path string) (*allowlist, error) {
	if path == "" {
		return nil, nil
	}
	a := &allowlist{path: path}
	_, err := a.reload()
	return a, err
}

// reload reads the file again if it has changed. After an error what was read before stays.
func (a *allowlist) reload() (changed bool, err error) {
	raw, err := os.ReadFile(a.path)
	if err != nil {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.peers != nil && bytes.Equal(raw, a.raw) {
		return false, nil
	}
	peers, err := parseAllowlist(raw)
	if err != nil {
		return false, fmt.Errorf("%s: %w", a.path, err)
	}
	a.raw, a.peers, a.hidden = raw, peers, map[string]clock.Clock{}
	return true, nil
}

func parseAllowlist(raw []byte) (map[string]allowed, error) {
	peers := map[string]allowed{}
	n := 0
	for line := range strings.Lines(string(raw)) {
		n++
		text, _, _ := strings.Cut(line, "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if err := memory.ValidateNodeName(words[0]); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, twice := peers[words[0]]; twice {
			return nil, fmt.Errorf("line %d: %s is there twice", n, words[0])
		}
		var to allowed
		for _, ns := range words[1:] {
			if ns == "*" {
				to.all = true
				continue
			}
			if err := memory.ValidateNamespace(ns); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			to.namespaces = append(to.namespaces, ns)
		}
		peers[words[0]] = to
	}
	return peers, nil
}

// of returns what narrows a peer, nil if nothing does. It is safe on nil.
func (a *allowlist) of(peer string) storage.Guard {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if to := a.peers[peer]; !to.all {
		return to
	}
	return nil
}

// since builds a peer's page, narrowed to what the peer may have.
func (a *allowlist) since(store *storage.Store, peer string, r storage.SinceRequest) (*storage.Page, error) {
	if a == nil {
		return store.Since(r)
	}
	a.mu.Lock()
	to, found := a.peers[peer], a.hidden // of one reading
	r.Hidden = found[peer]
	a.mu.Unlock()
	if to.all {
		return store.Since(r)
	}
	r.Guard = to
	page, err := store.Since(r)
	if err != nil || page.NotModified {
		return page, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(found) > maxHiddenPeers {
		clear(found)
	}
	all := found[peer].Clone() // the peer's cursor or reservation may leave out what is known
	all.Union(page.Lasting)
	found[peer] = all // of the reading that it was found with, whichever is the present one
	if page.Withheld.Intervals() > maxWithheld {
		page.Withheld = clock.Clock{} // not more than a frame holds; the peer takes it for lag
	}
	return page, nil
}

const (
	maxHiddenPeers = 1024               // names whose denials are remembered
	maxWithheld    = clock.MaxIntervals // what a peer reads
)

// hides tells whether a row must not be pushed to a peer. What belongs where other records
// do is left to the peer's pull, which can look at them.
func (a *allowlist) hides(peer string, raw []byte) bool {
	g := a.of(peer)
	if g == nil {
		return false
	}
	rec, err := memory.DecodeStored(raw)
	if err != nil {
		return true
	}
	for i := range rec.Versions {
		v := &rec.Versions[i]
		if v.Deleted {
			continue
		}
		to, err := memory.BelongingOf(rec.Key, v.Value)
		if err != nil || len(to.Memories) > 0 || !to.Everybody && len(to.Namespaces) == 0 {
			return true
		}
		for _, ns := range to.Namespaces {
			if !g.Namespace(ns) {
				return true
			}
		}
	}
	return false
}
