package storage_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

// past is a record in a data file with a history: what it superseded, of which one version
// lost a conflict and has its body kept.
type past struct {
	t          *testing.T
	rows, revs *bolt.Bucket
	place      []byte // of its row
	rec        memory.Record
	dots       []clock.Dot // superseded and without a body, ascending
	body       memory.Version
}

// sealed is a value as the store writes it: nobody notices by the checksum.
func sealed(key, value []byte) []byte {
	sum := sha256.Sum256(slices.Concat(value, key))
	return slices.Concat(sum[:16], value)
}

func openPast(t *testing.T, tx *bolt.Tx, k memory.Key) *past {
	p := &past{t: t, rows: tx.Bucket([]byte("rows")), revs: tx.Bucket([]byte("revs"))}
	place, row := p.rows.Cursor().Last()
	rec, err := memory.DecodeRecord(slices.Clone(row[16:]))
	if err != nil || rec.Key != k {
		t.Fatalf("the last row is of %s: %v", rec.Key, err)
	}
	p.place, p.rec = slices.Clone(place), rec
	_, stored := p.revs.Cursor().First()
	old, err := memory.DecodeStored(slices.Clone(stored[16:]))
	if err != nil || len(p.rec.Lost) != 1 || len(old.Versions) != 1 {
		t.Fatalf("%d lost, revision %+v: %v", len(p.rec.Lost), old, err)
	}
	p.body = old.Versions[0]
	for o, iv := range p.rec.Context.Ranges() {
		for n := iv.Lo; n <= iv.Hi; n++ {
			if d := (clock.Dot{Origin: o, Counter: n}); d != p.body.Dot {
				p.dots = append(p.dots, d)
			}
		}
	}
	return p
}

// rewrite puts the row down again.
func (p *past) rewrite() {
	if err := p.rows.Put(p.place, sealed(p.place, p.rec.Append(nil))); err != nil {
		p.t.Fatal(err)
	}
}

// keep puts down the body of a version.
func (p *past) keep(d clock.Dot, stamp clock.Stamp) {
	k := binary.BigEndian.AppendUint64([]byte(p.rec.Key), uint64(d.Origin))
	k = binary.BigEndian.AppendUint64(k, d.Counter)
	v := memory.Version{Dot: d, Stamp: stamp, Agent: p.body.Agent, Value: p.body.Value, Content: p.body.Content}
	body := memory.Record{Key: p.rec.Key, Versions: []memory.Version{v}}
	if err := p.revs.Put(k, sealed(k, body.Append(nil))); err != nil {
		p.t.Fatal(err)
	}
}

// What a record says of its past is checked against what it is now, though every
// checksum is right.
func TestVerifyFindsAnImpossiblePast(t *testing.T) {
	for name, c := range map[string]struct {
		change        func(p *past)
		rule, problem string // "" = nothing is wrong with it
	}{
		"as it was": {change: func(p *past) { p.rewrite(); p.keep(p.body.Dot, p.body.Stamp) }},
		"as many revisions as are kept": {change: func(p *past) {
			for i := range 7 {
				p.keep(p.dots[i], p.body.Stamp)
			}
		}},
		"one revision more": {func(p *past) {
			for i := range 8 {
				p.keep(p.dots[i], p.body.Stamp)
			}
		}, "caps", "more than 8 revisions"},
		"a revision as late as its successor": {func(p *past) {
			p.keep(p.body.Dot, p.rec.MaxStamp())
		}, "stamp", "no sibling has a later stamp"},
		"a revision later than its successor": {func(p *past) {
			p.keep(p.dots[0], p.rec.MaxStamp()+1)
		}, "stamp", "no sibling has a later stamp"},
		"a loser as late as its successor": {func(p *past) {
			p.rec.Lost[0].Stamp = p.rec.MaxStamp()
			p.rewrite()
		}, "stamp", "no sibling has a later stamp"},
		"a revision of what is not superseded": {func(p *past) {
			p.keep(p.rec.Versions[0].Dot, p.body.Stamp)
		}, "revision", "not superseded"},
		"a revision under another's key": {func(p *past) {
			k, v := p.revs.Cursor().First()
			other := slices.Clone(k)
			other[len(other)-1]++
			if err := p.revs.Put(other, slices.Clone(v)); err != nil {
				p.t.Fatal(err)
			}
		}, "revision", "checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, k := t.TempDir(), key("k")
			var ra, rb []storage.StagedRow
			a, b := storagetest.Open(t, storagetest.Dir(dir), recorded(&ra)), storagetest.Open(t, recorded(&rb))
			put(t, a, k, doc("ns", "t", "from a"))
			put(t, b, k, doc("ns", "t", "from b"))
			push(t, a, rb...)
			for range 12 {
				put(t, a, k, doc("ns", "t", "settled"))
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			edit(t, filepath.Join(dir, storage.DataFile), func(tx *bolt.Tx) error {
				c.change(openPast(t, tx, k))
				return nil
			})
			found, err := storage.VerifyFile(context.Background(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if c.rule == "" && len(found) > 0 {
				t.Errorf("nothing is wrong, but %v", found)
			}
			if c.rule != "" && !slices.ContainsFunc(found, func(f storage.Finding) bool {
				return f.Rule == c.rule && strings.Contains(f.Problem, c.problem)
			}) {
				t.Errorf("not found: %s, %s, but %v", c.rule, c.problem, found)
			}
		})
	}
}
