package clustertest_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/memd/memd/test/clustertest"
)

// Two agents read one memory and update it at two nodes in the same moment. Whatever comes
// of it, nothing is lost without a word: either one of them is told so (412), or both
// stand, every node lists the one that is not shown, and who has read the pair puts one
// version in the place of both; from then on every node lists what lost.
func TestUpdatesInOneMoment(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		w := c.Node(1).Store("title", "base", clustertest.W("3")).Want(201)
		token, pairs, refused := w.Token, 0, 0
		for round := range 30 {
			var said [2]clustertest.Answer
			var both sync.WaitGroup
			for i := range said {
				both.Go(func() {
					n := c.Node((round+i)%3 + 1)
					said[i] = n.Update(w.ID, fmt.Sprintf("round %d at %s", round, n.Label), clustertest.Match(token), clustertest.After(token))
				})
			}
			both.Wait()
			c.WaitEqual()
			stand := slices.DeleteFunc(said[:], func(a clustertest.Answer) bool {
				if a.Status == 412 {
					refused++
				} else if a.Status != 200 {
					t.Fatal(a)
				}
				return a.Status == 412
			})
			if len(stand) == 0 {
				t.Fatal("both are refused")
			}
			if len(stand) == 1 { // the other was told: it reads again and goes on
				token = c.Node(3).Get(w.ID).Want(200).Memory.Token
				continue
			}
			pairs++
			shown, loser := "", clustertest.Answer{}
			for _, n := range c.Running() {
				got := n.Get(w.ID, clustertest.Conflicts()).Want(200)
				if got.Memory.Conflicts != 1 || len(got.Siblings) != 1 || n.Status().Conflicts != 1 {
					t.Fatalf("%s: %v", n.Label, got)
				}
				i := slices.IndexFunc(stand, func(a clustertest.Answer) bool { return a.Dot == got.Siblings[0].Dot })
				if i < 0 || got.Siblings[0].Memory.Content != stand[i].Content || got.Memory.Content != stand[1-i].Content {
					t.Fatalf("%s: %v", n.Label, got)
				}
				if shown == "" {
					shown, loser, token = got.Memory.Content, stand[i], got.Memory.Token
				}
				if got.Memory.Content != shown || got.Memory.Token != token {
					t.Fatalf("%s shows %v, others %s", n.Label, got, shown)
				}
			}
			// Half of the pair is not enough: what was not read stays.
			half := c.Node(1).Update(w.ID, "half", clustertest.Match(stand[0].Token)).Want(200)
			if half.Conflicts != 1 {
				t.Fatal(half)
			}
			c.WaitEqual() // a node that had not heard of it would rightly take another for the same half
			if round%2 == 0 {
				c.Node(2).Update(w.ID, "too late", clustertest.Match(stand[0].Token)).Want(412)
			}
			pair := c.Node(3).Get(w.ID, clustertest.Conflicts()).Want(200)
			if pair.Memory.Conflicts != 1 {
				t.Fatal(pair)
			}
			token = c.Node(2).Update(w.ID, fmt.Sprintf("round %d, decided", round), clustertest.Match(pair.Memory.Token)).Want(200).Token
			c.WaitEqual()
			for _, n := range c.Running() {
				if got := n.Get(w.ID, clustertest.Conflicts()).Want(200); got.Memory.Conflicts != 0 || len(got.Siblings) != 0 || got.Memory.Content != fmt.Sprintf("round %d, decided", round) {
					t.Fatalf("%s: %v", n.Label, got)
				}
				lost := n.Do("GET", "/api/v1/memories/"+w.ID+"/revisions", nil).Want(200)
				found := false
				for _, r := range lost.Revisions {
					found = found || r.Dot == loser.Dot && r.Agent == "tester"
				}
				if !found {
					t.Fatalf("%s does not list %s: %v", n.Label, loser.Dot, lost)
				}
			}
		}
		t.Logf("%d pairs stood, %d writers were refused", pairs, refused)
		if pairs == 0 {
			t.Error("no two writes met: nothing was shown")
		}
	})
}
