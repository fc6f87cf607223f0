package clustertest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
	"github.com/memd/memd/test/history"
)

// Users write, change, delete and read at all nodes while the network breaks in every way
// that it can here and nodes stop, die, sleep and come back. In the end the history of what
// they were told must be one that memd allows. MEMD_TURMOIL=n runs n of them; which faults
// come when is given by the seed, which goroutine goes first is not.
func TestTurmoil(t *testing.T) {
	runs := 2
	if n, err := strconv.Atoi(os.Getenv("MEMD_TURMOIL")); err == nil {
		runs = n
	}
	for i := range runs {
		seed := rand.Uint64()&^1 | uint64(i&1)
		size := 3 + 2*int(seed&1)
		t.Run(fmt.Sprintf("%d nodes, seed %d", size, seed), func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) {
				w := &turmoil{t: t, c: clustertest.New(t, size), rng: rand.New(rand.NewPCG(seed, 1))}
				w.nodes = w.c.Running()
				quit := make(chan struct{})
				var users sync.WaitGroup
				for i := range 4 {
					u := &user{w: w, name: fmt.Sprint("u", i), rng: rand.New(rand.NewPCG(seed, uint64(2+i))), known: map[string]seen{}}
					users.Go(func() { u.run(quit) })
				}
				for range 20 {
					w.fault()
				}
				w.mend()
				time.Sleep(time.Second)
				close(quit)
				users.Wait()
				w.c.WaitReady()
				w.c.WaitEqual()
				var names []string
				for _, n := range w.nodes {
					w.export(n)
					names = append(names, n.Name)
				}
				report := history.Check(w.ops, names)
				t.Log(report)
				if err := report.Err(); err != nil {
					t.Error(err)
					w.keep(seed)
				}
				if report.Acked < 100 || report.Refused+report.Unknown == 0 {
					t.Errorf("a run that says little: %v", report)
				}
			})
		})
	}
}

// turmoil is one run: the cluster, what was done to it, and what came of it.
type turmoil struct {
	t     *testing.T
	c     *clustertest.Cluster
	nodes []*clustertest.Node
	rng   *rand.Rand // of the faults

	mu  sync.Mutex
	now int64
	ops []history.Op
}

// tick counts moments: in fake time much happens in one, and yet in some order.
func (w *turmoil) tick() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now++
	return w.now
}

func (w *turmoil) add(op history.Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ops = append(w.ops, op)
}

func (w *turmoil) pause(rng *rand.Rand, most time.Duration) {
	time.Sleep(time.Duration(rng.Int64N(int64(most))))
}

// fault breaks something for a while. Sometimes it is not mended before the next one.
func (w *turmoil) fault() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	other := w.nodes[w.rng.IntN(len(w.nodes))]
	mode := memnet.Mode(w.rng.IntN(2))
	note := func(what string) {
		at := w.tick()
		w.add(history.Op{Kind: history.Fault, Node: n.Name, Start: at, End: at, Note: what})
		w.t.Logf("%s: %s %v", what, n.Label, mode)
	}
	hold := 20 * time.Second
	switch w.rng.IntN(9) {
	case 0:
		note("isolated")
		w.c.Net.Isolate(mode, n.Host.Name())
	case 1:
		note("apart")
		w.c.Partition(mode, w.halves())
	case 2:
		note("pushes cut")
		w.c.Cut(clustertest.Pushes, n, other)
	case 3:
		note("pulls cut")
		w.c.Cut(clustertest.Pulls, n, other)
	case 4:
		note("gossip cut")
		w.c.CutAll(clustertest.Gossip)
	case 5:
		note("stopped")
		n.Stop()
	case 6:
		note(history.Crash)
		n.Kill()
	case 7:
		if !n.Running() {
			return
		}
		note("asleep")
		n.Sleep(mode)
		w.pause(w.rng, hold)
		n.Wake()
	case 8:
		note("flaps")
		for range 10 {
			w.c.Net.Isolate(mode, n.Host.Name())
			w.pause(w.rng, 500*time.Millisecond)
			w.c.Net.Heal()
			w.pause(w.rng, 500*time.Millisecond)
		}
	}
	w.pause(w.rng, hold)
	if w.rng.IntN(3) > 0 {
		w.mend()
	}
	w.pause(w.rng, 5*time.Second)
}

func (w *turmoil) halves() string {
	one, two := "", ""
	for _, n := range w.nodes {
		if w.rng.IntN(2) == 0 {
			one += " " + n.Label
		} else {
			two += " " + n.Label
		}
	}
	return one + " |" + two
}

func (w *turmoil) mend() {
	w.c.Heal()
	for _, n := range w.nodes {
		if !n.Running() {
			n.Start(n.Label)
		}
	}
}

// user is a client that remembers what it was told.
type user struct {
	w     *turmoil
	name  string
	rng   *rand.Rand
	count int
	known map[string]seen // by title
	last  string          // token of its last write
}

type seen struct{ id, token string }

func (u *user) run(quit chan struct{}) {
	for {
		select {
		case <-quit:
			return
		default:
		}
		title := fmt.Sprint("title ", u.rng.IntN(25))
		was, ok := u.known[title]
		switch x := u.rng.IntN(10); {
		case !ok || x < 3:
			u.write(history.Add, title, seen{})
		case x < 6:
			u.write(history.Update, title, was)
		case x < 7:
			u.write(history.Delete, title, was)
		default:
			u.read(title, was)
		}
		u.w.pause(u.rng, 800*time.Millisecond)
	}
}

// write tries one write until it is answered, at one node after the other.
func (u *user) write(kind history.Kind, title string, was seen) {
	u.count++
	op := history.Op{Client: u.name, Kind: kind, Key: title, ID: was.id, Idem: fmt.Sprintf("%s-%d", u.name, u.count)}
	value := fmt.Sprintf("%s says %d", u.name, u.count)
	ask := []clustertest.Ask{clustertest.Idempotency(op.Idem)}
	if kind != history.Delete {
		op.Value = value
	}
	if was.token != "" && u.rng.IntN(2) == 0 {
		op.Match = was.token
		ask = append(ask, clustertest.Match(was.token))
	}
	for range 1 + u.rng.IntN(4) {
		n := u.w.nodes[u.rng.IntN(len(u.w.nodes))]
		op.Node, op.Start = n.Name, u.w.tick()
		var a clustertest.Answer
		switch kind {
		case history.Add:
			a = n.Store(title, value, ask...)
		case history.Update:
			a = n.Update(was.id, value, ask...)
		default:
			a = n.Delete(was.id, ask...)
		}
		try := op
		try.End, try.Status = u.w.tick(), a.Status
		try.Outcome = history.OutcomeOfWrite(a.Status, fmt.Sprint(a.Committed))
		try.Dot, try.Token, try.Acks, try.Local = a.Dot, a.Token, a.Acks, a.Committed == "local"
		if a.ID != "" {
			try.ID = a.ID
		}
		if try.Outcome != history.OK {
			try.Note = a.String()
		}
		u.w.add(try)
		if try.Outcome == history.OK {
			u.last = a.Token
			u.known[title] = seen{try.ID, a.Token}
			return
		}
		if a.Status != 0 && a.Status != 503 {
			if a.ExistingID != "" {
				u.known[title] = seen{id: a.ExistingID}
			}
			return
		}
		u.w.pause(u.rng, 3*time.Second)
	}
}

func (u *user) read(title string, was seen) {
	n := u.w.nodes[u.rng.IntN(len(u.w.nodes))]
	op := history.Op{Client: u.name, Node: n.Name, Kind: history.Read, Key: title, ID: was.id, Start: u.w.tick()}
	var ask []clustertest.Ask
	if u.last != "" && u.rng.IntN(2) == 0 {
		op.After = u.last
		ask = append(ask, clustertest.After(u.last))
	}
	a := n.Get(was.id, ask...)
	op.End, op.Status, op.Outcome = u.w.tick(), a.Status, history.OutcomeOfRead(a.Status)
	if a.Memory != nil {
		op.Value, op.Token = a.Memory.Content, a.Memory.Token
		u.known[title] = seen{was.id, a.Memory.Token}
	}
	u.w.add(op)
}

// export notes everything that a node shows.
func (w *turmoil) export(n *clustertest.Node) {
	op := history.Op{Node: n.Name, Kind: history.Export, Start: w.tick(), Outcome: history.OK, Status: 200, Digest: n.Digest()}
	var all struct{ Memories []map[string]any }
	if err := json.Unmarshal([]byte(n.List().Want(200).Raw), &all); err != nil {
		w.t.Fatal(err)
	}
	for _, m := range all.Memories {
		row := history.Row{ID: fmt.Sprint(m["id"]), Key: fmt.Sprint(m["title"]), Value: fmt.Sprint(m["content"]), Token: fmt.Sprint(m["token"])}
		for _, local := range []string{"access_count", "last_accessed_at", "token"} {
			delete(m, local)
		}
		body, err := json.Marshal(m) // sorts the members
		if err != nil {
			w.t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		row.Body = hex.EncodeToString(sum[:8])
		op.Rows = append(op.Rows, row)
	}
	op.End = w.tick()
	w.add(op)
}

// keep writes the history down, so that it can be looked at.
func (w *turmoil) keep(seed uint64) {
	f, err := os.CreateTemp("", fmt.Sprintf("turmoil-%d-*.jsonl", seed))
	if err != nil {
		w.t.Error(err)
		return
	}
	defer f.Close()
	for _, op := range w.ops {
		if err := json.NewEncoder(f).Encode(op); err != nil {
			w.t.Error(err)
			return
		}
	}
	w.t.Logf("the history is in %s", f.Name())
}
