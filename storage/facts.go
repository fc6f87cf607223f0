package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
)

// facts are what the derived indexes know of one record: a pure function of its siblings
// and of the cluster id, so they can be taken out again and checked.
type facts struct {
	sum       viewSum
	deleted   bool // there are siblings and none is live
	conflicts int
	memory    bool // the view is a live memory: the rest is set

	ns, title, tier string // ns and title in index form
	tags            []string
	priority        int
	updated         time.Time
	expires         time.Time
	derived         bool // the id is the one derived from ns and title

	link     *memory.Link // the view is a live link
	archived bool         // the view is a live archive record: ns and updated are set
}

// factsOf reads the facts of rec. A live memory that this version cannot read is in no
// index; local writes refuse one and foreign ones are quarantined before they get here.
func factsOf(rec memory.Record, cluster memory.ClusterID, m mutant.Set) (facts, error) {
	if len(rec.Versions) == 0 {
		return facts{}, nil
	}
	return factsOfView(rec, rec.ViewWith(m), cluster)
}

// factsOfView is factsOf where the view is known.
func factsOfView(rec memory.Record, view memory.View, cluster memory.ClusterID) (facts, error) {
	f := facts{sum: sumOf(rec)}
	f.deleted, f.conflicts = !view.Live, view.Conflicts
	if !view.Live {
		return f, nil
	}
	switch rec.Key.Kind() {
	case memory.KindMemory:
		err := f.ofMemory(rec.Key, view, cluster)
		return f, err
	case memory.KindLink:
		l, err := memory.DecodeLink(rec.Key, view.Winner.Value)
		if err == nil {
			f.link = &l
		}
		return f, err
	case memory.KindArchive:
		a, m, err := decodeArchived(rec.Key, view.Winner.Value)
		if err == nil {
			f.archived, f.ns, f.updated = true, indexText(m.Namespace), a.ArchivedAt
		}
		return f, err
	default:
		return f, nil
	}
}

// indexed tells that the facts of a live record of the kind come from its document.
func indexed(k memory.Kind) bool {
	return k == memory.KindMemory || k == memory.KindLink || k == memory.KindArchive
}

func (f *facts) ofMemory(key memory.Key, view memory.View, cluster memory.ClusterID) error {
	doc, err := memory.DecodeOutline(key, view.Winner.Value)
	if err != nil {
		return err
	}
	f.memory = true
	f.ns, f.title, f.tier = indexText(doc.Namespace), indexText(memory.TitleKey(doc.Title)), doc.Tier
	f.priority, f.updated, f.expires = doc.Priority, doc.UpdatedAt, doc.ExpiresAt
	f.derived = key == memory.NewKey(memory.KindMemory, memory.DerivedID(cluster, doc.Namespace, memory.TitleKey(doc.Title), 0))
	for _, t := range doc.Tags {
		if t = indexText(t); !slices.Contains(f.tags, t) {
			f.tags = append(f.tags, t)
		}
	}
	return nil
}

// maxIndexText is far above what doors accept; only rows of other versions can exceed it.
const maxIndexText = 4096

// indexText is s as a part of an index key, where a NUL ends it. What no door of this
// version lets in is represented by its hash; \x01 begins no text that one does.
func indexText(s string) string {
	if len(s) <= maxIndexText && strings.IndexByte(s, 0) < 0 && !strings.HasPrefix(s, "\x01") {
		return s
	}
	h := sha256.Sum256([]byte(s))
	return "\x01" + hex.EncodeToString(h[:16])
}
