package embed_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/embed"
	"github.com/memd/memd/embed/embedtest"
)

const canary = "kAnArIe-text"

func newClient(t testing.TB, url, key string) *embed.Client {
	t.Helper()
	c, err := embed.New(embed.Config{URL: url, Model: embedtest.Model, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEmbed(t *testing.T) {
	s := embedtest.New(t)
	for _, base := range []string{s.URL, s.URL + "/", s.URL + "/v1", s.URL + "/v1/"} {
		texts := []string{"one", "two words", "drei \u00e4"}
		got, err := newClient(t, base, "a-key").Embed(t.Context(), texts)
		if err != nil {
			t.Fatalf("%s: %v", base, err)
		}
		for i, text := range texts {
			if !slices.Equal(got[i], embedtest.Vector(text, embedtest.Dimensions)) {
				t.Errorf("%s: the vector of %q is another one's", base, text)
			}
		}
	}
	for _, k := range s.Keys() {
		if k != "Bearer a-key" {
			t.Errorf("the key is shown as %q", k)
		}
	}
	if _, err := newClient(t, s.URL, "").Embed(t.Context(), []string{"x"}); err != nil || s.Keys()[len(s.Keys())-1] != "" {
		t.Errorf("without a key: %q, %v", s.Keys(), err)
	}
	for _, count := range []int{0, embed.MaxInputs + 1} {
		if _, err := newClient(t, s.URL, "").Embed(t.Context(), make([]string, count)); err == nil {
			t.Errorf("%d texts are taken", count)
		}
	}
}

// TestFaults: each way to fail has its reason, and no error repeats a text or the key, also
// where the endpoint says them.
func TestFaults(t *testing.T) {
	s := embedtest.New(t)
	c := newClient(t, s.URL, canary+"-key")
	if _, err := c.Embed(t.Context(), []string{canary}); err != nil {
		t.Fatal(err)
	}
	for name, f := range embedtest.Faults() {
		if name == "wrong dimension" {
			continue // one answer alone does not tell
		}
		t.Run(name, func(t *testing.T) {
			s.Break(f.Fault)
			patience := 5 * time.Second
			if f.Reason == "timeout" {
				patience = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			began := time.Now()
			before := s.Calls()
			out, err := c.Embed(ctx, []string{canary + " a", canary + " b"})
			if err == nil || string(embed.ReasonOf(err)) != f.Reason || strings.Contains(err.Error(), canary) {
				t.Errorf("%v, want the reason %s; %d vectors", err, f.Reason, len(out))
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
			if n := s.Calls() - before; n > 2 || f.Reason == "redirect" && n != 1 { // net/http repeats what it may
				t.Errorf("%d calls", n)
			}
		})
	}
	s.Break(func(w http.ResponseWriter, _ *http.Request, _ []string) bool {
		_, _ = w.Write([]byte(`{"data":[{"index":0,"embedding":[1,2]},{"index":1,"embedding":[1]}]}`))
		return true
	})
	if _, err := c.Embed(t.Context(), []string{"a", "b"}); embed.ReasonOf(err) != embed.Dimensions {
		t.Errorf("vectors of two lengths: %v", err)
	}
	s.Break(func(w http.ResponseWriter, _ *http.Request, _ []string) bool {
		_, _ = w.Write([]byte(`{"data":[{"index":1,"embedding":[1,2]},{"index":1,"embedding":[1,2]}]}`))
		return true
	})
	if _, err := c.Embed(t.Context(), []string{"a", "b"}); embed.ReasonOf(err) != embed.Invalid {
		t.Errorf("one index twice: %v", err)
	}
	s.Break(func(w http.ResponseWriter, _ *http.Request, _ []string) bool {
		_, _ = w.Write([]byte(`{"data":[{"embedding":[1,2]},{"embedding":[3,4]}]}`))
		return true
	})
	if out, err := c.Embed(t.Context(), []string{"a", "b"}); err != nil || out[1][0] != 3 {
		t.Errorf("without indexes: %v, %v", out, err)
	}
	s.Close()
	if _, err := c.Embed(t.Context(), []string{canary}); embed.ReasonOf(err) != embed.Unreachable || strings.Contains(err.Error(), canary) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for _, url := range []string{
		"", "localhost:11434", "ftp://h/v1", "http://", "http://user:" + canary + "@h", "http://h/v1?key=" + canary, "http://h/?", "http://h/#" + canary,
		"file:///etc/passwd", "http://h:" + canary, "http://[::1", "//h/v1",
	} {
		if _, err := embed.New(embed.Config{URL: url, Model: "m"}); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, url := range []string{"http://h", "https://h:1/v1", "https://h/api/v1/", "HTTP://h"} {
		if _, err := embed.New(embed.Config{URL: url, Model: "m"}); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, model := range []string{"", strings.Repeat("m", 257)} {
		if _, err := embed.New(embed.Config{URL: "http://h", Model: model}); err == nil {
			t.Errorf("a model of %d bytes is taken", len(model))
		}
	}
}
