package storage_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// peers is a few stores that write, push, lose and double pushes, pull, crash and come
// back. Every step is checked by Verify; at the end all must be equal.
type peers struct {
	dir     string
	mutants mutant.Set
	now     time.Time
	nodes   []*peer
	seq     uint64

	wrote   map[memory.Key]map[string]bool // contents that were given out, per record
	problem string
}

type peer struct {
	id    int
	dir   string
	store *storage.Store
	sent  []storage.StagedRow // everything it ever pushed, even from transactions that failed
	crash string              // the point at which the next transaction fails
	skew  time.Duration
}

func newPeers(dir string, n int, m mutant.Set) (*peers, error) {
	p := &peers{dir: dir, mutants: m, now: start, wrote: map[memory.Key]map[string]bool{}}
	for i := range n {
		p.nodes = append(p.nodes, &peer{id: i, dir: filepath.Join(dir, fmt.Sprint(i))})
		if err := p.open(p.nodes[i]); err != nil {
			return nil, err
		}
	}
	return p, nil
}

var errCrash = fmt.Errorf("crash")

func (p *peers) open(n *peer) (err error) {
	n.crash = ""
	n.store, err = storage.Open(storage.Config{
		Dir: n.dir, NoSync: true, Mutants: p.mutants, RecentRows: 3,
		Now:    func() time.Time { return p.now.Add(n.skew) },
		Random: func() uint64 { p.seq++; return p.seq<<8 | uint64(n.id) },
		Staged: func(s storage.Staged) { n.sent = append(n.sent, s.Rows...) },
		Fail: func(point string) error {
			if n.crash == point {
				return errCrash
			}
			return nil
		},
	})
	return err
}

func (p *peers) close() {
	for _, n := range p.nodes {
		if n.store != nil {
			n.store.Close()
		}
	}
}

func (p *peers) fail(format string, args ...any) {
	if p.problem == "" {
		p.problem = fmt.Sprintf(format, args...)
	}
}

// step commits what waits at n; a store that failed is opened again, as after a crash.
func (p *peers) step(n *peer) {
	if _, err := n.store.Step(); err == nil {
		return
	}
	n.store.Close()
	if err := p.open(n); err != nil {
		p.fail("reopen: %v", err)
	}
}

func (p *peers) write(n *peer, k memory.Key, text string, remove, match bool) {
	var opt storage.PutOptions
	n.store.Submit(storage.Op{Fn: func(tx *storage.Tx) (err error) {
		if rec, _, _, err := tx.Get(k); err == nil && match {
			token := rec.View().Token
			opt.Match = &token
		}
		opt.Content = memory.HashOf(text)
		opt.Idem = memory.HashOf(text)
		if remove {
			_, err = tx.Delete(k, opt)
			return err
		}
		_, err = tx.Put(k, valueOf(k, text), opt)
		return err
	}})
	if !remove {
		if p.wrote[k] == nil {
			p.wrote[k] = map[string]bool{}
		}
		p.wrote[k][text] = true
	}
}

// valueOf is a document for the record. Some memories share a title: it is no key.
func valueOf(k memory.Key, text string) []byte {
	switch k.Kind() {
	case memory.KindLink:
		l := linked("k0", "k1")
		l.CreatedAt = start.Add(time.Duration(len(text)) * time.Second)
		return l.Encode()
	case memory.KindArchive:
		a := memory.Archived{ArchivedAt: start.Add(time.Duration(len(text)) * time.Second), Reason: text, Value: doc("ns", "k0", text)}
		return a.Encode()
	default:
		return doc("ns", "t"+string(k[len(k)-1]&1), text)
	}
}

// someKeys are the records that are written: memories, most of the time.
func someKeys() (keys []memory.Key) {
	for i := range 4 {
		keys = append(keys, key(fmt.Sprint("k", i)))
	}
	l := linked("k0", "k1")
	return append(keys, l.Key(), memory.ArchiveKey(key("k0")))
}

func (p *peers) push(n *peer, r storage.StagedRow, from *peer) {
	n.store.SubmitApply(storage.Batch{From: fmt.Sprint(from.id), Push: true, Rows: [][]byte{r.Raw}}, func(storage.Applied, error) {})
}

// pull asks for one page, and hands it over whole, cut short, or not at all.
func (p *peers) pull(to, from *peer, limit int, reserved clock.Clock, cut int) (more bool) {
	page, err := from.store.Since(storage.SinceRequest{Cursor: to.store.Clock(), Reserved: reserved, LimitBytes: limit})
	if err != nil {
		p.fail("since: %v", err)
		return false
	}
	if page.NotModified {
		return false
	}
	for _, raw := range page.Rows {
		env, err := memory.DecodeEnvelope(raw)
		if err != nil {
			p.fail("page: %v", err)
		} else if to.store.Clock().Covers(clock.Of(env.Dots...)) && to.store.Quarantined().Empty() {
			p.fail("a page brings what the cursor covers")
		}
	}
	b := storage.Batch{From: fmt.Sprint(from.id), Rows: page.Rows, Floor: page.Floor, Covers: page.Covers, Clock: page.Clock}
	if cut < len(b.Rows) {
		b.Rows, b.Covers = b.Rows[:cut], clock.Clock{}
	}
	to.store.SubmitApply(b, func(storage.Applied, error) {})
	return true
}

func (p *peers) verify() {
	for _, n := range p.nodes {
		found, err := n.store.Verify(background)
		if err != nil {
			p.fail("verify %d: %v", n.id, err)
		}
		for _, f := range found {
			p.fail("verify %d: %s", n.id, f)
		}
	}
}

// heal pulls everywhere until nothing moves; then all must hold the same.
func (p *peers) heal() {
	for round := 0; ; round++ {
		moved := false
		for _, to := range p.nodes {
			for _, from := range p.nodes {
				if to == from {
					continue
				}
				before := to.store.ClockHash()
				for p.pull(to, from, 2000, clock.Clock{}, 1<<30) {
					p.step(to)
					after := to.store.ClockHash()
					if after == before {
						break
					}
					before, moved = after, true
				}
			}
		}
		if !moved {
			break
		}
		if round > 20 {
			p.fail("pulling does not end")
			return
		}
	}
	p.verify()
	first := p.nodes[0]
	for _, n := range p.nodes[1:] {
		if !n.store.Clock().Equal(first.store.Clock()) {
			p.fail("clocks differ: %s and %s", first.store.Clock(), n.store.Clock())
		}
		if a, b := p.dump(first), p.dump(n); a != b {
			p.fail("equal clocks, different rows:\n%s\n%s", a, b)
		}
		if n.store.Digest() != first.store.Digest() {
			p.fail("digests differ")
		}
	}
}

func (p *peers) dump(n *peer) string {
	var b strings.Builder
	err := n.store.View(func(tx *storage.Tx) error {
		for rec, err := range tx.Records() {
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s ctx %s", rec.Key, rec.Context)
			for i := range rec.Versions {
				v := &rec.Versions[i]
				fmt.Fprintf(&b, " [%s %s deleted=%t]", v.Dot, v.Sum(rec.Key), v.Deleted)
			}
			b.WriteByte('\n')
		}
		return nil
	})
	if err != nil {
		p.fail("dump: %v", err)
	}
	return b.String()
}

// play is one random schedule.
func (p *peers) play(r *rand.Rand, steps int) {
	n := func() *peer { return p.nodes[r.IntN(len(p.nodes))] }
	keys := someKeys()
	k := func() memory.Key { return keys[r.IntN(len(keys))] }
	for i := range steps {
		p.now = p.now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
		a := n()
		switch what := r.IntN(20); {
		case what < 6:
			for range 1 + r.IntN(3) {
				p.write(a, k(), fmt.Sprint(i, " ", a.id), r.IntN(4) == 0, r.IntN(3) == 0)
			}
			p.step(a)
		case what < 11:
			b := n()
			if len(b.sent) == 0 || a == b {
				continue
			}
			for range 1 + r.IntN(3) {
				p.push(a, b.sent[r.IntN(len(b.sent))], b)
			}
			p.step(a)
		case what < 15:
			b := n()
			if a == b {
				continue
			}
			var reserved clock.Clock
			if r.IntN(3) == 0 {
				for o, iv := range b.store.Clock().Ranges() {
					if r.IntN(2) == 0 {
						lo := iv.Lo + r.Uint64N(iv.Hi-iv.Lo+1)
						reserved.AddRange(o, lo, iv.Hi)
					}
				}
			}
			cut := 1 << 30
			if r.IntN(4) == 0 {
				cut = r.IntN(3)
			}
			p.pull(a, b, []int{1, 600, 1 << 20}[r.IntN(3)], reserved, cut)
			p.step(a)
		case what < 17:
			a.crash = []string{"before-commit", "after-commit", "between"}[r.IntN(3)]
			p.write(a, k(), fmt.Sprint(i, " ", a.id), false, false)
			if b := n(); a != b && r.IntN(2) == 0 {
				p.pull(a, b, 600, clock.Clock{}, 1<<30)
			}
			p.step(a)
			a.crash = ""
		case what < 18:
			a.store.Close()
			if err := p.open(a); err != nil {
				p.fail("reopen: %v", err)
			}
		case what < 19:
			a.skew = time.Duration(r.IntN(100)-50) * time.Second
		default:
			a.store.Mint("test")
		}
		if i%4 == 0 {
			p.verify()
		}
		if p.problem != "" {
			return
		}
	}
	p.heal()
}

func memDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "memd-storage-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func schedule(t testing.TB, seed uint64, m mutant.Set) string {
	dir := filepath.Join(memDir(t), fmt.Sprint(seed))
	defer os.RemoveAll(dir)
	p, err := newPeers(dir, 3, m)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	p.play(rand.New(rand.NewPCG(seed, 1)), 60)
	return p.problem
}

func TestSchedules(t *testing.T) {
	n := 150
	if testing.Short() {
		n = 20
	}
	for seed := range uint64(n) {
		if problem := schedule(t, seed, 0); problem != "" {
			t.Fatalf("seed %d: %s", seed, problem)
		}
	}
}

// Each rule of this package that can be switched off is missed.
func TestMutantsAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	for _, m := range []mutant.Set{
		mutant.TimeWatermark, mutant.PageEdgeDrop, mutant.MaxCounterClock, mutant.HoleCovered, mutant.HeadClockOnPartial,
		mutant.ClockBeforeRows, mutant.ReuseOrigin, mutant.ReviveCovered, mutant.NoAbsorb, mutant.DropDeletedRow,
		mutant.UniqueTitles, mutant.CopyClockOnRelay, mutant.OffsetCursor, mutant.DeadHoleSeen, mutant.ReservedInCursor,
		mutant.CheckpointAhead, mutant.DropUndrained,
	} {
		t.Run(m.String(), func(t *testing.T) {
			for seed := range uint64(400) {
				if problem := schedule(t, seed, m); problem != "" {
					t.Logf("seed %d: %.200s", seed, problem)
					return
				}
			}
			t.Error("not caught")
		})
	}
}

// One store against a model of what its own writer expects.
func TestStoreAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := filepath.Join(memDir(t), "s")
		defer os.RemoveAll(dir)
		open := func() *storage.Store {
			s, err := storage.Open(storage.Config{Dir: dir, NoSync: true, RecentRows: 3, Now: func() time.Time { return start }})
			if err != nil {
				rt.Fatal(err)
			}
			return s
		}
		s := open()
		defer func() { s.Close() }()
		model := map[memory.Key]string{} // "" = deleted
		keys := rapid.SampledFrom([]memory.Key{key("a"), key("b"), key("c"), derived("ns", "t", 0)})
		type op struct {
			k    memory.Key
			text string
			err  error
		}
		rt.Repeat(map[string]func(*rapid.T){
			"batch": func(rt *rapid.T) {
				ops := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) op {
					o := op{k: keys.Draw(rt, "key"), text: rapid.SampledFrom([]string{"", "x", "y", "z"}).Draw(rt, "text")}
					if rapid.IntRange(0, 4).Draw(rt, "refuse") == 0 {
						o.err = errCrash
					}
					return o
				}), 1, 5).Draw(rt, "ops")
				for _, o := range ops {
					s.Submit(storage.Op{Fn: func(tx *storage.Tx) (err error) {
						rec, _, _, err := tx.Get(o.k)
						if err != nil {
							return err
						}
						if want, ok := model[o.k]; ok != !rec.Empty() || ok && (want != "") != rec.View().Live {
							rt.Errorf("inside: %s is %v, want %q", o.k, rec.View().Live, want)
						}
						if o.text == "" {
							_, err = tx.Delete(o.k, storage.PutOptions{})
						} else {
							_, err = tx.Put(o.k, doc("ns", "t", o.text), storage.PutOptions{})
						}
						if err == nil && o.err == nil {
							model[o.k] = o.text
						}
						return errors.Join(err, o.err)
					}})
				}
				if _, err := s.Step(); err != nil {
					rt.Fatal(err)
				}
			},
			"reopen": func(*rapid.T) { s.Close(); s = open() },
			"": func(rt *rapid.T) {
				found, err := s.Verify(background)
				if err != nil || len(found) > 0 {
					rt.Fatalf("verify: %v, %v", found, err)
				}
				live := 0
				for k, text := range model {
					if got := content(t, s, k); got != text && !(text == "" && got == "-") {
						rt.Fatalf("%s is %q, want %q", k, got, text)
					}
					if text != "" {
						live++
					}
				}
				s.View(func(tx *storage.Tx) error {
					titled, err := tx.ByTitle("ns", "t")
					if err != nil || len(titled) != live {
						rt.Fatalf("%d have the title, want %d (%v)", len(titled), live, err)
					}
					return nil
				})
			},
		})
	})
}
