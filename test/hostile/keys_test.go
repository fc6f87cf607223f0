package hostile

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memd/memd/auth"
)

// keyRows are who may come in, and as whom.
func keyRows(_ *testing.T, n *target) []row {
	draft := `{"title":"` + canary + `","content":"` + canary + `","namespace":"alice"}`
	wrong := n.keys["alice"][:len(n.keys["alice"])-1] + "~"
	post := func(r request) request { r.method, r.path, r.body = "POST", "/api/v1/memories", draft; return r }
	return []row{
		{n: 43, name: "agent of another principal", req: post(request{key: "alice", header: map[string]string{"X-Agent-Id": "ai:bob"}}), want: []int{403}},
		{n: 43, name: "in the body", req: request{method: "POST", path: "/api/v1/memories", key: "alice",
			body: `{"title":"x","content":"x","namespace":"alice","agent_id":"ai:bob"}`}, want: []int{403}},
		{n: 43, name: "in the metadata", req: request{method: "POST", path: "/api/v1/memories/bulk", key: "alice",
			body: `[{"title":"x","content":"x","namespace":"alice","metadata":{"agent_id":"ai:bob"}}]`}, want: []int{200},
			why: "bulk reports each item in errors, with 200", look: func(t *testing.T, a answer) {
				if !strings.Contains(a.body, `"created":0`) || !strings.Contains(a.body, "forbidden") {
					t.Errorf("%s", a.body)
				}
			}},
		{n: 43, name: "of a read", req: request{method: "GET", path: "/api/v1/memories", key: "alice", header: map[string]string{"X-Agent-Id": "ai:bob"}}, want: []int{403}},
		{n: 43, name: "over MCP", req: request{method: "POST", path: "/mcp", key: "alice", body: `{}`, header: map[string]string{"X-Agent-Id": "ai:bob"}}, want: []int{403}},
		{n: 46, name: "no key", req: post(request{key: "-"}), want: []int{401}},
		{n: 46, name: "no key on MCP", req: request{method: "POST", path: "/mcp", key: "-", body: `{}`}, want: []int{401}},
		{n: 46, name: "no key on a pull", req: request{method: "GET", path: "/api/v1/sync/since?cursor=&v=2", key: "-"}, want: []int{401}},
		{n: 46, name: "no key on a push stream", req: request{method: "POST", path: "/api/v1/sync/push", key: "-", header: map[string]string{"Connection": "Upgrade", "Upgrade": "x"}}, want: []int{401}},
		{n: 46, name: "no key where nothing is", req: request{method: "GET", path: "/nothing", key: "-"}, want: []int{401}},
		{n: 47, name: "wrong key of the same length", req: post(request{key: "-", header: map[string]string{"X-Api-Key": wrong}}), want: []int{401}},
		{n: 47, name: "as a bearer", req: post(request{key: "-", header: map[string]string{"Authorization": "Bearer " + wrong}}), want: []int{401}},
		{n: 47, name: "takes the same time wherever it is wrong", do: equalTime},
		{n: 48, name: "in the query", req: request{method: "GET", path: "/api/v1/memories?api_key=" + n.keys["admin"], key: "-"}, want: []int{401}},
		{n: 48, name: "in the query beside a right one", req: request{method: "GET", path: "/api/v1/memories?api_key=" + n.keys["admin"]}, want: []int{401}},
		{n: 49, name: "20,000 wrong keys a minute", do: flood},
		{n: 60, name: "pull without the scope", req: request{method: "GET", path: "/api/v1/sync/since?cursor=&v=2", key: "reader"}, want: []int{403}},
		{n: 60, name: "posted", req: request{method: "POST", path: "/api/v1/sync/since", key: "alice", body: "cursor=", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, want: []int{403}},
		{n: 60, name: "frames", req: request{method: "POST", path: "/api/v1/sync/push", key: "alice", body: "x", header: map[string]string{"Content-Type": "application/vnd.memd.frames"}}, want: []int{403}},
		{n: 60, name: "stream", req: request{method: "POST", path: "/api/v1/sync/push", key: "alice", header: map[string]string{"Connection": "Upgrade", "Upgrade": "x"}}, want: []int{403}},
		{n: 60, name: "a peer reads no memories by itself", req: request{method: "GET", path: "/api/v1/memories", key: "peer"}, want: []int{403}},
		{n: 80, name: "metrics from elsewhere", req: request{method: "GET", path: "/metrics", key: "-", host: 7}, want: []int{401}},
		{n: 80, name: "metrics with a key that is not for it", req: request{method: "GET", path: "/metrics", key: "peer", host: 7}, want: []int{403}},
		{n: 80, name: "metrics with a key for one namespace", req: request{method: "GET", path: "/metrics", key: "alice", host: 7}, want: []int{403}},
		{n: 80, name: "the original's metrics", req: request{method: "GET", path: "/api/v1/metrics", key: "-", host: 7}, want: []int{401}},
		{n: 80, name: "through a proxy of this machine", req: request{method: "GET", path: "/metrics", key: "-", header: map[string]string{"X-Forwarded-For": "192.0.2.9"}}, want: []int{401}},
		{n: 80, name: "profiles", req: request{method: "GET", path: "/debug/pprof/heap", key: "-", host: 7}, want: []int{401}},
		{n: 80, name: "profiles are off", req: request{method: "GET", path: "/debug/pprof/heap", host: 7}, want: []int{404}, why: "off is not there: 404 for whoever has a key"},
	}
}

// flood sends wrong keys from one address, at more than 20,000 a minute, while others work.
func flood(t *testing.T, n *target) {
	requests := 20_000
	if testing.Short() {
		requests = 4_000
	}
	begun := time.Now()
	attacker := n.from(t, 9)
	var refused, slowed atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range requests / 4 {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+n.addr+"/api/v1/memories", nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("X-Api-Key", canary)
				res, err := attacker.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				switch {
				case res.StatusCode == 401:
					refused.Add(1)
				case res.StatusCode == 429 && res.Header.Get("Retry-After") != "":
					slowed.Add(1)
				default:
					t.Errorf("status %d", res.StatusCode)
				}
			}
		})
	}
	for _, r := range []request{
		{method: "GET", path: "/api/v1/memories", key: "alice"},
		{method: "GET", path: "/api/v1/memories", key: "alice", host: 8},
		{method: "GET", path: "/api/v1/memories", key: "bob", host: 9}, // the attacker's neighbour
	} {
		if a := n.send(t, r); a.status != 200 {
			t.Errorf("another one at %d: %d %s", r.host, a.status, a.body)
		}
	}
	wg.Wait()
	if int(slowed.Load()) < requests*8/10 || refused.Load() == 0 {
		t.Errorf("of %d wrong keys %d were answered 401 and %d 429", requests, refused.Load(), slowed.Load())
	}
	took := time.Since(begun)
	t.Logf("%d wrong keys in %s: %d were 401, %d were 429", requests, took.Round(time.Millisecond), refused.Load(), slowed.Load())
	if perMinute := float64(requests) / took.Minutes(); perMinute < 20_000 {
		t.Logf("only %.0f a minute on this machine, now", perMinute)
	}
}

// equalTime compares how long keys take that are wrong in their first and in their last
// character, and are of nobody. The least of many is taken: what a busy machine adds is
// never less than nothing. Over a connection the difference would drown, and 30 wrong keys
// are all that an address may try at once.
func equalTime(t *testing.T, n *target) {
	keys, err := auth.Open(auth.Config{File: n.file})
	if err != nil {
		t.Fatal(err)
	}
	right := n.keys["alice"]
	at := strings.LastIndexByte(right, '_') + 1
	flip := func(i int) string {
		b := []byte(right)
		if b[i] == 'A' {
			b[i] = 'B'
		} else {
			b[i] = 'A'
		}
		return string(b)
	}
	wrong := []string{flip(at), flip((at + len(right)) / 2), flip(len(right) - 1)}
	const calls, rounds, tries = 100, 400, 5
	var spread float64
	for range tries {
		least := []time.Duration{time.Hour, time.Hour, time.Hour}
		for range rounds {
			for i, key := range wrong {
				begun := time.Now()
				for range calls {
					if keys.Check(key) != nil {
						t.Fatal("a wrong key is let in")
					}
				}
				least[i] = min(least[i], time.Since(begun))
			}
		}
		if spread = float64(slices.Max(least))/float64(slices.Min(least)) - 1; spread < 0.05 {
			t.Logf("first, middle, last character wrong: %v for %d calls each", least, calls)
			return
		}
	}
	t.Errorf("wrong keys differ by %.1f %% in time", 100*spread)
}
