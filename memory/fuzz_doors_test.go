package memory

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// FuzzNamespace: what is taken can be a path, and means one namespace only.
func FuzzNamespace(f *testing.F) {
	for _, s := range []string{"global", "acme/ops", "a/b/c/d/e/f/g/h", "../x", "/abs", "a//b", "a%2f..%2fb", "_messages/ai:x", "*", "ns\u00a0x", strings.Repeat("ä", MaxNamespace)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ns string) {
		if err := ValidateNamespace(ns); err != nil {
			if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), ns) && len(ns) > 12 {
				t.Fatalf("%q: %v", ns, err)
			}
			return
		}
		segments := strings.Split(ns, "/")
		if len(segments) > 8 || strings.ContainsAny(ns, " \\\x00\n\t") || strings.TrimSpace(ns) == "" {
			t.Fatalf("%q is a namespace", ns)
		}
		for _, s := range segments {
			if s == "" || s == "." || s == ".." {
				t.Fatalf("%q is a namespace", ns)
			}
		}
	})
}

// FuzzImport: a record of a foreign export, or of a push of the original, that is taken can
// be stored; so can the other kinds.
func FuzzImport(f *testing.F) {
	f.Add([]byte(`{"id":"x","tier":"mid","namespace":"global","title":"T","content":"c","tags":[],"priority":5,"confidence":1,"source":"api","access_count":0,"created_at":"2026-05-01T10:00:00Z","updated_at":"2026-05-01T10:00:00Z","metadata":{"agent_id":"ai:x"}}`))
	f.Add([]byte(`{"source_id":"a","target_id":"b","relation":"related_to","created_at":"2026-05-01T10:00:00+00:00","signature":[1,2]}`))
	f.Add([]byte(`{"agent_id":"ai:x","agent_type":"ai:claude","capabilities":["a"]}`))
	f.Add([]byte(`{"namespace":"a","id":"x","parent":"p","governance":{"write":"owner","approver":{"consensus":2}}}`))
	f.Add([]byte(`{"standard":{"id":"x","governance":{"write":"any"}}}`))
	f.Add([]byte(`{"id":"x","title":"T","content":"c","archived_at":"2026-05-01T10:00:00Z","archive_reason":"ttl","tags":"[\"a\"]"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		fault := func(err error) {
			if err != nil && !errors.Is(err, ErrInvalid) {
				t.Fatalf("%v is not the client's fault", err)
			}
		}
		if m, err := DecodeFull(b); err != nil {
			fault(err)
		} else {
			checkStored(t, m)
		}
		if l, err := ParseLink(b); err != nil {
			fault(err)
		} else if back, err := DecodeLink(l.Key(), l.Encode()); err != nil || !bytes.Equal(back.Encode(), l.Encode()) {
			t.Fatalf("link: %v: %s", err, l.Encode())
		}
		if a, err := DecodeRegistration(b); err != nil {
			fault(err)
		} else if back, err := DecodeAgent(a.Encode()); err != nil || back.ID != a.ID {
			t.Fatalf("agent: %v: %s", err, a.Encode())
		}
		_, err := DecodeStandardDraft(b)
		fault(err)
		_, err = DecodeDrafts(b)
		fault(err)
		if _, a, err := ParseArchived(b); err != nil {
			fault(err)
		} else if _, err := DecodeArchived(a.Encode()); err != nil {
			t.Fatalf("archived: %v: %s", err, a.Encode())
		}
	})
}

// FuzzImported: an agent and a standard that an import takes are stored as they are read,
// and an export of them is taken again, the same.
func FuzzImported(f *testing.F) {
	for _, s := range []string{
		`{"agent_id":"ai:a","agent_type":"human","capabilities":["x"],"registered_at":"2026-01-01T00:00:00Z","last_seen_at":"2026-01-01T00:00:00Z","more":{"a":1}}`,
		`{"namespace":"a/b","standard_id":"s","parent":"p","governance":{"write":"any","approver":"human"},"updated_at":"2026-01-01T00:00:00+02:00","more":[1e3]}`,
		`{"namespace":"*","standard_id":"s","governance":null,"updated_at":"2026-01-01T00:00:00Z","Namespace":"x"}`, `{}`, `[]`, `7`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := ParseAgent(data); err == nil {
			rest := a.Encode()
			again, err := ParseAgent(rest)
			if stored, e := DecodeAgent(rest); err != nil || e != nil || string(again.Encode()) != string(rest) || stored.ContentHash() != a.ContentHash() {
				t.Fatalf("%s: %v %v: %s", rest, err, e, again.Encode())
			}
		}
		if s, err := ParseStandard(data); err == nil {
			rest := s.Encode()
			again, err := ParseStandard(rest)
			if stored, e := DecodeStandard(rest); err != nil || e != nil || string(again.Encode()) != string(rest) || stored.ContentHash() != s.ContentHash() {
				t.Fatalf("%s: %v %v: %s", rest, err, e, again.Encode())
			}
		}
	})
}
