package memory

import (
	"reflect"
	"strings"
	"testing"
)

func TestStandardStored(t *testing.T) {
	s := Standard{Namespace: "a/b", MemoryID: "m1", Parent: "p", Governance: Raw(`{"write":"any"}`), UpdatedAt: epoch}
	const want = `{"namespace":"a/b","standard_id":"m1","parent":"p","governance":{"write":"any"},"updated_at":"2026-11-22T10:30:00.123456789+00:00"}`
	if got := string(s.Encode()); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	again, err := DecodeStandard(s.Encode())
	if err != nil || !reflect.DeepEqual(again, s) {
		t.Fatalf("%+v, %v", again, err)
	}
	if err := ValidateValue(s.Key(), s.Encode()); err != nil {
		t.Error(err)
	}
	if err := ValidateValue(StandardKey("a"), s.Encode()); err == nil {
		t.Error("a standard under another namespace's key")
	}
	bare := Standard{Namespace: "*", MemoryID: "m1", UpdatedAt: epoch}
	if again, err := DecodeStandard(bare.Encode()); err != nil || !reflect.DeepEqual(again, bare) {
		t.Errorf("%+v, %v", again, err)
	}
	// The longest namespace has a key, too.
	long := Standard{Namespace: strings.Repeat("ä", MaxNamespace), MemoryID: "m1"}
	if key, err := ParseKey([]byte(long.Key())); err != nil || key != long.Key() || key.Kind() != KindStandard || !KindStandard.Known() {
		t.Errorf("%v, %v", key, err)
	}
	for _, bad := range []string{`{}`, `{"namespace":"a"}`, `{"standard_id":"a"}`, `{"namespace":"a","standard_id":"m","governance":[]}`,
		`{"namespace":"a","standard_id":"m","updated_at":"x"}`} {
		if _, err := DecodeStandard([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestStandardContentHash(t *testing.T) {
	s := Standard{Namespace: "a", MemoryID: "m1"}
	h := s.ContentHash()
	if s.UpdatedAt = epoch; s.ContentHash() != h {
		t.Error("the time is in the hash")
	}
	for name, change := range map[string]func(*Standard){
		"namespace": func(s *Standard) { s.Namespace = "b" }, "memory": func(s *Standard) { s.MemoryID = "m2" },
		"parent": func(s *Standard) { s.Parent = "p" }, "governance": func(s *Standard) { s.Governance = Raw(`{"write":"any"}`) },
	} {
		b := s
		if change(&b); b.ContentHash() == h {
			t.Errorf("%s is not in the hash", name)
		}
	}
}

func TestGovernance(t *testing.T) {
	for in, want := range map[string]string{
		`{"write":"any"}`: `{"write":"any"}`,
		`{ "write" : "owner", "delete":"approve","promote":"registered","approver":"human","inherit":true }`: `{"approver":"human","delete":"approve","inherit":true,"promote":"registered","write":"owner"}`,
		`{"write":"any","approver":{"agent":"ai:a"}}`:                                                        `{"approver":{"agent":"ai:a"},"write":"any"}`,
		`{"write":"any","approver":{"consensus":2},"x":[1]}`:                                                 `{"approver":{"consensus":2},"write":"any","x":[1]}`,
		`{"write":"\u0061ny"}`: `{"write":"any"}`,
	} {
		if g, err := ParseGovernance([]byte(in)); err != nil || string(g) != want {
			t.Errorf("%s: %s, %v", in, g, err)
		}
	}
	for in, field := range map[string]string{
		`null`: "governance", `"any"`: "governance", `{}`: "governance.write", `{"write":null}`: "governance.write",
		`{"write":"any","inherit":1}`: "governance.inherit", `{"write":"any","approver":{"agent":1}}`: "governance.approver.agent",
		`{"write":"any","approver":{"consensus":1001}}`: "governance.approver.consensus",
	} {
		_, err := ParseGovernance([]byte(in))
		wantField(t, in, err, field, "")
	}
}

// What a draft does not say is told from what it takes away.
func TestStandardDraft(t *testing.T) {
	d, err := DecodeStandardDraft([]byte(`{"namespace":"a","standard":{"namespace":"b","standard_id":"m1"},"id":null}`))
	if err != nil || !reflect.DeepEqual(d, StandardDraft{Namespace: "b", MemoryID: "m1"}) {
		t.Errorf("%+v, %v", d, err)
	}
	for _, in := range []string{`{"parent":null,"governance":null}`, `{"standard":{"parent":"","governance":null}}`} {
		if d, err = DecodeStandardDraft([]byte(in)); err != nil || d.Parent == nil || *d.Parent != "" || d.Governance == nil || *d.Governance != nil {
			t.Errorf("%s: %+v, %v", in, d, err)
		}
	}
}
