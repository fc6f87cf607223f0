package mcpserver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/memd/memd/memory"
)

// TestAdvice: every kind of error says what is wrong and what to do, and nothing of the
// server's own inside gets out.
func TestAdvice(t *testing.T) {
	secret := errors.New("open /var/lib/memd/store: secret")
	for _, c := range []struct {
		err   error
		says  []string
		known bool
	}{
		{ErrNotHere, []string{"not available on this node", "Use another tool"}, true},
		{memory.ErrNoIndex, []string{"memory_list and memory_get work here"}, true},
		{&memory.FieldError{Field: "Idempotency-Key", Problem: "was used for another request"}, []string{"idempotency_key was used for another request. Correct idempotency_key and call again."}, true},
		{&memory.FieldError{Field: "If-Match", Problem: "is no token"}, []string{"Correct if_match and call again."}, true},
		{&memory.FieldError{Field: "title", Problem: "is required"}, []string{"title is required. Correct title and call again."}, true},
		{&memory.ConflictError{ExistingID: "abc", Namespace: "a"}, []string{"Its id is abc", "memory_update", "on_conflict merge or version"}, true},
		{&memory.ConflictError{Namespace: "a"}, []string{"Choose another title."}, true},
		{&memory.AmbiguousError{IDs: []string{"ab", "ac"}}, []string{"ab", "ac", "Call again with one of these ids in full."}, true},
		{memory.ErrAmbiguous, []string{"Call again with the id in full."}, true},
		{memory.ErrNotFound, []string{"No memory has this id", "memory_search or memory_list", "token as after"}, true},
		{memory.ErrConflict, []string{"Choose another title, or update the memory that has it."}, true},
		{memory.ErrMismatch, []string{"has changed since the version that if_match names", "memory_get"}, true},
		{memory.ErrBehind, []string{"has not yet received the writes that the token names", "Call again in a second"}, true},
		{&memory.QuorumError{Got: 1, Needed: 2, Committed: memory.CommittedFalse}, []string{"1 of the 2 members", "Nothing was written. Call again"}, true},
		{&memory.QuorumError{Got: 1, Needed: 2, Committed: memory.CommittedLocal, ID: "i1"}, []string{"The write stands on this node", "same arguments and idempotency_key", "Its id is i1."}, true},
		{&memory.QuorumError{Got: 1, Needed: 2, Committed: memory.CommittedUnknown}, []string{"not known whether the write stands", "it will not be done twice"}, true},
		{memory.ErrForbidden, []string{"forbidden for the key in use", "operator"}, true},
		{memory.ErrTooLarge, []string{"too large", "65536 bytes"}, true},
		{memory.ErrNoSpace, []string{"no space left", "Nothing was stored"}, true},
		{memory.ErrStopped, []string{"The node is stopping", "another node"}, true},
		{context.DeadlineExceeded, []string{"given up before it was done", "same idempotency_key"}, true},
		{context.Canceled, []string{"given up before it was done"}, true},
		{fmt.Errorf("%w: catching up", memory.ErrUnavailable), []string{"catching up. Call again in a second."}, true},
		{memory.ErrInvalid, []string{"Correct the arguments and call again."}, true},
		{secret, []string{"Internal error; the node's log says more."}, false},
		{fault{memory.ErrNotFound}, []string{"Internal error"}, false},
	} {
		for _, err := range []error{c.err, fmt.Errorf("around it: %w", c.err)} {
			text, known := advise(err)
			if known != c.known || strings.Contains(text, "secret") || !strings.HasSuffix(text, ".") {
				t.Errorf("%v: %v, %s", err, known, text)
			}
			for _, want := range c.says {
				if !strings.Contains(text, want) {
					t.Errorf("%v: no %q in %s", err, want, text)
				}
			}
		}
	}
}

// TestFailures: what a service fails with is a result of every tool, never an error of the
// protocol, and a panic ends neither the server nor the conversation.
func TestFailures(t *testing.T) {
	var log bytes.Buffer
	for _, c := range []struct {
		name   string
		f      *fake
		says   string
		logged string
	}{
		{"behind", &fake{err: memory.ErrBehind}, "Call again in a second", ""},
		{"unknown", &fake{err: errors.New("disk on fire")}, "Internal error", "disk on fire"},
		{"panic", &fake{panics: true}, "Internal error", "of the service"},
	} {
		session := connect(t, Config{Service: c.f, Tools: ToolsAll, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for _, h := range happy {
			log.Reset()
			args := cmp.Or(h.args, "{}")
			text, data, failed := call(t, session, h.tool, args)
			if !failed || data != nil || !strings.Contains(text, c.says) || strings.Contains(text, "fire") {
				t.Errorf("%s, %s: %v %s", c.name, h.tool, failed, text)
			}
			if (c.logged == "") != (log.Len() == 0) || !strings.Contains(log.String(), c.logged) {
				t.Errorf("%s, %s: logged %q", c.name, h.tool, log.String())
			}
		}
	}
}
