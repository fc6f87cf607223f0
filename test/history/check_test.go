package history

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/memd/memd/clock"
)

// TestSound: a cluster that keeps its promises is not blamed, in any order of events.
func TestSound(t *testing.T) {
	runs := uint64(3000)
	if testing.Short() {
		runs = 300
	}
	for seed := range runs {
		ops, nodes := run(seed, 60)
		if err := Check(ops, nodes).Err(); err != nil {
			for _, o := range ops {
				line, _ := json.Marshal(o)
				t.Logf("%s", line)
			}
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestPlants: every fault that is put into a good history is found, and called by its
// name.
func TestPlants(t *testing.T) {
	for _, p := range Plants() {
		t.Run(p.Name, func(t *testing.T) {
			placed := 0
			for seed := range uint64(400) {
				good, nodes := run(seed, 60)
				bad, ok := p.Planted(good, nodes)
				if !ok {
					continue
				}
				placed++
				if rep := Check(bad, nodes); !rep.Has(p.Want) {
					t.Fatalf("seed %d: want %s, got %v", seed, p.Want, rep.Err())
				}
				if err := Check(good, nodes).Err(); err != nil {
					t.Fatalf("seed %d: planting changed the history it was given: %v", seed, err)
				}
			}
			if placed < 20 {
				t.Errorf("found a place in %d histories only", placed)
			}
			t.Logf("found in %d of %d", placed, placed)
		})
	}
}

var (
	d1 = clock.Dot{Origin: 1, Counter: 1}
	d2 = clock.Dot{Origin: 2, Counter: 1}
	d3 = clock.Dot{Origin: 3, Counter: 1}
)

func tok(dots ...clock.Dot) string { return clock.Of(dots...).Token() }

func op(k Kind, node string, start int64, value string, d clock.Dot) Op {
	o := Op{Client: "c", Node: node, Start: start, End: start + 1, Kind: k, Key: "k", ID: "id", Value: value, Outcome: OK, Status: 200}
	if !d.IsZero() {
		o.Dot, o.Token = d.String(), tok(d)
	}
	return o
}

func with(o Op, change func(*Op)) Op {
	change(&o)
	return o
}

func end(value string) []Op {
	var ops []Op
	for _, n := range []string{"a", "b"} {
		e := Op{Node: n, Start: 1000, End: 1001, Kind: Export, Digest: "d"}
		if value != "" {
			e.Rows = []Row{{ID: "id", Key: "k", Value: value, Body: value}}
		}
		ops = append(ops, e)
	}
	return ops
}

// TestCases are the rules one by one, each with the order that tells it from its
// neighbour.
func TestCases(t *testing.T) {
	unknown := func(o *Op) { o.Outcome, o.Status, o.ID, o.Dot, o.Token = Unknown, 0, "", "", "" }
	refused := func(o *Op) { o.Outcome, o.Status, o.ID, o.Dot, o.Token = Refused, 503, "", "", "" }
	match := func(d ...clock.Dot) func(*Op) { return func(o *Op) { o.Match = tok(d...) } }
	fault := func(node string, at int64, note string) Op {
		return Op{Node: node, Start: at, End: at + 1, Kind: Fault, Note: note}
	}
	read := func(node string, at int64, value string, o Outcome, after string) Op {
		return Op{Node: node, Start: at, End: at + 1, Kind: Read, Key: "k", Value: value, Outcome: o, After: after}
	}
	add := op(Add, "a", 10, "v1", d1)
	for _, c := range []struct {
		name string
		ops  []Op
		end  string
		want Verdict
	}{
		{"kept", []Op{add}, "v1", Fine},
		{"lost", []Op{add}, "", Lost},
		{"unknown and there", []Op{with(add, unknown)}, "v1", Fine},
		{"unknown and not there", []Op{with(add, unknown)}, "", Fine},
		{"refused and there", []Op{with(add, refused)}, "v1", Invented},
		{"refused, then done by the retry", []Op{
			with(add, func(o *Op) { o.Idem = "i"; refused(o) }),
			with(op(Add, "b", 20, "v1", d2), func(o *Op) { o.Idem = "i" })}, "v1", Fine},

		{"deleted", []Op{add, op(Delete, "b", 20, "", d2)}, "", Fine},
		{"deleted and back: the delete had found it", []Op{add, op(Delete, "b", 20, "", d2)}, "v1", Resurrected},
		{"deleted and back: the delete had named it", []Op{add, with(op(Delete, "b", 20, "", d2), match(d1))}, "v1", Resurrected},
		{"delete unknown, kept", []Op{add, with(op(Delete, "b", 20, "", d2), unknown)}, "v1", Fine},
		{"delete unknown, gone", []Op{add, with(op(Delete, "b", 20, "", d2), unknown)}, "", Fine},
		{"delete refused, gone", []Op{add, with(op(Delete, "b", 20, "", d2), refused)}, "", Lost},
		{"delete of another version, gone", []Op{add, with(op(Delete, "b", 20, "", d2), match(d3))}, "", Lost},
		{"deleted before it was made again, gone", []Op{
			add, op(Delete, "a", 20, "", d2), op(Add, "a", 30, "v2", d3)}, "", Lost},
		{"deleted, made again", []Op{add, op(Delete, "a", 20, "", d2), op(Add, "a", 30, "v2", d3)}, "v2", Fine},
		{"delete known to be on the node, unanswered", []Op{
			add, with(op(Delete, "a", 20, "", d2), func(o *Op) { o.Outcome, o.Status, o.Local = Unknown, 503, true })}, "v1", Resurrected},

		{"updated", []Op{add, op(Update, "b", 20, "v2", d2)}, "v2", Fine},
		{"update undone", []Op{add, op(Update, "b", 20, "v2", d2)}, "v1", Stale},
		{"update unknown, not there", []Op{add, with(op(Update, "b", 20, "v2", d2), unknown)}, "v1", Fine},
		{"update undone, but somebody had seen it", []Op{
			add, with(op(Update, "a", 20, "v2", d2), unknown), read("a", 40, "v2", OK, "")}, "v1", Stale},
		{"two updates of one version: either", []Op{
			add, with(op(Update, "a", 20, "v2", d2), match(d1)), with(op(Update, "b", 30, "v3", d3), match(d1))}, "v2", Fine},
		{"two updates, the second had seen the first", []Op{
			add, with(op(Update, "a", 20, "v2", d2), match(d1)), with(op(Update, "b", 30, "v3", d3), match(d2))}, "v2", Stale},
		{"two updates on one node are in order", []Op{add, op(Update, "a", 20, "v2", d2), op(Update, "a", 30, "v3", d3)}, "v2", Stale},
		{"two updates on one node with a crash between", []Op{
			add, op(Update, "a", 20, "v2", d2), fault("a", 25, Crash), op(Update, "a", 30, "v3", d3)}, "v2", Fine},
		{"the same, but the node had shown the first", []Op{
			add, op(Update, "a", 20, "v2", d2), read("a", 22, "v2", OK, ""), fault("a", 25, Crash), op(Update, "a", 30, "v3", d3)}, "v2", Stale},
		{"the same, and then the disk went back", []Op{
			add, op(Update, "a", 20, "v2", d2), read("a", 22, "v2", OK, ""), fault("a", 25, Rollback), op(Update, "a", 30, "v3", d3)}, "v2", Fine},
		{"update beside a delete that had not seen it", []Op{
			add, with(op(Update, "a", 20, "v2", d2), match(d1)), with(op(Delete, "b", 20, "", d3), match(d1))}, "v2", Fine},
		{"the delete must not win", []Op{
			add, with(op(Update, "a", 20, "v2", d2), match(d1)), with(op(Delete, "b", 20, "", d3), match(d1))}, "", Lost},

		{"read of an old version before the token", []Op{add, op(Update, "b", 20, "v2", d2), read("a", 30, "v1", OK, tok(d1))}, "v2", Fine},
		{"read of an old version after its token", []Op{add, op(Update, "b", 20, "v2", d2), read("a", 30, "v1", OK, tok(d2))}, "v2", Stale},
		{"read refused for its token", []Op{add, op(Update, "b", 20, "v2", d2), read("a", 30, "", Behind, tok(d2))}, "v2", Fine},
		{"read misses its token", []Op{add, read("b", 30, "", Absent, tok(d1))}, "v1", Stale},
		{"read without a token misses", []Op{add, read("b", 30, "", Absent, "")}, "v1", Fine},
		{"reads go back", []Op{add, op(Update, "b", 20, "v2", d2), read("a", 30, "v2", OK, ""), read("a", 40, "v1", OK, "")}, "v2", Stale},
		{"reads go back on another node", []Op{add, op(Update, "b", 20, "v2", d2), read("b", 30, "v2", OK, ""), read("a", 40, "v1", OK, "")}, "v2", Fine},
		{"reads go back with the disk", []Op{
			add, op(Update, "b", 20, "v2", d2), read("a", 30, "v2", OK, ""), fault("a", 35, Rollback), read("a", 40, "v1", OK, "")}, "v2", Fine},
		{"a row vanishes between reads", []Op{add, read("b", 30, "v1", OK, ""), read("b", 40, "", Absent, "")}, "v1", Stale},
		{"read of a value that nobody wrote", []Op{add, read("b", 30, "v9", OK, "")}, "v1", Invented},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep := Check(append(slices.Clone(c.ops), end(c.end)...), []string{"a", "b"})
			switch err := rep.Err(); {
			case c.want == Fine && err != nil:
				t.Fatalf("blamed: %v", err)
			case c.want != Fine && !rep.Has(c.want):
				t.Fatalf("want %s, got %v", c.want, err)
			}
		})
	}
}

func TestRetriesAtOneNodeKeepTheirVersion(t *testing.T) {
	first := with(op(Add, "a", 10, "v1", d1), func(o *Op) { o.Idem = "i" })
	again := with(op(Add, "a", 20, "v1", d2), func(o *Op) { o.Idem = "i" })
	elsewhere := with(again, func(o *Op) { o.Node = "b" })
	if rep := Check(append([]Op{first, again}, end("v1")...), []string{"a", "b"}); !rep.Has(Duplicated) {
		t.Error("two versions of one intent at one node were not found")
	}
	if err := Check(append([]Op{first, elsewhere}, end("v1")...), []string{"a", "b"}).Err(); err != nil {
		t.Errorf("another node that had not heard of it may do it again: %v", err)
	}
}

func TestReport(t *testing.T) {
	ops := append([]Op{op(Add, "a", 10, "v1", d1)}, end("v1")...)
	rep := Check(ops, []string{"a", "b"})
	if got := rep.String(); !strings.Contains(got, "1 writes acked") || !strings.Contains(got, "a: 1 ok") || !strings.Contains(got, "0 of 1 lost") {
		t.Errorf("report: %s", got)
	}
	for range 30 {
		ops = append(ops, Op{Node: "a", Kind: Read, Key: "k", Value: "nobody's", Outcome: OK})
	}
	if err := Check(ops, []string{"a", "b"}).Err(); err == nil || !strings.Contains(err.Error(), "and 10 more") {
		t.Errorf("long lists of findings are cut: %v", err)
	}
	bad := append([]Op{with(op(Add, "a", 10, "v1", d1), func(o *Op) { o.Dot = "x" })}, end("v1")...)
	if err := Check(bad, []string{"a"}).Err(); err == nil {
		t.Error("a dot that is none went through")
	}
}

func TestRecorder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	r, err := NewRecorder(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewRecorder(path); err == nil {
		t.Error("a second run may not write over the first one")
	}
	ops, _ := run(7, 40)
	for _, o := range ops {
		r.Add(o)
	}
	if !reflect.DeepEqual(r.Ops(), ops) {
		t.Error("memory differs from what was recorded")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	loaded := load(t, path)
	for i := range ops {
		a, _ := json.Marshal(ops[i])
		b, _ := json.Marshal(loaded[i])
		if !bytes.Equal(a, b) {
			t.Fatalf("op %d: wrote %s, read %s", i, a, b)
		}
	}
	if _, err := Load(strings.NewReader("{}\n{")); err == nil {
		t.Error("half an op went through")
	}
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		status    int
		committed string
		want      Outcome
	}{
		{201, "", OK}, {200, "", OK}, {404, "", Refused}, {409, "", Refused}, {503, "false", Refused},
		{503, "local", Unknown}, {503, "unknown", Unknown}, {503, "", Unknown}, {500, "", Unknown}, {0, "", Unknown},
	} {
		if got := OutcomeOfWrite(c.status, c.committed); got != c.want {
			t.Errorf("write %d %q: %s, want %s", c.status, c.committed, got, c.want)
		}
	}
	for status, want := range map[int]Outcome{200: OK, 404: Absent, 425: Behind, 503: Unknown, 0: Unknown} {
		if got := OutcomeOfRead(status); got != want {
			t.Errorf("read %d: %s, want %s", status, got, want)
		}
	}
}
