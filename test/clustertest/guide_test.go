package clustertest_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/memd/memd/test/clustertest"
	"github.com/memd/memd/test/clustertest/memnet"
)

type object = map[string]any

// standardOf is what a node says of a namespace's standard.
func standardOf(t *testing.T, n *clustertest.Node, ns string) (id, content, governance string) {
	t.Helper()
	a := n.Do("GET", "/api/v1/namespaces?namespace="+url.QueryEscape(ns), nil).Want(200)
	var s struct {
		ID         string          `json:"standard_id"`
		Content    string          `json:"content"`
		Governance json.RawMessage `json:"governance"`
	}
	if err := json.Unmarshal([]byte(a.Raw), &s); err != nil {
		t.Fatal(err)
	}
	return s.ID, s.Content, string(s.Governance)
}

// agentsOf are a node's registered agents: id to type.
func agentsOf(t *testing.T, n *clustertest.Node) map[string]string {
	t.Helper()
	a := n.Do("GET", "/api/v1/agents", nil).Want(200)
	var list struct {
		Count  int `json:"count"`
		Agents []struct {
			ID   string `json:"agent_id"`
			Type string `json:"agent_type"`
		} `json:"agents"`
	}
	if err := json.Unmarshal([]byte(a.Raw), &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, x := range list.Agents {
		out[x.ID] = x.Type
	}
	if list.Count != len(out) {
		t.Errorf("%s: %s", n.Label, a.Raw)
	}
	return out
}

// A node that was stopped for however long has the standards and the agents that came,
// changed and went meanwhile, at its first read.
func TestStandardsAndAgentsWhileAsleep(t *testing.T) {
	for _, asleep := range []time.Duration{time.Second, 40 * time.Second, 20 * time.Minute} {
		t.Run(asleep.String(), func(t *testing.T) {
			inBothModes(t, func(t *testing.T, mode memnet.Mode) {
				c := clustertest.New(t, 3)
				n1, n2, n3 := c.Node(1), c.Node(2), c.Node(3)
				everybody := clustertest.W("3")
				set := func(n *clustertest.Node, body object, ask ...clustertest.Ask) string {
					t.Helper()
					a := n.Do("POST", "/api/v1/namespaces", body, ask...).Want(201)
					var s struct {
						ID string `json:"standard_id"`
					}
					if err := json.Unmarshal([]byte(a.Raw), &s); err != nil {
						t.Fatal(err)
					}
					return s.ID
				}
				register := func(n *clustertest.Node, id, kind string, ask ...clustertest.Ask) {
					t.Helper()
					n.Do("POST", "/api/v1/agents", object{"agent_id": id, "agent_type": kind}, ask...).Want(201)
				}
				rules := n3.Store("rules", "be kind", everybody).Want(201)
				doomed := n3.Store("doomed", "to go", everybody).Want(201)
				set(n3, object{"namespace": "changed", "id": rules.ID}, everybody)
				set(n3, object{"namespace": "cleared", "id": rules.ID}, everybody)
				set(n3, object{"namespace": "gone", "id": doomed.ID}, everybody)
				register(n3, "ai:old", "ai:x", everybody)

				n3.Sleep(mode)
				time.Sleep(asleep / 2)
				want := map[string]string{"ai:old": "human"}
				made := map[string]string{}
				for i := range 20 {
					n := c.Node(i%2 + 1)
					ns, agent := fmt.Sprintf("org/unit%d", i), fmt.Sprintf("ai:new/%d", i)
					made[ns] = set(n, object{"namespace": ns, "governance": object{"write": "owner"}})
					register(n, agent, "ai:y")
					want[agent] = "ai:y"
				}
				set(n1, object{"namespace": "changed", "id": rules.ID, "governance": object{"write": "any"}})
				n2.Update(rules.ID, "be quick").Want(200)
				n2.Do("DELETE", "/api/v1/namespaces/cleared/standard", nil).Want(200)
				n1.Delete(doomed.ID).Want(200)
				register(n2, "ai:old", "human")
				time.Sleep(asleep / 2)
				n3.Wake()

				if got := agentsOf(t, n3); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%d agents of %d: %v", len(got), len(want), got)
				}
				for ns, id := range made {
					if got, _, g := standardOf(t, n3, ns); got != id || g != `{"write":"owner"}` {
						t.Errorf("%s: %s %s, want %s", ns, got, g, id)
					}
				}
				if id, content, g := standardOf(t, n3, "changed"); id != rules.ID || content != "be quick" || g != `{"write":"any"}` {
					t.Errorf("%s %s %s", id, content, g)
				}
				for _, ns := range []string{"cleared", "gone"} {
					if id, _, _ := standardOf(t, n3, ns); id != "" {
						t.Errorf("%s is %s", ns, id)
					}
				}
				c.WaitEqual()
			})
		})
	}
}

// One namespace and one agent are told to both sides of a cut network: one record each,
// one memory for the standard, and everybody shows the same.
func TestStandardsOnBothSides(t *testing.T) {
	inBothModes(t, func(t *testing.T, mode memnet.Mode) {
		c := clustertest.New(t, 3)
		c.Partition(mode, "n1 n2 | n3")
		one := clustertest.W("1")
		for _, n := range []*clustertest.Node{c.Node(1), c.Node(3)} {
			n.Do("POST", "/api/v1/namespaces", object{"namespace": "same"}, one).Want(201)
			n.Do("POST", "/api/v1/namespaces", object{"namespace": "other", "governance": object{"write": "any", "by": n.Label}}, one).Want(201)
			n.Do("POST", "/api/v1/agents", object{"agent_id": "ai:a", "agent_type": "ai:" + n.Label}, one).Want(201)
			n.Do("POST", "/api/v1/agents", object{"agent_id": "ai:b", "agent_type": "human"}, one).Want(201)
		}
		c.Heal()
		c.WaitEqual()
		first := ""
		for _, n := range c.Running() {
			// What was said in two ways is a conflict that is counted; what was said twice is none.
			if s := n.Status(); s.Conflicts != 2 || len(n.List().Memories) != 2 {
				t.Errorf("%s: %d conflicts, %v", n.Label, s.Conflicts, n.List())
			}
			id, _, g := standardOf(t, n, "other")
			agents := agentsOf(t, n)
			shown := fmt.Sprint(id, g, agents)
			if first == "" {
				first = shown
			}
			if shown != first || id == "" || len(agents) != 2 {
				t.Errorf("%s: %s, others %s", n.Label, shown, first)
			}
		}
		// Who speaks next settles it.
		c.Node(2).Do("POST", "/api/v1/namespaces", object{"namespace": "other", "governance": object{"write": "owner"}}).Want(201)
		c.Node(3).Do("POST", "/api/v1/agents", object{"agent_id": "ai:a", "agent_type": "ai:z"}).Want(201)
		c.WaitEqual()
		for _, n := range c.Running() {
			if _, _, g := standardOf(t, n, "other"); g != `{"write":"owner"}` || agentsOf(t, n)["ai:a"] != "ai:z" || n.Status().Conflicts != 0 {
				t.Errorf("%s: %s %v, %d conflicts", n.Label, g, agentsOf(t, n), n.Status().Conflicts)
			}
		}
	})
}
