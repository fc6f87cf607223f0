package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testOrigin = clock.Origin(0x0123456789abcdef)

var (
	testCluster = memory.ClusterID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	testDot     = clock.Dot{Origin: testOrigin, Counter: 42}
	testToken   = clock.Of(testDot)
	testNow     = time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
)

// fake is a node that answers by rote, validates what the node is to validate, and
// remembers what it was asked.
type fake struct {
	keys    wire.KeyChange
	force   bool
	mu      sync.Mutex
	err     error // of every verb
	panics  bool
	beats   int
	admits  int
	stale   bool
	ready   []string // reasons why not
	opt     WriteOptions
	read    ReadOptions
	draft   memory.Draft
	drafts  []memory.Draft
	patch   memory.Patch
	filter  memory.Filter
	query   Query
	id      string
	dot     clock.Dot
	pull    wire.SinceRequest
	updated wire.UpdatedSince
	sync    *wire.SyncPush
	calls   int // of changing verbs
	kept    kept
	nudges  []wire.Nudge

	standardDraft memory.StandardDraft
	limit         int // of SessionStart

	body     string // of Get and Update
	siblings []Sibling
	page     *wire.Page
	push     func(b *wire.PushBatch, done func(wire.Ack))
}

func (f *fake) enter(ctx context.Context) error {
	if f.panics {
		panic("the fake was told to")
	}
	if f.err != nil {
		return f.err
	}
	return ctx.Err()
}

func (f *fake) wanted(opt WriteOptions) error {
	f.opt = opt
	f.calls++
	if opt.W > 3 {
		return &memory.FieldError{Field: "w", Problem: "must be at most 3"}
	}
	return nil
}

func (f *fake) Create(ctx context.Context, d memory.Draft, opt WriteOptions) (Created, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return Created{}, err
	}
	m, err := d.Memory(testNow, opt.Agent)
	if err != nil {
		return Created{}, err
	}
	f.draft = d
	if err := f.wanted(opt); err != nil {
		return Created{}, err
	}
	return Created{ID: "9d0e0000-0000-4000-8000-000000000001", Tier: m.Tier, Namespace: m.Namespace, Title: m.Title, Agent: m.Agent(),
		Dot: testDot, Token: testToken, Acks: 2}, nil
}

func (f *fake) CreateAll(ctx context.Context, ds []memory.Draft, opt WriteOptions) (Bulk, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return Bulk{}, err
	}
	f.drafts = ds
	if err := f.wanted(opt); err != nil {
		return Bulk{}, err
	}
	b := Bulk{Token: testToken, Acks: 2}
	for _, d := range ds {
		m, err := d.Memory(testNow, "")
		if err != nil {
			b.Errors = append(b.Errors, "item: "+err.Error())
			continue
		}
		b.Created++
		b.IDs = append(b.IDs, "id-of-"+m.Title)
	}
	return b, nil
}

func (f *fake) rendered() Rendered {
	body := f.body
	if body == "" {
		body = `{"id":"m1","title":"T","token":"` + testToken.Token() + `"}`
	}
	return Rendered{Body: []byte(body), Token: testToken, Siblings: f.siblings}
}

func (f *fake) Update(ctx context.Context, id string, p memory.Patch, opt WriteOptions) (Updated, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return Updated{}, err
	}
	f.id, f.patch = id, p
	if err := f.wanted(opt); err != nil {
		return Updated{}, err
	}
	if _, err := p.Apply(memory.Memory{ID: id, Title: "T", Content: "c", Namespace: "n", Tier: "mid"}, testNow); err != nil {
		return Updated{}, err
	}
	return Updated{Rendered: f.rendered(), Dot: testDot, Acks: 2}, nil
}

func (f *fake) Delete(ctx context.Context, id string, opt WriteOptions) (Deleted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return Deleted{}, err
	}
	f.id = id
	if err := f.wanted(opt); err != nil {
		return Deleted{}, err
	}
	return Deleted{ID: id, Dot: testDot, Token: testToken, Acks: 2}, nil
}

func (f *fake) Get(ctx context.Context, id string, opt ReadOptions) (Rendered, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id, f.read = id, opt
	if id == "missing" {
		return Rendered{}, memory.ErrNotFound
	}
	return f.rendered(), f.enter(ctx)
}

func (f *fake) List(ctx context.Context, filter memory.Filter, opt ReadOptions) ([]Rendered, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter, f.read = filter, opt
	rows := []Rendered{f.rendered(), {Body: []byte(`{"id":"m2"}`)}}
	return rows[:min(len(rows), filter.Limit)], f.enter(ctx)
}

func (f *fake) Revisions(ctx context.Context, id string, opt ReadOptions) (Revisions, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id, f.read = id, opt
	other := clock.Dot{Origin: testOrigin, Counter: 7}
	return Revisions{ID: "m1", Lost: []Revision{
		{Dot: testDot, WrittenAt: testNow, Agent: "ai:bob", Body: []byte(`{"id":"m1"}`)}, {Dot: other, WrittenAt: testNow, Agent: "ai:eve"},
	}}, f.enter(ctx)
}

func (f *fake) Recall(ctx context.Context, q Query, opt ReadOptions) (Found, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.query, f.read = q, opt
	m := f.rendered()
	return Found{Hits: []FoundMemory{{m, 1.5}, {Rendered{Body: []byte(`{"id":"m2"}`)}, 0.25}}, Mode: "keyword", Tokens: 7, Dropped: 1}, f.enter(ctx)
}

func (f *fake) Search(ctx context.Context, q Query, opt ReadOptions) (Found, error) {
	found, err := f.Recall(ctx, q, opt)
	found.Behind = true
	return found, err
}

func (f *fake) Export(ctx context.Context, o ExportOptions, yield func(Exported) error) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return "", err
	}
	if o.From == "bad" {
		return "", &memory.FieldError{Field: "from", Problem: "is not what an export gave as next"}
	}
	if o.Namespace == "large" {
		return "", yield(Exported{ExportedMemories: {[]byte(`{"id":"` + strings.Repeat("m", 1_000_000) + `"}`)}})
	}
	if o.Namespace == "lists" {
		for _, part := range []Exported{
			{ExportedMemories: {[]byte(`{"id":"m0"}`)}, ExportedLinks: {[]byte(`{"l":1}`)}}, {ExportedLinks: {[]byte(`{"l":2}`)}},
			{ExportedArchived: {[]byte(`{"a":1}`)}}, {ExportedStandards: {[]byte(`{"s":1}`)}},
		} {
			if err := yield(part); err != nil {
				return "", err
			}
		}
		return "", nil
	}
	next := ""
	for i := range 3 {
		if i > 0 && i == o.Limit {
			next = "more"
			break
		}
		if o.From == "breaks" && i == 1 {
			return "", memory.ErrStopped
		}
		if err := yield(Exported{ExportedMemories: {[]byte(`{"id":"m` + strconv.Itoa(i) + `"}`)}}); err != nil {
			return "", err
		}
	}
	return next, nil
}

func (f *fake) Import(ctx context.Context, in Import, opt WriteOptions) (Imported, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return Imported{}, err
	}
	if err := f.wanted(opt); err != nil {
		return Imported{}, err
	}
	return Imported{Imported: len(in.Memories), Errors: []string{}, Acks: 2, Token: testToken.Token()}, nil
}

func (f *fake) Stats(ctx context.Context, opt ReadOptions) (Stats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = opt
	return Stats{Total: 3, ByTier: []TierCount{{"mid", 3}}, ByNamespace: []NamespaceCount{{"global", 3}}, DBSizeBytes: 4096}, f.enter(ctx)
}

func (f *fake) WriteStatus(ctx context.Context, d clock.Dot) (WriteStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dot = d
	return WriteStatus{Dot: d, Local: true, AckedBy: []string{"n1", "n2"}, Acks: 2, Needed: 2, Members: 3, QuorumMet: true}, f.enter(ctx)
}

func (f *fake) Beat() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beats++
}

func (f *fake) Admit(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.admits++
	return f.stale, nil
}

func (f *fake) Since(ctx context.Context, r wire.SinceRequest) (Delta, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pull = r
	return Delta{Page: f.page, ClockHash: testToken.Hash()}, f.enter(ctx)
}

func (f *fake) Greet(ctx context.Context, h wire.Hello) (wire.Ack, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return wire.Ack{Result: wire.AckOK, Name: "n1", Entry: testToken}, f.enter(ctx)
}

func (f *fake) Push(_ context.Context, _ wire.Hello, b *wire.PushBatch, done func(wire.Ack)) {
	f.mu.Lock()
	push := f.push
	f.mu.Unlock()
	if push != nil {
		push(b, done)
		return
	}
	done(wire.Ack{Result: wire.AckOK, Name: "n1", Entry: clock.Of(clock.Dot{Origin: b.Origin, Counter: b.Seq})})
}

func (f *fake) Nudge(_ wire.Hello, n wire.Nudge) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nudges = append(f.nudges, n)
}

func (f *fake) UpdatedSince(ctx context.Context, r wire.UpdatedSince) (*wire.UpdatedSinceReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.updated = r
	at, next := "2026-05-01T10:00:00Z", r.NextSince(7)
	return &wire.UpdatedSinceReply{Count: 1, Limit: r.Limit, EarliestUpdatedAt: &at, LatestUpdatedAt: &at, NextSince: &next,
		Memories: []json.RawMessage{[]byte(`{"id":"m1","content":"<b>"}`)}}, f.enter(ctx)
}

func (f *fake) ImportPush(ctx context.Context, p *wire.SyncPush, opt WriteOptions) (*wire.SyncPushReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sync, f.opt = p, opt
	f.calls++
	return &wire.SyncPushReply{Applied: len(p.Memories), ReceiverAgentID: "memd:n1", ReceiverClock: wire.SyncClock{Entries: map[string]string{}}}, f.enter(ctx)
}

func (f *fake) Ready() (bool, []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ready) == 0, f.ready
}

func (f *fake) Cluster(ctx context.Context) (ClusterStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return ClusterStatus{ClusterID: testCluster.String(), Name: "n1", Version: "0.1.0", Origin: testOrigin.String(), Boot: 1 << 60, Ready: true,
		Reasons: []string{}, Quorum: Quorum{N: 3, W: 2, Reachable: 3}, Clock: testToken, ClockHash: "00000000000000aa", Digest: "d1",
		Members: []Member{
			{Name: "n1", State: "self", Addr: "127.0.0.1:9077", Breaker: "closed"},
			{Name: "n2", State: "alive", Addr: "127.0.0.1:9078", ClockHash: "00000000000000bb", LagDots: 3, LagSeconds: 0.5, LastSuccess: &testNow, Breaker: "open", Acked: 41},
		}, Removed: []string{}}, f.enter(ctx)
}

func (f *fake) Members(ctx context.Context) (Membership, error) {
	return Membership{Members: []Member{{Name: "n1", State: "self"}}, Removed: []string{"n9"}, Quorum: Quorum{N: 1, W: 1, Reachable: 1}}, f.enter(ctx)
}

func (f *fake) RemoveMember(ctx context.Context, name string, force bool, opt WriteOptions) (MemberChange, error) {
	if err := f.enter(ctx); err != nil {
		return MemberChange{}, err
	}
	f.id = name
	if name == "alive" && !force {
		return MemberChange{}, &memory.MemberError{Reason: "alive is alive"}
	}
	return MemberChange{Name: name, Dot: testDot, Token: testToken, Acks: 2, N: 2, W: 2}, f.wanted(opt)
}

func (f *fake) AddMember(ctx context.Context, name string, opt WriteOptions) (MemberChange, error) {
	if err := f.enter(ctx); err != nil {
		return MemberChange{}, err
	}
	f.id = name
	return MemberChange{Name: name, Token: testToken, Acks: 2, N: 3, W: 2, Unchanged: true}, f.wanted(opt)
}

func (f *fake) Backup(ctx context.Context) (*Backup, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	return &Backup{Reader: strings.NewReader(f.body), Size: int64(len(f.body)), Close: func() error { f.calls++; return nil }}, nil
}

func (f *fake) Diagnose(ctx context.Context) (Diagnosis, error) {
	return Diagnosis{Node: "n1", Version: "0.1.0", Findings: []Finding{{Severity: "error", Check: "tcp", About: "n2", Problem: "p", Remedy: "r"}}}, f.enter(ctx)
}

func (f *fake) Federated() bool { return true }

func (f *fake) EmbedderReady() bool { return false }
func (f *fake) Version() string     { return "0.1.0" }

// get returns what a function reads under the fake's lock.
func get[T any](f *fake, read func() T) T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return read()
}

// newDoor returns a door before f, and what it logs.
func newDoor(t testing.TB, f *fake) (*Door, *logBuffer) {
	t.Helper()
	log := new(logBuffer)
	d := New(Config{
		Node: f,
		Self: wire.Self{Name: "n1", Boot: 7, Cluster: func() memory.ClusterID { return testCluster }},
		Log:  slog.New(slog.NewTextHandler(log, nil)),
	})
	t.Cleanup(d.Close)
	return d, log
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// request is a request in memory, of a client that knows what is expected of it.
func request(method, target, body string, headers ...string) *http.Request {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, target, r)
	req.Host = "localhost:9077"
	if method == http.MethodPost || method == http.MethodPut {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		switch name, value := headers[i], headers[i+1]; {
		case name == "Host":
			req.Host = value
		case value == "-":
			req.Header.Del(name)
		case strings.HasPrefix(name, "+"):
			req.Header.Add(name[1:], value)
		default:
			req.Header.Set(name, value)
		}
	}
	return req
}

func serve(d *Door, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func (f *fake) Keyring(ctx context.Context, change wire.KeyChange, force bool) (KeyringStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if change.Op != wire.KeyList {
		f.calls++
	}
	f.keys, f.force = change, force
	return KeyringStatus{Keys: []GossipKey{{ID: "00000000000000aa", HeldBy: []string{"n1"}, UsedBy: []string{"n1"}}}, Members: 2,
		Unreachable: []Failure{{Name: "n2", Error: "gone"}}}, f.enter(ctx)
}

func (f *fake) OwnKeys(ctx context.Context, change wire.KeyChange) (wire.KeyState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys = change
	return wire.KeyState{IDs: []string{"00000000000000aa"}}, f.enter(ctx)
}
