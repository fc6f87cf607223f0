package wire

import (
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/memory"
)

// The request of contract 3.1.
const syncPushExample = `{"sender_agent_id":"host:n1","sender_clock":{"entries":{"host:n2":"2026-05-01T10:00:00+00:00"}},"memories":[{"id":"m","title":7}],
 "deletions":["id"],"archives":["id"],"restores":["id"],"links":[{"source_id":"a","target_id":"b","relation":"related_to","created_at":"2026-05-01T10:00:00Z","signature":[1,2]}],
 "pendings":[{"any":"thing"}],"pending_decisions":[{"id":"p","approved":true,"decider":"ai:bob"}],
 "namespace_meta":[{"namespace":"a","standard_id":"id","parent_namespace":"p","updated_at":""}],"namespace_meta_clears":["a"],"dry_run":false,"unknown":[]}`

func TestParseSyncPushRefused(t *testing.T) {
	many := "[" + strings.Repeat(`"x",`, MaxSyncItems) + `"x"]`
	for name, body := range map[string]string{
		"empty":                  "",
		"null":                   "null",
		"array":                  "[]",
		"cut off":                syncPushExample[:100],
		"two values":             syncPushExample + "{}",
		"no sender":              `{"memories":[]}`,
		"long sender":            `{"sender_agent_id":"` + strings.Repeat("a", MaxName+1) + `","memories":[]}`,
		"no memories":            `{"sender_agent_id":"a"}`,
		"memories null":          `{"sender_agent_id":"a","memories":null}`,
		"memories an object":     `{"sender_agent_id":"a","memories":{}}`,
		"clock with numbers":     `{"sender_agent_id":"a","memories":[],"sender_clock":{"entries":{"x":1}}}`,
		"duplicate key":          `{"sender_agent_id":"a","sender_agent_id":"b","memories":[]}`,
		"other case":             `{"sender_agent_id":"a","memories":[],"Memories":[]}`,
		"too many memories":      `{"sender_agent_id":"a","memories":` + many + `}`,
		"too many deletions":     `{"sender_agent_id":"a","memories":[],"deletions":` + many + `}`,
		"too many links":         `{"sender_agent_id":"a","memories":[],"links":[` + strings.Repeat("{},", MaxSyncItems) + `{}]}`,
		"too many clears":        `{"sender_agent_id":"a","memories":[],"namespace_meta_clears":` + many + `}`,
		"deletions with numbers": `{"sender_agent_id":"a","memories":[],"deletions":[1]}`,
		"invalid UTF-8":          "{\"sender_agent_id\":\"\xff\",\"memories\":[]}",
		"deep":                   `{"sender_agent_id":"a","memories":[],"x":` + strings.Repeat("[", 100_000),
	} {
		if _, err := ParseSyncPush([]byte(body)); !errors.Is(err, memory.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadSyncPush(io.LimitReader(zeros{}, MaxSyncBody+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("2 MiB + 1: %v", err)
	}
	if _, err := ParseSyncPush(make([]byte, MaxSyncBody+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("2 MiB + 1, in memory: %v", err)
	}
	p, err := ReadSyncPush(strings.NewReader(`{"sender_agent_id":"a","memories":[]}`))
	if err != nil || p.SenderAgentID != "a" {
		t.Errorf("smallest body: %v", err)
	}
}

func TestParseUpdatedSince(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 123456789, time.UTC)
	for _, c := range []struct {
		query string
		want  UpdatedSince
	}{
		{"", UpdatedSince{Limit: 500}},
		{"since=&limit=0", UpdatedSince{Limit: 500}},
		{"since=2026-05-01T10:00:00.123456789Z&limit=20000&peer=x", UpdatedSince{Since: at, Limit: 10000, Peer: "x"}},
		{"since=2026-05-01T10:00:00.123456789%2B00:00&limit=7", UpdatedSince{Since: at, Limit: 7}},
		{"since=2026-05-01T10:00:00.123456789+00:00", UpdatedSince{Since: at, Limit: 500}},
		{"since=2026-05-01T12:00:00.123456789%2B02:00@42", UpdatedSince{Since: at, After: 42, Limit: 500}},
		{"since=@42", UpdatedSince{After: 42, Limit: 500}},
	} {
		v, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseUpdatedSince(v)
		if err != nil || !got.Since.Equal(c.want.Since) || got.After != c.want.After || got.Limit != c.want.Limit || got.Peer != c.want.Peer {
			t.Errorf("%s: %+v, %v", c.query, got, err)
		}
		again, err := ParseUpdatedSince(url.Values{"since": {got.NextSince(99)}})
		if err != nil || !again.Since.Equal(got.Since) || again.After != 99 {
			t.Errorf("%s: next page %+v, %v", c.query, again, err)
		}
	}
	for _, query := range []string{
		"since=garbage", "since=2026-05-01", "since=1767225600", "since=@", "since=@x", "since=2026-05-01T10:00:00Z@-1",
		"limit=-1", "limit=x", "limit=1e3", "limit=99999999999", "since=a&since=b", "peer=" + strings.Repeat("x", MaxName+1),
	} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseUpdatedSince(v); !errors.Is(err, memory.ErrInvalid) {
			t.Errorf("%s: %v", query, err)
		}
	}
}
