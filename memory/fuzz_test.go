package memory

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"
)

// FuzzDecodeRecord: arbitrary bytes never panic, never allocate without bound, and what is accepted has one encoding and can be read
// through every other door too.
func FuzzDecodeRecord(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		env, envErr := DecodeEnvelope(b)
		r, err := DecodeRecord(b)
		if (envErr != nil) != errors.Is(err, ErrFrame) {
			t.Fatalf("envelope says %v, record %v", envErr, err)
		}
		if err != nil {
			return
		}
		again := r.Append(nil)
		if !bytes.Equal(again, b) {
			t.Fatalf("two encodings: %x, %x", b, again)
		}
		if env.Key != r.Key || len(env.Dots) != len(r.Versions) {
			t.Fatal("envelope and record differ")
		}
		if m := Merge(r, r, nil); m.Changed || len(m.Collisions) > 0 {
			t.Fatalf("merge with itself: %+v", m)
		}
		if v := r.View(); v.Live && r.Key.Kind() == KindMemory {
			m, err := DecodeMemory(r.Key, v.Winner.Value)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := DecodeMemory(r.Key, m.Encode()); err != nil {
				t.Fatalf("encoding again: %v", err)
			}
		}
	})
}

// FuzzDecodeDraft: what is taken is valid, can be stored and says the same when it is read again.
func FuzzDecodeDraft(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := DecodeDraft(b)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%v is not the client's fault", err)
			}
			return
		}
		m, err := d.Memory(epoch, "ai:fuzz")
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%v is not the client's fault", err)
			}
			return
		}
		checkStored(t, m)
	})
}

// FuzzDecodePatch: an update that is taken leaves a memory that can be stored.
func FuzzDecodePatch(f *testing.F) {
	stored, err := create(body(`"metadata":{"x":1},"extra":[1,2]`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodePatch(b)
		if err == nil {
			var m Memory
			if m, err = p.Apply(stored, epoch); err == nil {
				if m.Agent() != stored.Agent() || tierRank(m.Tier) < tierRank(stored.Tier) {
					t.Fatalf("%+v", m)
				}
				checkStored(t, m)
			}
		}
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatalf("%v is not the client's fault", err)
		}
	})
}

func checkStored(t *testing.T, m Memory) {
	t.Helper()
	value := m.Encode()
	if len(value) > MaxValue || !utf8.Valid(value) {
		t.Fatalf("%d bytes at rest", len(value))
	}
	back, err := DecodeMemory(testKey, value)
	if err != nil {
		t.Fatalf("%v: %s", err, value)
	}
	if !bytes.Equal(back.Encode(), value) {
		t.Fatalf("unstable:\n%s\n%s", value, back.Encode())
	}
	if back.Title != m.Title || back.Content != m.Content {
		t.Fatal("text changed")
	}
	var fields map[string]any
	if err := json.Unmarshal(AppendView(nil, "id", value, ViewFields{Token: "t", Conflicts: 1}), &fields); err != nil {
		t.Fatalf("view: %v", err)
	}
}
