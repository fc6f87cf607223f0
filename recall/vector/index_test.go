package vector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/memd/memd/embed"
	"github.com/memd/memd/embed/embedtest"
	"github.com/memd/memd/recall"
)

// running is an index that follows a feed until stop, or the end of the test.
type running struct {
	*Index
	t    testing.TB
	feed *memFeed
	stop func()
}

func start(t testing.TB, file string, f *memFeed, s *embedtest.Server, change func(*Config)) *running {
	t.Helper()
	f.begin()
	cfg := Config{File: file, Feed: f, Model: embedtest.Model, Retry: 5 * time.Millisecond, Registerer: prometheus.NewRegistry()}
	if change != nil {
		change(&cfg)
	}
	c, err := embed.New(embed.Config{URL: s.URL, Model: cfg.Model})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Embedder = c
	x := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		c.Close()
	})
	t.Cleanup(stop)
	return &running{x, t, f, stop}
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// settled waits for the vectors to have what the feed says now.
func (r *running) settled() {
	r.t.Helper()
	waitFor(r.t, "the vectors", func() bool { s := r.Status(); return s.Ready && s.Behind == 0 })
}

// ids are the nearest of a text, the nearest first.
func (r *running) ids(text string, k int, where recall.Restriction) []string {
	r.t.Helper()
	p, err := r.Query(context.Background(), text)
	if err != nil {
		r.t.Fatalf("%q: %v", text, err)
	}
	near, err := r.Nearest(context.Background(), p, k, &where)
	if err != nil {
		r.t.Fatal(err)
	}
	out := []string{}
	for _, n := range near {
		out = append(out, n.ID)
	}
	return out
}

func (r *running) failed(use, reason string) float64 {
	r.t.Helper()
	var m dto.Metric
	if err := r.metrics.failures.WithLabelValues(use, reason).Write(&m); err != nil {
		r.t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// without drops the probes from the texts that the endpoint saw.
func without(texts []string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == probe })
}

// TestFollows: what is stored gets a vector, what changes its words another one, what only
// moves keeps it, and what is gone has none, also after a restart, which computes nothing.
func TestFollows(t *testing.T) {
	s, f, file := embedtest.New(t), newFeed("a"), filepath.Join(t.TempDir(), "vectors")
	r := start(t, file, f, s, nil)
	f.put("k", doc("ops", "Kubernetes upgrade", "drain the nodes first"))
	f.put("b", doc("ops", "Bread", "flour, water, salt"))
	for i := range 100 {
		f.put(fmt.Sprint("n", i), doc("noise", fmt.Sprint("number ", i), "nothing of interest"))
	}
	f.put("", nil)
	r.settled()
	if got := r.ids("kubernets upgade", 1, recall.Restriction{}); !slices.Equal(got, []string{"k"}) {
		t.Errorf("two typing errors: %v", got)
	}
	if got := r.ids("kubernets upgade", 10, recall.Restriction{Namespaces: []string{"ops"}}); !slices.Equal(got, []string{"k", "b"}) {
		t.Errorf("in one namespace: %v", got)
	}
	if got := r.ids("kubernets", 1, recall.Restriction{As: "elsewhere"}); len(got) != 0 {
		t.Errorf("private ones are seen from elsewhere: %v", got)
	}
	if n := len(without(s.Texts())); n != 102+3 {
		t.Errorf("%d texts were computed", n)
	}
	before := len(s.Texts())
	moved := doc("archive/ops", "Kubernetes upgrade", "drain the nodes first")
	moved.Tier = "long"
	f.put("k", moved)
	f.put("n3", nil)
	f.put("b", doc("ops", "Tram", "line 5 to the fair"))
	r.settled()
	if got := without(s.Texts()[before:]); len(got) != 1 || !strings.Contains(got[0], "line 5") {
		t.Errorf("computed again: %q", got)
	}
	after := func(r *running) {
		t.Helper()
		if got := r.ids("kubernetes", 1, recall.Restriction{Namespaces: []string{"archive/ops"}, Tier: "long"}); !slices.Equal(got, []string{"k"}) {
			t.Errorf("where it is now: %v", got)
		}
		if got := r.ids("tram line", 1, recall.Restriction{}); !slices.Equal(got, []string{"b"}) {
			t.Errorf("what it says now: %v", got)
		}
		if got := r.ids("number 3", 200, recall.Restriction{}); len(got) != 101 || slices.Contains(got, "n3") {
			t.Errorf("%d are held", len(got))
		}
	}
	after(r)
	r.stop()
	if got, err := r.Nearest(context.Background(), quantise(embedtest.Vector("x", embedtest.Dimensions)), 1, &recall.Restriction{}); err != nil || got != nil {
		t.Errorf("after its end: %v %v", got, err)
	}
	before = len(s.Texts())
	r = start(t, file, f, s, nil)
	r.settled()
	if got := without(s.Texts()[before:]); len(got) != 0 {
		t.Errorf("computed again after a restart: %q", got)
	}
	after(r)
	// What came while it did not run.
	r.stop()
	f.put("n4", nil)
	f.put("late", doc("noise", "Zanzibar", "spices"))
	r = start(t, file, f, s, nil)
	r.settled()
	if got := r.ids("zanzibar", 1, recall.Restriction{}); !slices.Equal(got, []string{"late"}) || r.Status().Held != 101 {
		t.Errorf("%v, %d held", got, r.Status().Held)
	}
}

// TestAnew: vectors of another model, another length, another store, or behind damage, are
// computed anew.
func TestAnew(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, s *embedtest.Server, f *memFeed, file string)
		config func(*Config)
		dims   int
	}{
		"another model":  {nil, func(c *Config) { c.Model = embedtest.Model + "-2" }, embedtest.Dimensions},
		"another length": {func(_ *testing.T, s *embedtest.Server, _ *memFeed, _ string) { s.Resize(64) }, nil, 64},
		"another store":  {func(_ *testing.T, _ *embedtest.Server, f *memFeed, _ string) { f.id = "b" }, nil, embedtest.Dimensions},
		"no file": {func(t *testing.T, _ *embedtest.Server, _ *memFeed, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, nil, embedtest.Dimensions},
		"damage": {func(t *testing.T, _ *embedtest.Server, _ *memFeed, file string) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			raw[len(raw)/2] ^= 1
			if err := os.WriteFile(file, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil, embedtest.Dimensions},
	} {
		t.Run(name, func(t *testing.T) {
			s, f, file := embedtest.New(t), newFeed("a"), filepath.Join(t.TempDir(), "vectors")
			for i := range 300 {
				f.put(fmt.Sprint(i), doc("a", fmt.Sprint("number ", i), "x"))
			}
			r := start(t, file, f, s, nil)
			r.settled()
			r.stop()
			if c.change != nil {
				c.change(t, s, f, file)
			}
			before := len(s.Texts())
			r = start(t, file, f, s, c.config)
			r.settled()
			n := len(without(s.Texts()[before:]))
			if st := r.Status(); n == 0 || name != "damage" && n != 300 || st.Dimensions != c.dims || st.Held != 300 {
				t.Errorf("%d texts were computed; %+v", n, st)
			}
			if got := r.ids("number 7 x", 1, recall.Restriction{}); !slices.Equal(got, []string{"7"}) {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestEndpointFails: whatever the endpoint does, questions end in time with an error, and what
// is missing is computed once it is well again.
func TestEndpointFails(t *testing.T) {
	for name, fault := range embedtest.Faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, f := embedtest.New(t), newFeed("a")
			r := start(t, filepath.Join(t.TempDir(), "vectors"), f, s, nil)
			f.put("one", doc("a", "one", "first"))
			r.settled()
			s.Break(fault.Fault)
			for i := range breakAfter + 2 {
				began := time.Now()
				_, err := r.Query(context.Background(), "first")
				if took := time.Since(began); err == nil || took > 2*time.Second {
					t.Fatalf("question %d: %v after %s", i, err, took)
				}
			}
			got := r.failed(useQuery, fault.Reason)
			if fault.Reason != "timeout" { // a busy machine may make it one
				got += r.failed(useQuery, "timeout")
			}
			if got != breakAfter {
				t.Errorf("%v failures are counted as %s", got, fault.Reason)
			}
			if got := r.failed(useQuery, reasonPaused); got != 2 {
				t.Errorf("%v questions were spared", got)
			}
			if r.Status().Ready {
				t.Error("it is ready")
			}
			f.put("two", doc("a", "two", "second"))
			if fault.Reason != "timeout" { // the index has more patience
				waitFor(t, "the index to fail as well", func() bool { return r.failed(useIndex, fault.Reason) > 0 })
			}
			s.Break(nil)
			if fault.Reason != "timeout" {
				r.settled()
			}
			waitFor(t, "questions to be answered", func() bool { _, err := r.Query(context.Background(), "second"); return err == nil })
			if r.Status().Held == 2 {
				if got := r.ids("second two", 1, recall.Restriction{}); !slices.Equal(got, []string{"two"}) {
					t.Errorf("%v", got)
				}
			}
		})
	}
}

// TestDownAtTheStart: an endpoint that is not there yet is waited for; nothing else waits.
func TestDownAtTheStart(t *testing.T) {
	s, f := embedtest.New(t), newFeed("a")
	s.Break(embedtest.Faults()["closes"].Fault)
	r := start(t, filepath.Join(t.TempDir(), "vectors"), f, s, nil)
	f.put("one", doc("a", "one", "first"))
	waitFor(t, "some tries", func() bool { return r.failed(useIndex, "unreachable") > 2 })
	if _, err := r.Query(context.Background(), "one"); err == nil {
		t.Error("a question is answered")
	}
	if st := r.Status(); st.Ready || st.Behind != 1 {
		t.Errorf("%+v", st)
	}
	s.Break(nil)
	r.settled()
	if got := r.ids("first", 1, recall.Restriction{}); !slices.Equal(got, []string{"one"}) {
		t.Errorf("%v", got)
	}
}

// TestTextsThatAreRefused: one that is too long is shortened, one that cannot be computed at
// all is left out, and neither holds up the others.
func TestTextsThatAreRefused(t *testing.T) {
	s, f := embedtest.New(t), newFeed("a")
	s.Break(func(w http.ResponseWriter, _ *http.Request, texts []string) bool {
		for _, text := range texts {
			if len(text) > 2500 || strings.Contains(text, "poison") {
				http.Error(w, `{"error":"too long"}`, http.StatusBadRequest)
				return true
			}
		}
		return false
	})
	for i := range 40 {
		f.put(fmt.Sprint("n", i), doc("a", fmt.Sprint("number ", i), "x"))
	}
	f.put("long", doc("a", "A long story", "begins so "+strings.Repeat("and goes on \u00e4 ", 2000)))
	f.put("poison", doc("a", "poison", strings.Repeat("poison ", 1000)))
	f.put("!", doc("a", "!", "!")) // its vector is zero
	f.put("last", doc("a", "the last", "y"))
	r := start(t, filepath.Join(t.TempDir(), "vectors"), f, s, nil)
	r.settled()
	if st := r.Status(); st.Held != 42 || r.failed(useIndex, reasonSkipped) != 2 {
		t.Errorf("%+v, %v skipped", st, r.failed(useIndex, reasonSkipped))
	}
	if got := r.ids("a long story and goes on", 1, recall.Restriction{}); !slices.Equal(got, []string{"long"}) {
		t.Errorf("%v", got)
	}
	for _, text := range s.Texts() {
		if strings.ContainsRune(text, '\ufffd') {
			t.Error("a text was cut within a character")
		}
	}
}

// TestBounded: beyond the bound memories have no vector, and the file does not grow with what
// is gone.
func TestBounded(t *testing.T) {
	s, f, file := embedtest.New(t), newFeed("a"), filepath.Join(t.TempDir(), "vectors")
	r := start(t, file, f, s, func(c *Config) { c.MaxBytes = 1 })
	for i := range 3 * embed.MaxInputs {
		f.put(fmt.Sprint(i), doc("a", fmt.Sprint("number ", i), "x"))
	}
	r.settled()
	if st := r.Status(); st.Held > 2*embed.MaxInputs || r.failed(useIndex, reasonFull) == 0 {
		t.Errorf("%+v, %v without room", st, r.failed(useIndex, reasonFull))
	}
	r.stop()
	set := newSet(2048)
	small, err := makeFile(filepath.Join(t.TempDir(), "vectors"), "m", set, batch{})
	if err != nil {
		t.Fatal(err)
	}
	x := &Index{cfg: Config{File: small.path, Model: "m"}, set: set, file: small}
	defer func() { x.file.close() }()
	for i := range 4 * compactFrom / 2048 {
		p := quantise(slices.Repeat([]float32{float32(i%7) + 1}, 2048))
		if err := x.keep(batch{seq: uint64(i), mark: []byte("m"), puts: []put{{id: fmt.Sprint(i % 10), Point: p}}}); err != nil {
			t.Fatal(err)
		}
		if x.file.size > compactFrom+8192 {
			t.Fatalf("the file has %d bytes", x.file.size)
		}
	}
	reopened, again, last, err := openFile(x.cfg.File, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer reopened.close()
	if again.len() != 10 || last.seq != 4*compactFrom/2048-1 {
		t.Errorf("%d held, seq %d", again.len(), last.seq)
	}
}

// TestCrowded: questions beyond the bound do not wait.
func TestCrowded(t *testing.T) {
	s, f := embedtest.New(t), newFeed("a")
	f.put("one", doc("a", "one", "first"))
	r := start(t, filepath.Join(t.TempDir(), "vectors"), f, s, nil)
	r.settled()
	for range maxQuestions {
		r.asking <- struct{}{}
	}
	if _, err := r.Query(context.Background(), "x"); !errors.Is(err, ErrCrowded) || r.failed(useQuery, reasonCrowded) != 1 {
		t.Errorf("%v", err)
	}
	for range maxQuestions {
		<-r.asking
	}
	// Who goes away says nothing of the endpoint.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * breakAfter {
		if _, err := r.Query(gone, "x"); err == nil {
			t.Error("answered")
		}
	}
	if _, err := r.Query(t.Context(), "x"); err != nil {
		t.Errorf("left alone because somebody went away: %v", err)
	}
}

// TestBreaker: after three failures the endpoint is left alone, each time longer, and asked by
// one first.
func TestBreaker(t *testing.T) {
	var b breaker
	now := testNow
	for range breakAfter {
		if !b.enter(now) {
			t.Fatal("left alone too early")
		}
		b.leave(now, false)
	}
	want := breakFor
	for range 10 {
		if b.enter(now.Add(want - 1)) {
			t.Fatalf("asked again before %s", want)
		}
		now = now.Add(want)
		if !b.enter(now) || b.enter(now) {
			t.Fatal("not exactly one asks again")
		}
		b.leave(now, false)
		want = min(2*want, breakMost)
	}
	now = now.Add(want)
	b.enter(now)
	b.leave(now, true)
	for range 2 {
		if !b.enter(now) {
			t.Error("still left alone")
		}
	}
}
