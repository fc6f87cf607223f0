package memory

import (
	"strings"
	"testing"
	"time"
)

func TestLink(t *testing.T) {
	l, err := ParseLink([]byte(`{"source_id":"a","target_id":"b","created_at":"2026-05-01T10:00:00Z","signature":[2,1],"linked":true,"observed_by":null}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"source_id":"a","target_id":"b","relation":"related_to","created_at":"2026-05-01T10:00:00+00:00","signature":[2,1]}`
	if got := string(l.Encode()); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	back, err := DecodeLink(l.Key(), l.Encode())
	if err != nil || string(back.Encode()) != want || back.ContentHash() != l.ContentHash() {
		t.Errorf("%+v, %v", back, err)
	}
	// The parts cannot run into one another, and direction counts.
	ids := map[string]bool{}
	for _, p := range [][3]string{{"a", "r", "b"}, {"b", "r", "a"}, {"ar", "", "b"}, {"a", "", "rb"}, {"a", "rb", ""}} {
		id := LinkID(p[0], p[1], p[2])
		if ids[id] || id[14] != '8' {
			t.Errorf("%v: %s", p, id)
		}
		ids[id] = true
	}
	for body, field := range map[string]string{
		`{"target_id":"b"}`: "source_id", `{"source_id":"a"}`: "target_id", `{"source_id":"a","target_id":"a"}`: "target_id",
		`{"source_id":"a/b","target_id":"b"}`: "source_id", `{"source_id":"a","target_id":"b","relation":"likes"}`: "relation",
		`{"source_id":"a","target_id":"b","relation":7}`: "relation", `{"source_id":"a","target_id":"b","created_at":"soon"}`: "created_at",
		`{"source_id":"a","source_id":"b"}`: "body", `[]`: "link",
		`{"source_id":"a","target_id":"b","x":"` + strings.Repeat("y", maxSmallExtra) + `"}`: "link",
	} {
		_, err := ParseLink([]byte(body))
		wantField(t, body, err, field, "")
	}
	for _, stored := range []string{
		`{"source_id":"a","target_id":"b","relation":"related_to"}`, `{"source_id":"a","target_id":"c","relation":"related_to","created_at":"2026-05-01T10:00:00+00:00"}`,
		`{}`, `7`, ` {}`,
	} {
		if _, err := DecodeLink(l.Key(), []byte(stored)); err == nil {
			t.Errorf("taken: %s", stored)
		}
	}
}

func TestArchived(t *testing.T) {
	m := Memory{
		ID: "x", Tier: TierMid, Namespace: "n", Title: "t", Content: "c", Tags: []string{"a", "b"}, Priority: 5, Confidence: 1, Source: "api",
		CreatedAt: epoch, UpdatedAt: epoch, ExpiresAt: epoch.Add(time.Hour), Metadata: Raw(`{"k":1}`), Extra: []Field{{"new", Raw("1")}},
	}
	a := Archived{ArchivedAt: epoch, Reason: "why", Value: m.Encode(), Extra: []Field{{"later", Raw("2")}}}
	key := ArchiveKey(NewKey(KindMemory, "x"))
	if key != NewKey(KindArchive, "x") || ArchivedKey(key) != NewKey(KindMemory, "x") {
		t.Error(key)
	}
	back, err := DecodeArchived(a.Encode())
	if err != nil || string(back.Encode()) != string(a.Encode()) || back.ContentHash() != a.ContentHash() {
		t.Errorf("%+v, %v", back, err)
	}
	if got, err := back.Memory(key); err != nil || string(got.Encode()) != string(m.Encode()) || got.ID != "x" {
		t.Errorf("%+v, %v", got, err)
	}
	shown, err := a.AppendShown(nil, "x", false)
	if err != nil || !strings.Contains(string(shown), `"tags":"[\"a\",\"b\"]"`) || !strings.HasSuffix(string(shown), `,"archived_at":"2026-11-22T10:30:00.123456789+00:00","archive_reason":"why"}`) {
		t.Errorf("%s, %v", shown, err)
	}
	plain, err := a.AppendShown(nil, "x", true)
	if err != nil || !strings.Contains(string(plain), `"tags":["a","b"]`) {
		t.Errorf("%s, %v", plain, err)
	}
	id, again, err := ParseArchived(plain)
	a.Extra = nil
	if err != nil || id != "x" || string(again.Encode()) != string(a.Encode()) {
		t.Errorf("%s, %s, %v", id, again.Encode(), err)
	}
	value := string(m.Encode())
	for _, bad := range []string{
		`{}`, `7`, `{"archived_at":"2026-05-01T10:00:00Z","archive_reason":"r"}`, `{"archive_reason":"r","memory":` + value + `}`,
		`{"archived_at":"2026-05-01T10:00:00Z","archive_reason":"","memory":` + value + `}`,
		`{"archived_at":"2026-05-01T10:00:00Z","archive_reason":"r","memory":{}}`,
	} {
		if err := ValidateValue(key, []byte(bad)); err == nil {
			t.Errorf("taken: %s", bad)
		}
	}
	for _, bad := range []string{`"archived_at":7,"archive_reason":"r"`, `"archive_reason":"r"`, `"archived_at":"2026-05-01T10:00:00Z"`} {
		body := AppendView(nil, "x", []byte(value), ViewFields{})
		if _, _, err := ParseArchived([]byte(string(body[:len(body)-1]) + "," + bad + "}")); err == nil {
			t.Errorf("taken: %s", bad)
		}
	}
}
