package memory

import (
	"testing"

	"github.com/memd/memd/clock"
)

// copyOnce is a record whose shown version has been written anew by a node.
func copyOnce(t *testing.T, r Record, d clock.Dot) Record {
	t.Helper()
	w := r.View().Winner
	m, err := r.Supersede(Version{Dot: d, Stamp: r.StampAfter(nil) + 1, Value: w.Value, Content: w.Content, Kept: w.Origin()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m.Record
}

// TestMatchOfAnOlderCopy: who has read a copy writes over the next one, at every node alike.
func TestMatchOfAnOlderCopy(t *testing.T) {
	first := copyOnce(t, Record{Key: testKey, Versions: []Version{versionOf(dot(1, 1))}}, dot(2, 1))
	token := first.View().Token
	second := copyOnce(t, first, dot(2, 2))
	update := Version{Dot: dot(3, 1), Stamp: 1 << 40, Value: testValue("new"), Content: HashOf("new")}
	here, err := second.Supersede(update, &token)
	if err != nil {
		t.Fatal(err)
	}
	there, err := first.Supersede(update, &token)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Record{here.Record, join(second, there.Record)} {
		if len(r.Versions) != 1 || r.Versions[0].Dot != update.Dot {
			t.Errorf("%v", r.Dots())
		}
	}
}

// TestDeletionOfWhatWasShown: all that a reader was shown goes, also what has been copied
// again meanwhile.
func TestDeletionOfWhatWasShown(t *testing.T) {
	first := copyOnce(t, Record{Key: testKey, Versions: []Version{versionOf(dot(1, 1))}}, dot(2, 1))
	other := Record{Key: testKey, Versions: []Version{{Dot: dot(5, 1), Stamp: 1, Value: testValue("z"), Content: HashOf("z")}}}
	token := join(first, other).View().Token
	second := join(copyOnce(t, first, dot(2, 2)), other)
	ours, missing, _ := second.Vouch(token, nil)
	m, err := second.Supersede(Version{Dot: dot(3, 1), Stamp: 1 << 40, Deleted: true}, &ours)
	if err != nil || !missing.Empty() {
		t.Fatal(err, missing)
	}
	if m.Record.View().Live {
		t.Errorf("lives on: %v", m.Record.Dots())
	}
}

// TestTheLongestCopyIsShown: of two copies of one, whichever was made later.
func TestTheLongestCopyIsShown(t *testing.T) {
	one := versionOf(dot(1, 1))
	start := Record{Key: testKey, Versions: []Version{one}}
	with := func(d clock.Dot, stamp clock.Stamp, lasts uint64) Record {
		m, err := start.Supersede(Version{Dot: d, Stamp: stamp, Value: one.Value, Content: one.Content, Kept: one.Origin(), Lasts: lasts}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m.Record
	}
	v := join(with(dot(2, 1), one.Stamp+1, 1<<63), with(dot(3, 1), one.Stamp+9, 5)).View()
	if v.Winner.Dot != dot(2, 1) || v.Conflicts != 0 {
		t.Errorf("%s is shown, %d conflicts", v.Winner.Dot, v.Conflicts)
	}
}
