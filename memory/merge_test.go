package memory

import (
	"fmt"
	"iter"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/internal/mutant"
)

var testKey = NewKey(KindMemory, "11111111-2222-3333-4444-555555555555")

func dot(o, c uint64) clock.Dot { return clock.Dot{Origin: clock.Origin(o), Counter: c} }

// testValue is a valid stored memory that says text.
func testValue(text string) []byte {
	d := Draft{Title: &text, Content: &text}
	m, err := d.Memory(epoch, "ai:test")
	if err != nil {
		panic(err)
	}
	return m.Encode()
}

func bytesOf(r Record) string { return string(r.Append(nil)) }

// garbage draws a state that no protocol makes: siblings in their own context, marks of the same dot with different digests, unknown
// fields in any order. Only one thing is kept: a dot names one byte string.
func garbage(t *rapid.T, name string) Record {
	r := Record{Key: testKey}
	for _, d := range rapid.SliceOfNDistinct(drawDot(), 0, 6, rapid.ID[clock.Dot]).Draw(t, name+" siblings") {
		r.Versions = append(r.Versions, versionOf(d))
	}
	slices.SortFunc(r.Versions, compareVersions)
	for _, d := range rapid.SliceOfN(drawDot(), 0, 8).Draw(t, name+" context") {
		r.Context.Add(d)
	}
	for _, d := range rapid.SliceOfN(drawDot(), 0, 12).Draw(t, name+" lost") {
		stamp := clock.Stamp(rapid.IntRange(0, 5).Draw(t, "stamp"))
		r.Lost = joinMarks(r.Lost, []Lost{{Dot: d, Stamp: stamp, Agent: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "agent")}}, 4)
		r.Idems = joinMarks(r.Idems, []IdemMark{{Dot: d, Stamp: stamp, Idem: HashOf(d.String())}}, 4)
	}
	for range rapid.IntRange(0, 3).Draw(t, name+" fields") {
		r.Ext = protowire.AppendTag(r.Ext, protowire.Number(rapid.IntRange(6, 8).Draw(t, "number")), protowire.VarintType)
		r.Ext = protowire.AppendVarint(r.Ext, rapid.Uint64Range(0, 3).Draw(t, "field"))
	}
	return r
}

func drawDot() *rapid.Generator[clock.Dot] {
	return rapid.Custom(func(t *rapid.T) clock.Dot {
		return dot(rapid.Uint64Range(1, 3).Draw(t, "origin"), rapid.Uint64Range(1, 6).Draw(t, "counter"))
	})
}

var versionCache = map[clock.Dot]Version{}

// versionOf is the one byte string of a dot; some dots say the same, some are deletions.
func versionOf(d clock.Dot) Version {
	v, ok := versionCache[d]
	if !ok {
		v = Version{Dot: d, Stamp: clock.Stamp(100 + d.Counter*7%5), Agent: "a", Deleted: d.Counter%4 == 3}
		if !v.Deleted {
			v.Value = testValue(fmt.Sprintf("text %d", d.Counter%3))
			v.Content = HashOf(fmt.Sprint(d.Counter % 3))
		}
		v.Sum(testKey)
		versionCache[d] = v
	}
	return v
}

func join(a, b Record) Record { return Merge(a, b, nil).Record }

func TestMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := garbage(t, "a"), garbage(t, "b"), garbage(t, "c")
		before := bytesOf(a) + bytesOf(b)
		ab := join(a, b)
		if bytesOf(a)+bytesOf(b) != before {
			t.Fatal("merge changed its arguments")
		}
		if bytesOf(ab) != bytesOf(join(b, a)) {
			t.Fatalf("not commutative:\n%+v\n%+v", ab, join(b, a))
		}
		if x, y := join(ab, c), join(a, join(b, c)); bytesOf(x) != bytesOf(y) {
			t.Fatalf("not associative:\n%+v\n%+v", x, y)
		}
		for _, below := range []Record{ab, a, b} {
			again := Merge(ab, below, nil)
			if again.Changed || len(again.Dropped) > 0 || bytesOf(again.Record) != bytesOf(ab) {
				t.Fatalf("not idempotent or not inflationary: %+v", again)
			}
		}
		for _, v := range ab.Versions {
			if ab.Context.Contains(v.Dot) {
				t.Fatalf("%s is a sibling and in the context", v.Dot)
			}
		}
		if !ab.Context.Covers(a.Context) || !ab.Context.Covers(b.Context) {
			t.Fatal("context shrank")
		}
	})
}

func TestMarksAssociative(t *testing.T) {
	draw := func(t *rapid.T, name string) []Lost {
		var out []Lost
		for range rapid.IntRange(0, 8).Draw(t, name) {
			l := Lost{Dot: drawDot().Draw(t, "dot"), Stamp: clock.Stamp(rapid.IntRange(0, 3).Draw(t, "stamp")), Agent: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "agent")}
			out = joinMarks(out, []Lost{l}, 4)
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw(t, "a"), draw(t, "b"), draw(t, "c")
		x, y := joinMarks(joinMarks(a, b, 4), c, 4), joinMarks(a, joinMarks(b, c, 4), 4)
		if !slices.Equal(x, y) || !slices.Equal(joinMarks(a, b, 4), joinMarks(b, a, 4)) || !slices.Equal(joinMarks(a, a, 4), a) {
			t.Fatalf("%v\n%v\n%v\n%v\n%v", a, b, c, x, y)
		}
		if len(x) > 4 || !ascending(x) {
			t.Fatalf("not sorted or over the cap: %v", x)
		}
	})
}

// replica is a store with one row: the record and what the node has seen.
type replica struct {
	origin clock.Origin
	issued uint64
	row    Record
	clock  clock.Clock
	asked  clock.Clock // what somebody wrote here
	past   clock.Clock // and of what somebody wrote, what a later write here has decided about
}

func (n *replica) write(t *rapid.T, token *clock.Clock, deleted bool) {
	n.issued++
	d := clock.Dot{Origin: n.origin, Counter: n.issued}
	v := Version{Dot: d, Stamp: n.row.StampAfter(token) + clock.Stamp(rapid.IntRange(1, 50).Draw(t, "ahead")), Deleted: deleted}
	if !deleted {
		text := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "text")
		v.Value, v.Content = testValue(text), HashOf(text)
	}
	if rapid.Bool().Draw(t, "idem") {
		v.Idem = HashOf(d.String())
	}
	m, err := n.row.Supersede(v, token)
	if err != nil {
		t.Fatal(err)
	}
	n.row = m.Record
	n.clock.Add(d)
	n.asked.Add(d)
	for _, v := range m.Dropped {
		n.past.Add(v.Origin().Dot)
	}
}

// keep makes a copy of what the replica shows, as a node does after a recall.
func (n *replica) keep(t *rapid.T) {
	w := n.row.View().Winner
	if w == nil || w.Deleted {
		return
	}
	n.issued++
	v := Version{Dot: clock.Dot{Origin: n.origin, Counter: n.issued}, Stamp: n.row.StampAfter(nil) + 1, Kept: w.Origin()}
	if v.Deleted = rapid.IntRange(0, 3).Draw(t, "over") == 0; !v.Deleted {
		v.Value, v.Content, v.Lasts = w.Value, w.Content, rapid.Uint64Range(0, 2).Draw(t, "lasts")
	}
	m, err := n.row.Supersede(v, nil)
	if err != nil {
		t.Fatal(err)
	}
	n.row = m.Record
	n.clock.Add(v.Dot)
}

func (n *replica) apply(m mutant.Set, row Record) Merged {
	out := MergeWith(m, n.row, row, n.clock.Contains)
	n.row = out.Record
	for _, d := range row.Dots() {
		n.clock.Add(d)
	}
	if !m.Has(mutant.NoAbsorb) {
		n.clock.Union(row.Context)
	}
	return out
}

// history runs a few replicas of one key through writes and deliveries, also late and repeated ones, and returns every state that
// was ever sent.
func history(t *rapid.T, m mutant.Set) (nodes []*replica, sent []Record, superseded clock.Clock) {
	for o := range 3 {
		nodes = append(nodes, &replica{origin: clock.Origin(o + 1), row: Record{Key: testKey}})
	}
	for range rapid.IntRange(1, 25).Draw(t, "steps") {
		n := nodes[rapid.IntRange(0, 2).Draw(t, "node")]
		switch op := rapid.IntRange(0, 11).Draw(t, "op"); {
		case op > 9:
			n.keep(t)
		case op < 3:
			n.write(t, nil, op == 2)
		case op == 3: // with the token of what some node shows
			shown := nodes[rapid.IntRange(0, 2).Draw(t, "reader")].row
			token := shown.View().Token
			if slices.ContainsFunc(shown.Versions, func(v Version) bool { return v.IsCopy() && !n.clock.Contains(v.Dot) }) {
				continue // of what an unknown dot is a copy is unknown, and Vouch says to wait for it
			}
			n.write(t, &token, false)
		case len(sent) == 0:
			continue
		default:
			n.apply(m, sent[rapid.IntRange(0, len(sent)-1).Draw(t, "message")])
		}
		sent = append(sent, n.row)
		superseded.Union(n.row.Context)
	}
	return nodes, sent, superseded
}

func TestProtocolHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkHistory(t, 0) })
}

func checkHistory(t *rapid.T, m mutant.Set) {
	nodes, sent, superseded := history(t, m)
	for range 2 { // heal: everybody hears everybody
		for _, to := range nodes {
			for _, from := range nodes {
				to.apply(m, from.row)
			}
		}
	}
	for _, n := range nodes[1:] {
		if bytesOf(n.row) != bytesOf(nodes[0].row) {
			t.Fatalf("replicas differ:\n%+v\n%+v", nodes[0].row, n.row)
		}
		if !n.clock.Equal(nodes[0].clock) {
			t.Fatalf("clocks differ: %s, %s", nodes[0].clock, n.clock)
		}
	}
	end := nodes[0].row
	for _, v := range end.Versions {
		if superseded.Contains(v.Dot) {
			t.Fatalf("%s was superseded and is back", v.Dot)
		}
	}
	// Every write is a sibling or superseded; none is lost without a trace.
	for _, n := range nodes {
		for c := uint64(1); c <= n.issued; c++ {
			if d := (clock.Dot{Origin: n.origin, Counter: c}); end.Find(d) == nil && !end.Context.Contains(d) {
				t.Fatalf("%s is gone", d)
			}
		}
	}
	// What somebody wrote, or a copy of it, is there as long as nobody who had read either has written, and no longer.
	var asked, past, left clock.Clock
	for _, n := range nodes {
		asked.Union(n.asked)
		past.Union(n.past)
	}
	for _, v := range end.Versions {
		left.Add(v.Origin().Dot)
	}
	if gone := asked.Minus(past).Minus(left).Minus(end.Context); !gone.Empty() {
		t.Fatalf("%s was lost to a copy", gone)
	}
	for d := range dotsOf(left) {
		if past.Contains(d) {
			t.Fatalf("%s is back in a copy", d)
		}
	}
	// Any order of the same messages ends in the same row.
	fresh := &replica{origin: 9, row: Record{Key: testKey}}
	order := rapid.Permutation(sent).Draw(t, "order")
	for _, row := range append(order, sent...) {
		fresh.apply(m, row)
	}
	if bytesOf(fresh.row) != bytesOf(end) && len(sent) > 0 {
		t.Fatalf("order matters:\n%+v\n%+v", fresh.row, end)
	}
	if back, err := DecodeRecord(end.Append(nil)); err != nil && len(end.Versions) > 0 || err == nil && bytesOf(back) != bytesOf(end) {
		t.Fatalf("round trip: %v", err)
	}
}

func dotsOf(c clock.Clock) iter.Seq[clock.Dot] {
	return func(yield func(clock.Dot) bool) {
		for o, iv := range c.Ranges() {
			for n := iv.Lo; n <= iv.Hi; n++ {
				if !yield(clock.Dot{Origin: o, Counter: n}) {
					return
				}
			}
		}
	}
}

// TestCopyLaws: merges of states with copies are a join, too, as far as the protocol reaches them.
func TestCopyLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, sent, _ := history(t, 0)
		if len(sent) == 0 {
			return
		}
		draw := func(name string) Record { return sent[rapid.IntRange(0, len(sent)-1).Draw(t, name)] }
		a, b, c := draw("a"), draw("b"), draw("c")
		ab := join(a, b)
		if bytesOf(ab) != bytesOf(join(b, a)) {
			t.Fatalf("not commutative:\n%+v\n%+v", ab, join(b, a))
		}
		if x, y := join(ab, c), join(a, join(b, c)); bytesOf(x) != bytesOf(y) {
			t.Fatalf("not associative:\n%+v\n%+v", x, y)
		}
		for _, below := range []Record{ab, a, b} {
			if again := Merge(ab, below, nil); again.Changed || bytesOf(again.Record) != bytesOf(ab) {
				t.Fatalf("not idempotent or not inflationary: %+v", again)
			}
		}
	})
}

// TestCopies: nobody has to know of a copy that a node made by itself.
func TestCopies(t *testing.T) {
	one := versionOf(dot(1, 1))
	start := Record{Key: testKey, Versions: []Version{one}}
	write := func(r Record, v Version, token *clock.Clock) Record {
		t.Helper()
		v.Stamp = r.StampAfter(nil) + 1
		m, err := r.Supersede(v, token)
		if err != nil {
			t.Fatal(err)
		}
		return m.Record
	}
	text := func(d clock.Dot, text string) Version {
		return Version{Dot: d, Value: testValue(text), Content: HashOf(text)}
	}
	copied := func(r Record, d clock.Dot) Record {
		return write(r, Version{Dot: d, Value: one.Value, Content: one.Content, Kept: r.View().Winner.Origin()}, nil)
	}
	kept := copied(start, dot(2, 1))
	twice := copied(kept, dot(2, 2))
	over := Version{Dot: dot(6, 1), Deleted: true, Kept: one.Origin()}
	token := start.View().Token
	beside := Merge(start, Record{Key: testKey, Versions: []Version{{Dot: dot(3, 7), Stamp: 1, Value: testValue("else"), Content: HashOf("else")}}}, nil).Record
	for name, c := range map[string]struct {
		got       Record
		want      []clock.Dot
		live      bool
		conflicts int
	}{
		"a deletion":                 {join(kept, write(start, Version{Dot: dot(3, 1), Deleted: true}, nil)), []clock.Dot{dot(3, 1)}, false, 0},
		"a deletion, copied twice":   {join(twice, write(start, Version{Dot: dot(3, 1), Deleted: true}, nil)), []clock.Dot{dot(3, 1)}, false, 0},
		"a deletion of the copy":     {join(copied(start, dot(4, 1)), write(kept, Version{Dot: dot(3, 1), Deleted: true}, nil)), []clock.Dot{dot(3, 1)}, false, 0},
		"an update":                  {join(kept, write(start, text(dot(3, 1), "new"), nil)), []clock.Dot{dot(3, 1)}, true, 0},
		"with the token of before":   {write(kept, text(dot(3, 1), "new"), &token), []clock.Dot{dot(3, 1)}, true, 0},
		"with that of another copy":  {write(join(kept, copied(start, dot(4, 1))), text(dot(3, 1), "new"), new(copied(start, dot(4, 1)).View().Token)), []clock.Dot{dot(3, 1)}, true, 0},
		"its time was over":          {write(start, over, nil), []clock.Dot{dot(6, 1)}, false, 0},
		"over, and kept elsewhere":   {join(kept, write(start, over, nil)), []clock.Dot{dot(2, 1), dot(6, 1)}, true, 0},
		"over, and changed":          {join(write(start, text(dot(3, 1), "new"), nil), write(start, over, nil)), []clock.Dot{dot(3, 1)}, true, 0},
		"two copies":                 {join(kept, copied(start, dot(4, 1))), []clock.Dot{dot(2, 1), dot(4, 1)}, true, 0},
		"what nobody had read stays": {join(kept, beside), []clock.Dot{dot(2, 1), dot(3, 7)}, true, 1},
	} {
		v := c.got.View()
		if !slices.Equal(c.got.Dots(), c.want) || v.Live != c.live || v.Conflicts != c.conflicts {
			t.Errorf("%s: %v, live %v, %d conflicts", name, c.got.Dots(), v.Live, v.Conflicts)
		}
	}
	if w := join(kept, beside).View().Winner; w.Dot != dot(2, 1) {
		t.Errorf("%s is shown", w.Dot)
	}
	late := beside
	late.Versions = slices.Clone(late.Versions)
	late.Versions[1].sum, late.Versions[1].Stamp = Hash{}, one.Stamp+1
	if w := join(kept, late).View().Winner; w.Dot != dot(3, 7) {
		t.Errorf("a copy is later than what was written after what it is a copy of: %s", w.Dot)
	}
	foreign := Version{Dot: dot(5, 1), Stamp: 1 << 40, Value: one.Value, Kept: Kept{Dot: dot(9, 9)}}
	if _, err := kept.Supersede(foreign, nil); err == nil {
		t.Error("a copy of what is not here was taken")
	}
}

func TestMutantsAreNoticed(t *testing.T) {
	x, y := versionOf(dot(1, 1)), versionOf(dot(2, 2))
	twin := versionOf(dot(2, 1)) // says what x says
	local := Record{Key: testKey, Versions: []Version{x}}

	if got := MergeWith(mutant.CollapseInState, local, Record{Key: testKey, Versions: []Version{twin}}, nil); len(got.Record.Versions) != 1 {
		t.Errorf("CollapseInState kept %d siblings", len(got.Record.Versions))
	}
	if got := Merge(local, Record{Key: testKey, Versions: []Version{twin}}, nil).Record; len(got.Versions) != 2 || got.View().Conflicts != 0 {
		t.Errorf("twins: %d siblings, %d conflicts", len(got.Versions), got.View().Conflicts)
	}
	copied := Record{Key: testKey, Versions: []Version{{Dot: dot(3, 3), Stamp: 500, Value: x.Value, Kept: x.Origin()}}, Context: clock.Of(x.Dot)}
	gone := Record{Key: testKey, Versions: []Version{{Dot: dot(2, 9), Stamp: 400, Deleted: true}}, Context: clock.Of(x.Dot)}
	if got := MergeWith(mutant.CopyIsAWrite, gone, copied, nil).Record; !got.View().Live {
		t.Error("CopyIsAWrite did not undo the deletion")
	}
	superseded := Record{Key: testKey, Versions: []Version{y}, Context: clock.Of(x.Dot)}
	if got := MergeWith(mutant.SeenByClockOnly, superseded, local, nil).Record; len(got.Versions) != 2 {
		t.Errorf("SeenByClockOnly did not revive: %v", got.Dots())
	}
	if got := Merge(superseded, local, nil).Record; len(got.Versions) != 1 {
		t.Errorf("revived: %v", got.Dots())
	}
	deletion := Version{Dot: dot(3, 9), Stamp: 1000, Deleted: true}
	both := Merge(local, Record{Key: testKey, Versions: []Version{deletion}}, nil).Record
	if !both.View().Live || both.View().Winner.Dot != x.Dot {
		t.Error("a deletion beat a concurrent live version")
	}
	if both.ViewWith(mutant.HLCDecidesDelete).Live {
		t.Error("HLCDecidesDelete does nothing")
	}
	if m, err := local.SupersedeWith(mutant.DropDeletedRow, deletion, nil); err != nil || !m.Record.Empty() {
		t.Error("DropDeletedRow left a tombstone")
	}
	if m := MergeWith(mutant.DropDeletedRow, Record{}, Record{Key: testKey, Versions: []Version{deletion}}, nil); !m.Record.Empty() {
		t.Error("DropDeletedRow kept a row of deletions")
	}
	late := Version{Dot: dot(1, 9), Stamp: 1, Value: x.Value}
	if _, err := local.SupersedeWith(mutant.StampFromWall, late, nil); err != nil {
		t.Error("StampFromWall checks the stamp")
	}
	if _, err := local.Supersede(late, nil); err == nil {
		t.Error("a stamp below the superseded one was taken")
	}
	other := x
	other.sum, other.Stamp = Hash{}, 5
	clash := Record{Key: testKey, Versions: []Version{other}}
	if m := Merge(local, clash, nil); len(m.Collisions) != 1 || m.Changed || m.Record.Versions[0].Stamp != x.Stamp {
		t.Errorf("collision: %+v", m)
	}
	if m := MergeWith(mutant.CollisionOverwrites, local, clash, nil); m.Record.Versions[0].Stamp != 5 {
		t.Error("CollisionOverwrites does nothing")
	}
	newer := y
	newer.sum, newer.Ext = Hash{}, protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 1)
	remote := Record{Key: testKey, Versions: []Version{newer}, Ext: newer.Ext}
	if m := MergeWith(mutant.StripUnknown, local, remote, nil).Record; len(m.Ext) != 0 || len(m.Find(newer.Dot).Ext) != 0 {
		t.Error("StripUnknown does nothing")
	}
	if m := Merge(local, remote, nil).Record; len(m.Ext) == 0 || len(m.Find(newer.Dot).Ext) == 0 {
		t.Error("unknown fields got lost")
	}
}

func TestSupersede(t *testing.T) {
	x := Version{Dot: dot(1, 1), Stamp: 10, Value: testValue("x"), Content: HashOf("x"), Idem: HashOf("key"), Agent: "ai:x"}
	y := Version{Dot: dot(2, 1), Stamp: 20, Value: testValue("y"), Content: HashOf("y")}
	gone := Version{Dot: dot(3, 1), Stamp: 30, Deleted: true}
	row := Record{Key: testKey, Versions: []Version{x, y, gone}}
	next := Version{Dot: dot(1, 2), Stamp: 31, Value: testValue("z"), Content: HashOf("z")}

	blind, err := row.Supersede(next, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := blind.Record.Dots(); !slices.Equal(got, []clock.Dot{next.Dot}) {
		t.Errorf("siblings %v", got)
	}
	if !blind.Record.Context.Equal(clock.Of(x.Dot, y.Dot, gone.Dot)) || len(blind.Dropped) != 3 || !blind.Changed {
		t.Errorf("%+v", blind)
	}
	if want := []Lost{{Dot: x.Dot, Stamp: 10, Content: x.Content, Agent: "ai:x"}}; !slices.Equal(blind.Record.Lost, want) {
		t.Errorf("lost %+v", blind.Record.Lost)
	}
	if m, ok := blind.Record.FindIdem(x.Idem); !ok || m.Dot != x.Dot || m.Content != x.Content {
		t.Errorf("idem %+v", blind.Record.Idems)
	}

	unseen := dot(7, 7)
	token := clock.Of(x.Dot, unseen)
	exact, err := row.Supersede(next, &token)
	if err != nil {
		t.Fatal(err)
	}
	if got := exact.Record.Dots(); !slices.Equal(got, []clock.Dot{next.Dot, y.Dot}) {
		t.Errorf("siblings %v", got)
	}
	if !exact.Record.Context.Equal(clock.Of(x.Dot, gone.Dot, unseen)) {
		t.Errorf("context %s", exact.Record.Context)
	}
	older := Version{Dot: unseen, Stamp: 5, Value: testValue("older")}
	if m := Merge(exact.Record, Record{Key: testKey, Versions: []Version{older}}, nil); m.Changed {
		t.Error("the version that the writer had read came back")
	}

	for name, bad := range map[string]Version{
		"used dot": {Dot: x.Dot, Stamp: 99, Value: x.Value}, "no dot": {Stamp: 99, Value: x.Value},
		"counter": {Dot: dot(1, clock.MaxCounter+1), Stamp: 99, Value: x.Value}, "stamp": {Dot: next.Dot, Stamp: 30, Value: x.Value},
		"deleted with value": {Dot: next.Dot, Stamp: 99, Value: x.Value, Deleted: true}, "no value": {Dot: next.Dot, Stamp: 99},
		"large": {Dot: next.Dot, Stamp: 99, Value: make([]byte, MaxValue+1)},
	} {
		if _, err := row.Supersede(bad, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var wide clock.Clock
	wide.AddRange(5, 1, MaxSiblings+1)
	if _, err := row.Supersede(next, &wide); err == nil {
		t.Error("a token of a whole history was taken")
	}
	if _, err := blind.Record.Supersede(Version{Dot: x.Dot, Stamp: 99, Value: x.Value}, nil); err == nil {
		t.Error("a superseded dot was used again")
	}
}

func TestVouch(t *testing.T) {
	row := Record{Key: testKey, Versions: []Version{versionOf(dot(1, 4))}, Context: clock.Of(dot(1, 1))}
	node := clock.Of(dot(1, 1), dot(1, 4), dot(2, 2))
	ours, missing, err := row.Vouch(clock.Of(dot(1, 1), dot(1, 4), dot(2, 2), dot(3, 3)), node.Contains)
	if err != nil || !ours.Equal(clock.Of(dot(1, 1), dot(1, 4))) || !missing.Equal(clock.Of(dot(3, 3))) {
		t.Errorf("ours %s, missing %s, %v", ours, missing, err)
	}
	var wide clock.Clock
	wide.AddRange(5, 1, 1<<60)
	if _, _, err := row.Vouch(wide, nil); err == nil {
		t.Error("no bound")
	}
}

func TestView(t *testing.T) {
	live := func(o, c uint64, s clock.Stamp, text string) Version {
		return Version{Dot: dot(o, c), Stamp: s, Value: testValue(text), Content: HashOf(text)}
	}
	dead := func(o, c uint64, s clock.Stamp) Version { return Version{Dot: dot(o, c), Stamp: s, Deleted: true} }
	for name, c := range map[string]struct {
		versions  []Version
		live      bool
		winner    clock.Dot
		conflicts int
	}{
		"empty":               {},
		"one":                 {[]Version{live(1, 1, 5, "a")}, true, dot(1, 1), 0},
		"stamp":               {[]Version{live(1, 1, 5, "a"), live(2, 1, 4, "b")}, true, dot(1, 1), 1},
		"origin breaks a tie": {[]Version{live(1, 2, 5, "a"), live(2, 1, 5, "b")}, true, dot(2, 1), 1},
		"counter then":        {[]Version{live(1, 1, 5, "a"), live(1, 2, 5, "b")}, true, dot(1, 2), 1},
		"twins":               {[]Version{live(1, 1, 5, "a"), live(2, 1, 6, "a"), live(3, 1, 1, "b")}, true, dot(2, 1), 1},
		"deletion loses":      {[]Version{live(1, 1, 5, "a"), dead(2, 1, 9)}, true, dot(1, 1), 0},
		"deleted":             {[]Version{dead(1, 1, 5), dead(2, 1, 4)}, false, dot(1, 1), 0},
	} {
		r := Record{Key: testKey, Versions: c.versions}
		v := r.View()
		if v.Live != c.live || v.Conflicts != c.conflicts || (v.Winner == nil) != (len(c.versions) == 0) {
			t.Errorf("%s: %+v", name, v)
		}
		if v.Winner != nil && v.Winner.Dot != c.winner {
			t.Errorf("%s: winner %s", name, v.Winner.Dot)
		}
		if !v.Token.Equal(clock.Of(r.Dots()...)) {
			t.Errorf("%s: token %s", name, v.Token)
		}
	}
}

// TestViewIsPure: nothing but the siblings decides, and not their order of arrival.
func TestViewIsPure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := garbage(t, "a")
		b := Record{Key: a.Key, Versions: slices.Clone(a.Versions)}
		slices.Reverse(b.Versions)
		v, w := a.View(), b.View()
		if v.Live != w.Live || v.Conflicts != w.Conflicts || !v.Token.Equal(w.Token) || (v.Winner == nil) != (w.Winner == nil) ||
			v.Winner != nil && v.Winner.Dot != w.Winner.Dot {
			t.Fatalf("%+v\n%+v", v, w)
		}
	})
}

func TestMergePanicsOnTwoKeys(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Merge(Record{Key: testKey}, Record{Key: NewKey(KindMemory, "x")}, nil)
}
