package hostile

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/node"
	"github.com/memd/memd/trust"
	"github.com/memd/memd/wire"
)

// peerRows are what somebody with a peer's key may try.
func peerRows(t *testing.T, n *target) []row {
	since := func(key, value string) request {
		v := wire.SinceRequest{Peer: "n2", Cluster: n.cluster(t)}.Values()
		v.Set(key, value)
		return request{method: "GET", path: wire.PathSince + "?" + v.Encode(), key: "peer"}
	}
	posted := func(r request) request {
		_, query, _ := strings.Cut(r.path, "?")
		return request{method: "POST", path: wire.PathSince, key: "peer", body: query, header: map[string]string{"Content-Type": wire.MediaForm}}
	}
	var many clock.Clock
	for i := range 100_000 {
		many.Add(clock.Dot{Origin: clock.Origin(i + 1), Counter: 1})
	}
	token := clock.Of(clock.Dot{Origin: 7, Counter: 7}).Token()
	push := func(body string) request {
		return request{method: "POST", path: wire.PathPush, body: body}
	}
	foreign := n.hello(t, "n2")
	foreign[wire.HeaderCluster] = strings.Repeat("ab", 16)
	return []row{
		{n: 55, name: "cursor not base64", req: since("cursor", "!!!"), want: []int{400}},
		{n: 56, name: "truncated clock", req: since("cursor", token[:5]), want: []int{400}},
		{n: 57, name: "counter above 2^63", req: since("cursor", "AQEjRWeJq83v____________AQA"), want: []int{400}, look: about("counter")},
		{n: 58, name: "100,000 origins, GET", req: since("cursor", many.Token()), want: []int{414, 431}, why: "too long for a target: the form for long clocks is POST"},
		{n: 58, name: "100,000 origins, POST", req: posted(since("cursor", many.Token())), want: []int{400}, look: about("cursor")},
		{n: 58, name: "a thousand times, and the memory", do: manyOrigins},
		{n: 58, name: "a body above that bound", req: posted(since("cursor", strings.Repeat("A", 3<<20))), want: []int{413}},
		{n: 59, name: "limit of a pull", do: hugePull},
		{n: 59, name: "limit of the original", req: request{method: "GET", path: wire.PathSince + "?limit=1000000000"}, want: []int{200}},
		{n: 61, name: "1,001 rows of the original", req: push(`{"sender_agent_id":"x","memories":[` + repeat(1001, `{"id":"`+canary+`%d"}`) + `]}`), want: []int{400}},
		{n: 61, name: "a frame that says it is 4 GB", req: request{method: "POST", path: wire.PathPush, key: "peer", body: "\x01\xff\xff\xff" + canary, header: n.hello(t, "n2")}, want: []int{413}, why: "a frame above the bound is too large, whatever is in it"},
		{n: 61, name: "a frame of 1,001 rows", do: manyRows},
		{n: 62, name: "the sender is another one than its certificate", do: wrongName},
		{n: 60, name: "no certificate where tls-ca is set", do: noCertificate},
		{n: 63, name: "pull of another cluster", req: since("cluster", strings.Repeat("ab", 16)), want: []int{409}},
		{n: 63, name: "push of another cluster", req: request{method: "POST", path: wire.PathPush, key: "peer", header: foreign}, want: []int{409}},
		{n: 64, name: "a dot of the receiver itself", do: ownDot},
		{n: 65, name: "a dot with other bytes", do: otherBytes},
	}
}

// about sees that an error is about what is wrong, and not about something before it.
func about(word string) func(t *testing.T, a answer) {
	return func(t *testing.T, a answer) {
		if !strings.Contains(a.body, word) {
			t.Errorf("not about the %s: %.300s", word, a.body)
		}
	}
}

// manyOrigins posts clocks of 100,000 origins again and again: none is kept.
func manyOrigins(t *testing.T, n *target) {
	var many clock.Clock
	for i := range 100_000 {
		many.Add(clock.Dot{Origin: clock.Origin(i + 1), Counter: 1})
	}
	v := wire.SinceRequest{Peer: "n2", Cluster: n.cluster(t)}.Values()
	v.Set("cursor", many.Token())
	r := request{method: "POST", path: wire.PathSince, key: "peer", body: v.Encode(), header: map[string]string{"Content-Type": wire.MediaForm}}
	times := 100
	if testing.Short() {
		times = 10
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for range times {
		if a := n.send(t, r); a.status != 400 {
			t.Fatalf("%d %.200s", a.status, a.body)
		}
	}
	if grown := heap() - before; grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

// manyRows pushes one row more than a frame may have, in a frame that is sound otherwise,
// and then exactly as many as it may have.
func manyRows(t *testing.T, _ *target) {
	n := start(t, nil)
	rows := make([][]byte, wire.MaxPushRows)
	for i := range rows {
		rows[i] = rowOf(t, clock.Dot{Origin: 5, Counter: uint64(i + 1)}, fmt.Sprint("t", i), canary)
	}
	sound, err := wire.AppendBatch(nil, &wire.PushBatch{Seq: 1, Origin: 5, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	size, head := binary.Uvarint(sound[1:])
	payload := append([]byte(nil), sound[1+head:1+head+int(size)]...)
	one := rowOf(t, clock.Dot{Origin: 5, Counter: 1001}, "one more", canary)
	payload = append(binary.AppendUvarint(append(payload, 5<<3|2), uint64(len(one))), one...)
	frame := append(binary.AppendUvarint([]byte{sound[0]}, uint64(len(payload))), payload...)
	crc := crc32.Checksum(frame, crc32.MakeTable(crc32.Castagnoli))
	frame = binary.LittleEndian.AppendUint32(frame, bits.RotateLeft32(crc, -15)+0xa282ead8)
	before := n.state(t)
	push := func(body []byte) answer {
		return n.send(t, request{method: "POST", path: wire.PathPush, key: "peer", body: string(body), header: n.hello(t, "n2")})
	}
	// 413 and not 400: a frame beyond a bound is too large, whatever bound it is.
	if a := push(frame); a.status != 413 {
		t.Errorf("%d %.300s", a.status, a.body)
	}
	if after := n.state(t); after != before {
		t.Errorf("%+v became %+v", before, after)
	}
	if a := push(sound); a.status != 200 {
		t.Errorf("1,000 rows: %d %.300s", a.status, a.body)
	}
	n.silent(t)
}

// hugePull asks for more than there can be: the answer keeps to the cap of a page.
func hugePull(t *testing.T, n *target) {
	v := wire.SinceRequest{Peer: "n2", Cluster: n.cluster(t)}.Values()
	v.Set("limit_bytes", "1000000000")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a := n.send(t, request{method: "GET", path: wire.PathSince + "?" + v.Encode(), key: "peer"})
	runtime.ReadMemStats(&after)
	if a.status != 200 || len(a.body) > wire.MaxPage {
		t.Errorf("%d, %d bytes", a.status, len(a.body))
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

// secure starts a node with TLS that asks nodes for certificates of its authority.
func secure(t *testing.T) (n *target, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := trust.InitAuthority(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"n1", "n2"} {
		if _, err := trust.Issue(dir, trust.Order{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	n = start(t, func(c *node.Config) {
		base := filepath.Join(dir, "n1")
		c.TLSCert, c.TLSKey, c.TLSCA = base+".crt", base+".key", filepath.Join(dir, trust.AuthorityCert)
	})
	return n, dir
}

// certified asks a node over TLS, with the certificate of a name ("" = none), and the peer's
// key.
func (n *target) certified(t *testing.T, dir, name string, r request) answer {
	t.Helper()
	cert, key := "", ""
	if name != "" {
		cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	}
	c, err := trust.Client(filepath.Join(dir, trust.AuthorityCert), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: c}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), r.method, "https://"+n.addr+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	req.Header.Set("X-Api-Key", n.keys["peer"])
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return answer{status: res.StatusCode}
}

func (n *target) hail(t *testing.T, dir, cert, says string) (push, pull int) {
	t.Helper()
	push = n.certified(t, dir, cert, request{method: "POST", path: wire.PathPush, header: n.hello(t, says)}).status
	v := wire.SinceRequest{Peer: says, Cluster: n.cluster(t)}.Values()
	pull = n.certified(t, dir, cert, request{method: "GET", path: wire.PathSince + "?" + v.Encode()}).status
	return push, pull
}

func wrongName(t *testing.T, _ *target) {
	n, dir := secure(t)
	if push, pull := n.hail(t, dir, "n2", "n2"); push != 200 || pull != 200 {
		t.Errorf("n2 as n2: push %d, pull %d", push, pull)
	}
	if push, pull := n.hail(t, dir, "n2", "n3"); push != 403 || pull != 403 {
		t.Errorf("n2 as n3: push %d, pull %d", push, pull)
	}
	n.silent(t)
}

func noCertificate(t *testing.T, _ *target) {
	n, dir := secure(t)
	if push, pull := n.hail(t, dir, "", "n2"); push != 403 || pull != 403 {
		t.Errorf("without a certificate: push %d, pull %d", push, pull)
	}
}

// rowOf is a memory under a dot of somebody's choice, as a peer would push it.
func rowOf(t *testing.T, dot clock.Dot, title, content string) []byte {
	t.Helper()
	m := memory.Memory{}
	d, err := memory.DecodeDraft([]byte(`{"title":"` + title + `","content":"` + content + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	at := clock.NewStamp(1_760_000_000_000, 0)
	if m, err = d.Memory(at.Time(), "ai:eve"); err != nil {
		t.Fatal(err)
	}
	key := memory.NewKey(memory.KindMemory, title)
	r, err := memory.Record{Key: key}.Supersede(memory.Version{Dot: dot, Stamp: at, Agent: "ai:eve", Content: m.ContentHash(), Value: m.Encode()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Record.Append(nil)
}

// pushRow posts one frame of rows as the node n2.
func (n *target) pushRow(t *testing.T, origin clock.Origin, rows ...[]byte) answer {
	t.Helper()
	body, err := wire.AppendBatch(nil, &wire.PushBatch{Seq: 1, Origin: origin, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	return n.send(t, request{method: "POST", path: wire.PathPush, key: "peer", body: string(body), header: n.hello(t, "n2")})
}

// ownDot pushes a node a write under its own origin that it has not made: somebody runs a
// copy of it. It takes another origin, and says so.
func ownDot(t *testing.T, _ *target) {
	n := start(t, nil)
	if a := n.send(t, request{method: "POST", path: "/api/v1/memories", body: `{"title":"mine","content":"c"}`}); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s, err := n.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	origin, err := clock.ParseOrigin(s.Origin)
	if err != nil {
		t.Fatal(err)
	}
	before := n.metric(t, "memd_origin_fenced_total")
	a := n.pushRow(t, origin, rowOf(t, clock.Dot{Origin: origin, Counter: 1}, "x", canary))
	if a.status != 409 {
		t.Errorf("a dot that is held: %d %s", a.status, a.body)
	}
	a.isError(t)
	a = n.pushRow(t, origin, rowOf(t, clock.Dot{Origin: origin, Counter: 99}, "y", canary))
	// The write itself is sound, and the process that holds the origin may be the other one:
	// it is kept, and this process writes under a new origin from now on.
	if after := n.metric(t, "memd_origin_fenced_total"); after == before {
		t.Errorf("no alarm: %s; %d %s", after, a.status, a.body)
	}
	if again, err := n.Cluster(t.Context()); err != nil || again.Origin == s.Origin {
		if w := n.send(t, request{method: "POST", path: "/api/v1/memories", body: `{"title":"next","content":"c"}`}); w.status != 201 || strings.Contains(w.body, s.Origin) {
			t.Errorf("it writes on under %s: %d %s", s.Origin, w.status, w.body)
		}
	}
	n.silent(t)
}

// otherBytes pushes one dot twice, with another content: the first stays, the second is no
// acknowledgement and an alarm.
func otherBytes(t *testing.T, _ *target) {
	n := start(t, nil)
	dot := clock.Dot{Origin: 77, Counter: 1}
	if a := n.pushRow(t, 77, rowOf(t, dot, "a", "one")); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	before := n.state(t)
	a := n.pushRow(t, 77, rowOf(t, dot, "a", canary))
	if a.status != 409 {
		t.Errorf("%d %s", a.status, a.body)
	}
	a.isError(t)
	if v := n.metric(t, "memd_dot_collision_total"); v == "0" {
		t.Error("no alarm")
	}
	if after := n.state(t); after != before {
		t.Errorf("%+v became %+v", before, after)
	}
	n.silent(t)
}
