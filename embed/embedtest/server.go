// Package embedtest serves an endpoint for embeddings over real HTTP on loopback, for tests.
//
// Its model hashes the groups of three letters of a text: texts that are spelled alike get
// vectors that lie near each other. It knows nothing of meaning, and proves how vectors are
// kept, compared and fused, not that they are good.
package embedtest

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// Model is what the endpoint has.
	Model = "hashed-3-grams"
	// Dimensions of its vectors.
	Dimensions = 256
)

// Fault answers in place of the endpoint, or returns false to let it answer. texts are those
// that were asked for.
type Fault func(w http.ResponseWriter, r *http.Request, texts []string) bool

// Server is a running endpoint.
type Server struct {
	*httptest.Server

	mu    sync.Mutex
	fault Fault
	dims  int
	calls int
	texts []string
	keys  []string
}

// New starts one that ends with the test.
func New(t testing.TB) *Server {
	s := &Server{dims: Dimensions}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// Break makes the server answer by a fault from now on; nil = it works.
func (s *Server) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Resize changes the length of the vectors.
func (s *Server) Resize(dims int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dims = dims
}

// Calls is how often the endpoint was asked, whatever it answered.
func (s *Server) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Texts are those of the calls that it answered well, in order.
func (s *Server) Texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.texts)
}

// Keys are the Authorization headers of all calls.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Model string   `json:"model"`
		Input []string `json:"input"`
	}
	raw, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(raw, &q)
	}
	s.mu.Lock()
	s.calls++
	s.keys = append(s.keys, r.Header.Get("Authorization"))
	fault, dims := s.fault, s.dims
	s.mu.Unlock()
	if fault != nil && fault(w, r, q.Input) {
		return
	}
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/v1/embeddings":
		http.NotFound(w, r)
		return
	case err != nil || len(q.Input) == 0:
		http.Error(w, `{"error":{"message":"bad request"}}`, http.StatusBadRequest)
		return
	case q.Model != Model && q.Model != Model+"-2":
		http.Error(w, `{"error":{"message":"no such model"}}`, http.StatusNotFound)
		return
	}
	s.mu.Lock()
	s.texts = append(s.texts, q.Input...)
	s.mu.Unlock()
	Answer(w, q.Input, dims)
}

// Answer is what the endpoint says when it is well.
func Answer(w http.ResponseWriter, texts []string, dims int) {
	type one struct {
		Object    string    `json:"object"`
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	out := make([]one, len(texts))
	for i, text := range texts {
		out[len(texts)-1-i] = one{"embedding", i, Vector(text, dims)} // the index counts, not the place
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "model": Model, "data": out, "usage": map[string]int{"prompt_tokens": 1, "total_tokens": 1}})
}

// Vector is that of a text.
func Vector(text string, dims int) []float32 {
	out := make([]float32, dims)
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		letters := []rune(" " + strings.Trim(word, `.,:;!?"'()`) + " ")
		for i := 0; i+3 <= len(letters); i++ {
			h := fnv.New32a()
			_, _ = h.Write([]byte(string(letters[i : i+3])))
			sum := h.Sum32()
			out[int(sum>>1)%dims] += 1 - 2*float32(sum&1)
		}
	}
	return out
}

// Faults are the ways to fail that a recall has to survive, by name, with the reason by which
// package embed calls each.
func Faults() map[string]struct {
	Reason string
	Fault  Fault
} {
	type faulty = struct {
		Reason string
		Fault  Fault
	}
	status := func(code int) Fault {
		return func(w http.ResponseWriter, _ *http.Request, texts []string) bool {
			http.Error(w, `{"error":{"message":"echo: `+strings.Join(texts, " ")+`"}}`, code)
			return true
		}
	}
	says := func(body string) Fault {
		return func(w http.ResponseWriter, _ *http.Request, texts []string) bool {
			if len(texts) > 0 {
				body := strings.ReplaceAll(body, "TEXT", texts[0])
				fmt.Fprint(w, body)
			}
			return true
		}
	}
	vectors := func(change func([]float32) string) Fault {
		return func(w http.ResponseWriter, _ *http.Request, texts []string) bool {
			var all []string
			for i, text := range texts {
				all = append(all, fmt.Sprintf(`{"index":%d,"embedding":%s}`, i, change(Vector(text, Dimensions))))
			}
			fmt.Fprintf(w, `{"data":[%s]}`, strings.Join(all, ","))
			return true
		}
	}
	return map[string]faulty{
		"500":             {"server", status(500)},
		"503":             {"server", status(503)},
		"429":             {"busy", status(429)},
		"401":             {"refused", status(401)},
		"400":             {"input", status(400)},
		"not JSON":        {"invalid", says("<html>TEXT</html>")},
		"nothing":         {"invalid", says(``)},
		"no vectors":      {"invalid", says(`{"data":[]}`)},
		"null":            {"invalid", says(`{"data":[{"index":0,"embedding":null}]}`)},
		"NaN":             {"invalid", vectors(func(v []float32) string { return "[" + strings.Repeat("NaN,", len(v)-1) + "NaN]" })},
		"infinite":        {"invalid", vectors(func(v []float32) string { return "[" + strings.Repeat("1e39,", len(v)-1) + "1e39]" })},
		"zero":            {"invalid", vectors(func(v []float32) string { return "[" + strings.Repeat("0,", len(v)-1) + "0]" })},
		"wrong dimension": {"dimensions", func(w http.ResponseWriter, _ *http.Request, texts []string) bool { Answer(w, texts, 64); return true }},
		"one too many": {"invalid", func(w http.ResponseWriter, _ *http.Request, texts []string) bool {
			Answer(w, append(texts, "x"), Dimensions)
			return true
		}},
		"huge": {"too_large", func(w http.ResponseWriter, r *http.Request, _ []string) bool {
			chunk := []byte(strings.Repeat(" ", 1<<16))
			for r.Context().Err() == nil { // for ever
				if _, err := w.Write(chunk); err != nil {
					break
				}
			}
			return true
		}},
		"closes": {"unreachable", func(w http.ResponseWriter, _ *http.Request, _ []string) bool { hangUp(w, ""); return true }},
		"closes mid-answer": {"unreachable", func(w http.ResponseWriter, _ *http.Request, _ []string) bool {
			hangUp(w, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{\"data\":[{\"index\":0,\"embedding\":[0.1,")
			return true
		}},
		"not HTTP": {"unreachable", func(w http.ResponseWriter, _ *http.Request, texts []string) bool {
			hangUp(w, strings.Join(texts, " ")+"\r\n\r\n")
			return true
		}},
		"redirect": {"redirect", func(w http.ResponseWriter, r *http.Request, _ []string) bool {
			if r.URL.Path == "/elsewhere/v1/embeddings" {
				return false
			}
			http.Redirect(w, r, "/elsewhere/v1/embeddings", http.StatusTemporaryRedirect)
			return true
		}},
		"slow": {"timeout", func(_ http.ResponseWriter, r *http.Request, _ []string) bool {
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Second):
			}
			return true
		}},
		"slow body": {"timeout", func(w http.ResponseWriter, r *http.Request, _ []string) bool {
			fmt.Fprint(w, `{"data":[`)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Second):
			}
			return true
		}},
	}
}

func hangUp(w http.ResponseWriter, first string) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(c, first)
	_ = c.Close()
}
