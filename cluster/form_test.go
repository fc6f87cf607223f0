package cluster

import (
	"strings"
	"testing"
)

func TestForm(t *testing.T) {
	one, two := ID{1}, ID{2}
	at := func(name string, id ID, s State) Member { return Member{Name: name, Meta: Meta{Cluster: id}, State: s} }
	up := func(name string) Member { return at(name, ID{}, StateAlive) }
	for _, tt := range []struct {
		name   string
		self   Member
		seen   []Member
		expect int
		join   bool
		want   Formation
		id     ID
		reason string
	}{
		{"alone, nobody expected", up("a"), nil, 1, false, Mint, ID{}, ""},
		{"expect 0 is 1", up("a"), nil, 0, false, Mint, ID{}, ""},
		{"sees itself only", up("a"), []Member{up("a")}, 1, false, Mint, ID{}, ""},
		{"formed", at("a", one, StateAlive), []Member{at("b", two, StateAlive)}, 3, true, Formed, one, ""},
		{"seeds, nobody answers", up("a"), nil, 1, true, Wait, ID{}, "1 of 2"},
		{"seeds, itself only", up("a"), []Member{up("a")}, 1, true, Wait, ID{}, "1 of 2"},
		{"seeds, a new peer, smallest", up("a"), []Member{up("b")}, 1, true, Mint, ID{}, ""},
		{"seeds, a new peer, not smallest", up("b"), []Member{up("a")}, 1, true, Wait, ID{}, "a founds"},
		{"expect 3, two here", up("a"), []Member{up("b")}, 3, true, Wait, ID{}, "2 of 3"},
		{"expect 3, no seeds, two here", up("a"), []Member{up("b")}, 3, false, Wait, ID{}, "2 of 3"},
		{"expect 3, all here, smallest", up("a"), []Member{up("c"), up("b"), up("a")}, 3, true, Mint, ID{}, ""},
		{"expect 3, all here, not smallest", up("c"), []Member{up("a"), up("b")}, 3, false, Wait, ID{}, "a founds"},
		{"more than expected", up("a"), []Member{up("b"), up("c"), up("d")}, 3, false, Mint, ID{}, ""},
		{"a name counts once", up("a"), []Member{up("b"), up("b")}, 3, false, Wait, ID{}, "2 of 3"},
		{"the dead do not count", up("a"), []Member{up("b"), at("c", ID{}, StateDead)}, 3, false, Wait, ID{}, "2 of 3"},
		{"those who left do not count", up("b"), []Member{at("a", ID{}, StateLeft), up("c")}, 2, false, Mint, ID{}, ""},
		{"an id is adopted below expect", up("a"), []Member{at("z", one, StateAlive)}, 5, false, Adopt, one, "of z"},
		{"several of one id", up("a"), []Member{at("y", one, StateAlive), at("z", one, StateAlive), up("b")}, 3, true, Adopt, one, ""},
		{"two ids", up("a"), []Member{at("y", one, StateAlive), at("z", two, StateAlive)}, 3, true, Split, ID{}, "of y"},
		{"two ids, expect 1", up("a"), []Member{at("y", one, StateAlive), at("z", two, StateAlive)}, 1, false, Split, ID{}, ""},
		{"the living first", up("a"), []Member{at("y", one, StateDead), at("z", two, StateAlive)}, 3, true, Adopt, two, ""},
		{"a dead member's id rather than a new one", up("a"), []Member{at("y", one, StateDead), up("b")}, 2, true, Adopt, one, ""},
		{"id of one who left", up("a"), []Member{at("y", one, StateLeft)}, 1, false, Adopt, one, ""},
		{"two ids of the dead", up("a"), []Member{at("y", one, StateDead), at("z", two, StateLeft)}, 1, false, Split, ID{}, ""},
		{"an own former id is no vote", up("a"), []Member{at("a", one, StateAlive)}, 1, false, Mint, ID{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Form(tt.self, tt.seen, tt.expect, tt.join)
			if got.Formation != tt.want || got.ID != tt.id || !strings.Contains(got.Reason, tt.reason) {
				t.Fatalf("got %v %v %q, want %v %v with %q", got.Formation, got.ID, got.Reason, tt.want, tt.id, tt.reason)
			}
		})
	}
}

// However many brand-new nodes see each other, exactly one of them mints.
func TestFormOneMints(t *testing.T) {
	var all []Member
	for _, n := range []string{"n3", "n1", "n2", "n10", "N1"} {
		all = append(all, Member{Name: n})
	}
	mints := 0
	for _, self := range all {
		if Form(self, all, len(all), true).Formation == Mint {
			mints++
		}
	}
	if mints != 1 {
		t.Fatalf("%d nodes mint", mints)
	}
}
