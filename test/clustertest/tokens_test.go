package clustertest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
)

const patience = 500 * time.Millisecond // of a read with a token

func TestTokenCoveredAtOnce(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		w := c.Node(1).Store("title", "content", clustertest.W("3")).Want(201)
		for _, n := range c.Running() {
			got := n.Get(w.ID, clustertest.After(w.Token)).Want(200)
			if got.Took > 0 || got.Memory.Content != "content" {
				t.Errorf("%s: %v", n.Label, got)
			}
			if n.Metric("memd_pull_total", "trigger=token") != 0 {
				t.Errorf("%s pulled for it", n.Label)
			}
		}
	})
}

// n3 gets no pushes: the read brings what it lacks.
func TestTokenPulls(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		c.Cut(clustertest.Pushes, c.Node(1), c.Node(3))
		w := c.Node(1).Store("title", "content").Want(201)
		c.Node(3).Get(w.ID).Want(404)
		got := c.Node(3).Get(w.ID, clustertest.After(w.Token)).Want(200)
		if got.Took > 50*time.Millisecond {
			t.Errorf("took %v", got.Took)
		}
		if n := c.Node(3).Metric("memd_pull_total", "trigger=token"); n == 0 {
			t.Error("no pull for the token")
		}
		if n := c.Node(3).Metric("memd_pull_rows_total", "kind=redundant"); n != 0 {
			t.Errorf("%v redundant rows", n)
		}
	})
}

// The read begins while n3 is cut off and ends soon after it is not.
func TestTokenWaits(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode memnet.Mode) {
		c := clustertest.New(t, 3)
		c.Net.Isolate(mode, "n3")
		w := c.Node(1).Store("title", "content").Want(201)
		read := make(chan clustertest.Answer)
		go func() { read <- c.Node(3).Get(w.ID, clustertest.After(w.Token)) }()
		time.Sleep(200 * time.Millisecond)
		c.Heal()
		got := (<-read).Want(200)
		t.Logf("took %v", got.Took)
		if got.Took < 200*time.Millisecond || got.Took > patience {
			t.Errorf("took %v", got.Took)
		}
	})
}

func TestTokenOutOfReach(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode memnet.Mode) {
		c := clustertest.New(t, 3)
		old := c.Node(1).Store("old", "content", clustertest.W("3")).Want(201)
		c.Net.Isolate(mode, "n3")
		w := c.Node(1).Store("title", "content").Want(201)
		n3 := c.Node(3)
		origin, counter, _ := strings.Cut(w.Dot, ":")
		for _, a := range []clustertest.Answer{
			n3.Get(w.ID, clustertest.After(w.Token)),
			n3.List(clustertest.After(w.Token)),
			n3.Do("GET", "/api/v1/stats", nil, clustertest.After(w.Token)),
			n3.Update(old.ID, "other", clustertest.Match(w.Token)),
			n3.Delete(old.ID, clustertest.Match(w.Token)),
		} {
			a.Want(425)
			if a.Took != patience || len(a.Missing) != 1 || a.Missing[origin] != counter || a.Code != "BEHIND" || a.Header.Get("Retry-After") == "" {
				t.Error(a)
			}
		}
		// What it has is not held up.
		if a := n3.Get(old.ID, clustertest.After(old.Token)).Want(200); a.Took > 0 {
			t.Error(a)
		}
		n3.Get(old.ID, clustertest.After("nonsense")).Want(400)
		c.Heal()
		c.WaitEqual()
		n3.Get(w.ID, clustertest.After(w.Token)).Want(200)
	})
}

// One chain of read and write goes round the nodes, each of which pushes to one peer
// only: what the next one needs it has to fetch.
func TestReadYourWrites(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		for i := range 3 {
			c.Cut(clustertest.Pushes, c.Node(i+1), c.Node((i+1)%3+1))
		}
		w := c.Node(1).Store("chain", "0").Want(201)
		token := w.Token
		for i := range 60 {
			n := c.Node(i%3 + 1)
			got := n.Get(w.ID, clustertest.After(token)).Want(200)
			if got.Memory.Content != fmt.Sprint(i) || got.Memory.Conflicts != 0 {
				t.Fatalf("step %d: %v", i, got)
			}
			next := n.Update(w.ID, fmt.Sprint(i+1), clustertest.Match(got.Memory.Token)).Want(200)
			if next.Content != fmt.Sprint(i+1) || next.Conflicts != 0 {
				t.Fatalf("step %d: %v", i, next)
			}
			token = next.Token
		}
		c.WaitEqual()
		for _, n := range c.Running() {
			got := n.Get(w.ID, clustertest.Conflicts()).Want(200)
			if got.Memory.Content != "60" || len(got.Siblings) != 0 {
				t.Errorf("%s: %v", n.Label, got)
			}
		}
	})
}

func TestIdempotency(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) {
		c := clustertest.New(t, 3)
		key := clustertest.Idempotency("once")
		w := c.Node(1).Store("title", "content", key, clustertest.W("3")).Want(201)
		for _, n := range c.Running() {
			again := n.Store("title", "content", key).Want(201)
			if again.ID != w.ID || again.Dot != w.Dot || !again.Existing || again.Acks < 2 {
				t.Errorf("%s: %v, first %v", n.Label, again, w)
			}
			if a := n.Store("title", "another content", key).Want(400); !strings.Contains(a.Error, "another request") {
				t.Errorf("%s: %v", n.Label, a)
			}
		}
		// After it was overwritten elsewhere, a late retry must not put the old text back.
		c.Node(3).Update(w.ID, "newer").Want(200)
		c.WaitEqual()
		for _, n := range c.Running() {
			again := n.Store("title", "content", key).Want(201)
			if again.ID != w.ID || !again.Existing {
				t.Errorf("%s: %v", n.Label, again)
			}
			if got := n.Get(w.ID).Want(200); got.Memory.Content != "newer" {
				t.Errorf("%s: %v", n.Label, got)
			}
		}
		// A delete said twice is one.
		d := c.Node(1).Delete(w.ID, clustertest.Idempotency("gone")).Want(200)
		if again := c.Node(1).Delete(w.ID, clustertest.Idempotency("gone")).Want(200); again.Dot != d.Dot {
			t.Error(again, d)
		}
	})
}

// The first try reached only the disk of a node that was cut off; the client goes to
// another one with the same key.
func TestIdempotencyBeforeReplication(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode memnet.Mode) {
		c := clustertest.New(t, 3)
		c.Net.Isolate(mode, "n1")
		key := clustertest.Idempotency("once")
		first := c.Node(1).Store("title", "content", key)
		missed(t, first, 1, 2)
		second := c.Node(2).Store("title", "content", key).Want(201)
		if second.ID != first.ID || second.Dot == first.Dot {
			t.Errorf("%v, first %v", second, first)
		}
		c.Heal()
		c.WaitEqual()
		for _, n := range c.Running() {
			got := n.Get(first.ID, clustertest.Conflicts()).Want(200)
			if got.Memory.Conflicts != 0 || len(got.Siblings) != 0 || len(n.List().Memories) != 1 {
				t.Errorf("%s: %v", n.Label, got)
			}
			third := n.Store("title", "content", key).Want(201)
			if third.ID != first.ID || !third.Existing {
				t.Errorf("%s: %v", n.Label, third)
			}
		}
	})
}
