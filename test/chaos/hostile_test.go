//go:build chaos && linux

package chaos

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/test/history"
	"github.com/memd/memd/wire"
)

// TestHostilePeer is a smoke: somebody who speaks the protocol of nodes, badly or out of
// another cluster, is refused, and nothing of it stays.
func TestHostilePeer(t *testing.T) {
	m := newMesh(t)
	c := m.client("owner")
	for i := range 30 {
		title := m.name("row")
		if op := c.add(m.nodes[i%3], title, c.content(title), options{}); op.Outcome != history.OK {
			t.Fatalf("add: %d %s", op.Status, op.Note)
		}
	}
	m.quiet(quietLimit)
	before := m.states()
	for _, a := range attacks(m, before[0]) {
		report.round(t, m.attack(a))
	}
	after := m.states()
	for i, n := range m.nodes {
		if before[i] != after[i] {
			t.Errorf("%s was %+v, is %+v", n.name, before[i], after[i])
		}
		if a := n.call(patience, "GET", "/api/v1/health", nil); a.status != 200 {
			t.Errorf("health of %s: %s", n.name, a)
		}
	}
	m.judge()
}

// sight is what no attack may change.
type sight struct{ cluster, digest, clockHash string }

func (m *mesh) states() []sight {
	m.t.Helper()
	var out []sight
	for _, n := range m.nodes {
		var s struct {
			state
			ClusterID string `json:"cluster_id"`
		}
		m.must(n.get("/api/v1/cluster", &s))
		out = append(out, sight{s.ClusterID, s.Digest, s.ClockHash})
	}
	return out
}

// attack is one request to every node, and the statuses that are right.
type attack struct {
	name         string
	method, path string
	body         []byte
	header       http.Header
	want         []int
}

func (m *mesh) attack(a attack) error {
	for _, n := range m.nodes {
		var header []string
		for key, values := range a.header {
			header = append(header, key, values[0])
		}
		got := n.call(patience, a.method, a.path, a.body, header...)
		ok := false
		for _, w := range a.want {
			ok = ok || got.status == w
		}
		if !ok {
			return fmt.Errorf("%s: %s answers %s, want %v", a.name, n.name, got, a.want)
		}
		if got.status >= 400 && !strings.Contains(string(got.body), `"error"`) {
			return fmt.Errorf("%s: %s says %d without an error: %q", a.name, n.name, got.status, got.body)
		}
	}
	return nil
}

func attacks(m *mesh, s sight) []attack {
	own, err := memory.ParseClusterID(s.cluster)
	m.must(err)
	var foreign memory.ClusterID
	rand.Read(foreign[:])
	hello := func(id memory.ClusterID, name string, more ...string) http.Header {
		h := http.Header{}
		wire.Self{Name: name, Cluster: func() memory.ClusterID { return id }, Boot: 7}.Hello().Set(h)
		h.Set("Content-Type", wire.MediaFrames)
		for i := 0; i+1 < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	noise := make([]byte, 4096)
	rand.Read(noise)
	batch, err := wire.AppendBatch(nil, &wire.PushBatch{Seq: 1, Origin: 9, Base: 1, Rows: [][]byte{noise[:300]}})
	m.must(err)
	since := func(id memory.ClusterID, change func(url.Values)) string {
		v := wire.SinceRequest{Peer: "n9", Boot: 7, Cluster: id, Cursor: clock.Of(clock.Dot{Origin: 9, Counter: 1})}.Values()
		if change != nil {
			change(v)
		}
		return wire.PathSince + "?" + v.Encode()
	}
	push := func(name string, body []byte, h http.Header, want ...int) attack {
		return attack{"push: " + name, "POST", wire.PathPush, body, h, want}
	}
	pull := func(name, path string, want ...int) attack {
		return attack{"pull: " + name, "GET", path, nil, hello(own, "n9"), want}
	}
	long := strings.Repeat("x", 200)
	return []attack{
		push("another cluster", batch, hello(foreign, "n9"), 409),
		push("another cluster, under a member's name", batch, hello(foreign, "n2"), 409),
		push("another cluster, as a stream", nil, hello(foreign, "n9", "Connection", "Upgrade", "Upgrade", wire.UpgradeProto), 409),
		push("no cluster", batch, hello(memory.ClusterID{}, "n9"), 400, 409),
		push("noise", noise, hello(own, "n9"), 400, 413),
		push("half a frame", batch[:len(batch)/2], hello(own, "n9"), 400),
		push("a frame and noise", append(append([]byte(nil), batch...), noise...), hello(own, "n9"), 400, 413), // what is read as a length is now too long, now corrupt
		push("nothing", []byte{}, hello(own, "n9"), 200, 400),
		push("more than allowed", make([]byte, 20<<20), hello(own, "n9"), 400, 413),
		push("no name", batch, hello(own, ""), 400),
		push("an endless name", batch, hello(own, long), 400),
		push("another protocol", batch, hello(own, "n9", wire.HeaderProto, "9"), 409),
		push("as JSON that is none", []byte(`{"sender_agent_id":`), hello(own, "n9", "Content-Type", "application/json"), 400),
		push("as JSON without a sender", []byte(`{"memories":[]}`), hello(own, "n9", "Content-Type", "application/json"), 400),
		push("as JSON, a thousand and one rows", []byte(`{"sender_agent_id":"x","memories":[`+strings.Repeat("{},", 1000)+`{}]}`), hello(own, "n9", "Content-Type", "application/json"), 400),
		pull("another cluster", since(foreign, nil), 409),
		pull("a cursor that is none", since(own, func(v url.Values) { v.Set("cursor", "!!!") }), 400),
		pull("a cursor cut short", since(own, func(v url.Values) { v.Set("cursor", v.Get("cursor")[:5]) }), 400),
		pull("another scope", since(own, func(v url.Values) { v.Set("scope", "acme") }), 400, 421),
		pull("a limit below zero", since(own, func(v url.Values) { v.Set("limit_bytes", "-1") }), 400),
		pull("a time that is none", wire.PathSince+"?since=yesterday", 400),
		{"a verb that is none", "TRACE", wire.PathPush, nil, hello(own, "n9"), []int{405}},
	}
}

// TestForgedRows: frames in good form whose rows are noise are not taken, and are
// answered without an acknowledgement.
func TestForgedRows(t *testing.T) {
	m := newMesh(t)
	before := m.states()
	own, err := memory.ParseClusterID(before[0].cluster)
	m.must(err)
	noise := make([]byte, 300)
	rand.Read(noise)
	body, err := wire.AppendBatch(nil, &wire.PushBatch{Seq: 1, Origin: 9, Base: 1, Rows: [][]byte{noise}})
	m.must(err)
	h := http.Header{}
	wire.Self{Name: "n9", Cluster: func() memory.ClusterID { return own }, Boot: 7}.Hello().Set(h)
	h.Set("Content-Type", wire.MediaFrames)
	for _, n := range m.nodes {
		var header []string
		for key := range h {
			header = append(header, key, h.Get(key))
		}
		a := n.call(patience, "POST", wire.PathPush, body, header...)
		if a.status >= 500 || a.err != nil {
			t.Fatalf("%s: %s", n.name, a)
		}
		if a.status == 200 {
			acks, err := wire.ReadAcks(strings.NewReader(string(a.body)))
			if err != nil || len(acks) != 1 || acks[0].Result == wire.AckOK {
				t.Fatalf("%s acknowledges noise: %+v, %v", n.name, acks, err)
			}
		}
	}
	after := m.states()
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("%s was %+v, is %+v", m.nodes[i].name, before[i], after[i])
		}
	}
	report.round(t, nil)
}
