package httpapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/memory"
)

// TestKeepAnswers holds the routes of links, the archive and of housekeeping to golden
// bodies. TOKEN stands for the test token.
func TestKeepAnswers(t *testing.T) {
	const (
		written  = `"dot":"0123456789abcdef:42","acks":2,"token":"TOKEN"}`
		several  = `"acks":2,"token":"TOKEN"}`
		notFound = `{"error":"not found","code":"NOT_FOUND"}`
	)
	bad := func(field, text string) string {
		return `{"error":"` + field + ` ` + text + `","code":"INVALID","field":"` + field + `"}`
	}
	many := func(n int) string {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = fmt.Sprint("i", i)
		}
		b, _ := json.Marshal(ids)
		return string(b)
	}
	for _, c := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"POST", "/api/v1/links", `{"source_id":"a","target_id":"b"}`, 201,
			`{"linked":true,"attest_level":"unsigned","source_id":"a","target_id":"b","relation":"related_to","created_at":"2026-05-01T10:00:00+00:00",` + written},
		{"POST", "/api/v1/links", `{"source_id":"a","target_id":"missing","relation":"supersedes"}`, 404, notFound},
		{"POST", "/api/v1/links", `{"source_id":"a","target_id":"a"}`, 400, bad("target_id", "is the source itself")},
		{"POST", "/api/v1/links", `{"source_id":"a","target_id":"b","relation":"likes"}`, 400, bad("relation", "must be related_to, supersedes, contradicts or derived_from")},
		{"POST", "/api/v1/links", `{"source_id":"a"}`, 400, bad("target_id", "must have 1 to 128 bytes")},
		{"POST", "/api/v1/links", `{"source_id":"a/b","target_id":"b"}`, 400, bad("source_id", "must not contain a slash, a newline or a tab")},
		{"POST", "/api/v1/links", `[]`, 400, bad("link", "must be a JSON object")},
		{"DELETE", "/api/v1/links", `{"source_id":"a","target_id":"b"}`, 200, `{"deleted":true,` + several},
		{"DELETE", "/api/v1/links", `{"source_id":"missing","target_id":"b"}`, 200, `{"deleted":false,` + several},
		{"GET", "/api/v1/links/m1", "", 200, `{"links":[{"source_id":"m1","target_id":"m2","relation":"supersedes","created_at":"2026-05-01T10:00:00+00:00"}],"count":1}`},
		{"GET", "/api/v1/links/missing", "", 200, `{"links":[],"count":0}`},
		{"POST", "/api/v1/memories/m1/promote", `{"ignored":1}`, 200, `{"promoted":true,"mode":"tier","id":"m1","tier":"long",` + written},
		{"POST", "/api/v1/memories/m1/promote", "", 200, `{"promoted":true,"mode":"tier","id":"m1","tier":"long",` + written},
		{"POST", "/api/v1/memories/m1/promote", `{"to_namespace":"a"}`, 200, `{"promoted":true,"mode":"vertical","source_id":"m1","clone_id":"m9","to_namespace":"a",` + written},
		{"POST", "/api/v1/memories/m1/promote?to_namespace=a", "", 200, `{"promoted":true,"mode":"vertical","source_id":"m1","clone_id":"m9","to_namespace":"a",` + written},
		{"POST", "/api/v1/memories/m1/promote?to_namespace=a", `{"to_namespace":"b"}`, 400, bad("to_namespace", "is given twice, in the body and in the query")},
		{"POST", "/api/v1/memories/m1/promote", `{"to_namespace":"a//b"}`, 400, bad("to_namespace", "is no namespace")},
		{"POST", "/api/v1/memories/m1/promote", `{"to_namespace":7}`, 400, bad("to_namespace", "has the wrong type or is out of range")},
		{"POST", "/api/v1/memories/m1/forget", "", 200, `{"deleted":3,"archived":3,` + several},
		{"POST", "/api/v1/memories/m1/forget", `{"ignored":1}`, 200, `{"deleted":3,"archived":3,` + several},
		{"POST", "/api/v1/forget", `{"namespace":"a"}`, 200, `{"deleted":3,"archived":3,` + several},
		{"POST", "/api/v1/forget?namespace=a", "", 200, `{"deleted":3,"archived":3,` + several},
		{"POST", "/api/v1/forget", `{"ids":["a","b"]}`, 200, `{"deleted":3,"archived":3,` + several},
		{"POST", "/api/v1/forget?dry_run=1", `{"pattern":"x"}`, 200, `{"would_delete":3,"dry_run":true}`},
		{"POST", "/api/v1/forget", "", 400, bad("body", "must name what to forget: ids, or at least one of namespace, pattern and tier")},
		{"POST", "/api/v1/forget", `{}`, 400, bad("body", "must name what to forget: ids, or at least one of namespace, pattern and tier")},
		{"POST", "/api/v1/forget", `{"pattern":"  ","namespace":""}`, 400, bad("body", "must name what to forget: ids, or at least one of namespace, pattern and tier")},
		{"POST", "/api/v1/forget", `{"ids":[]}`, 400, bad("ids", "must have 1 to 1000 items")},
		{"POST", "/api/v1/forget", `{"ids":` + many(1001) + `}`, 400, bad("ids", "must have 1 to 1000 items")},
		{"POST", "/api/v1/forget", `{"ids":["a","a"]}`, 400, bad("ids[1]", "is there twice")},
		{"POST", "/api/v1/forget", `{"ids":["a"],"tier":"mid"}`, 400, bad("ids", "stand alone: give ids or filters")},
		{"POST", "/api/v1/forget?namespace=a", `{"namespace":"b"}`, 400, bad("namespace", "is given twice, in the body and in the query")},
		{"POST", "/api/v1/forget", `{"tier":"eternal"}`, 400, bad("tier", "must be short, mid or long")},
		{"POST", "/api/v1/consolidate", `{"ids":["a","b"],"title":"T","summary":"s"}`, 201, `{"id":"m9","consolidated":2,` + written},
		{"POST", "/api/v1/consolidate", `{"ids":["a"],"title":"T","summary":"s"}`, 400, bad("ids", "must have 2 to 100 items")},
		{"POST", "/api/v1/consolidate", `{"ids":["a","a"],"title":"T","summary":"s"}`, 400, bad("ids[1]", "is there twice")},
		{"POST", "/api/v1/consolidate", `{"ids":["a","b"],"summary":"s"}`, 400, bad("title", "is required")},
		{"POST", "/api/v1/consolidate", `{"ids":["a","b"],"title":"T","summary":" "}`, 400, bad("summary", "is required")},
		{"POST", "/api/v1/gc", "", 200, `{"expired_deleted":4,"acks":0,"token":"` + memory.View{}.Token.Token() + `"}`},
		{"POST", "/api/v1/archive", `{"ids":["a","b"]}`, 200, `{"archived":["a"],"missing":["b"],"count":1,"reason":"archive",` + several},
		{"POST", "/api/v1/archive", `{"ids":["a"],"reason":"old"}`, 200, `{"archived":["a"],"missing":[],"count":1,"reason":"old",` + several},
		{"POST", "/api/v1/archive", `{}`, 400, bad("ids", "must have 1 to 1000 items")},
		{"POST", "/api/v1/archive", `{"ids":["a"],"reason":"` + strings.Repeat("x", 513) + `"}`, 400, bad("reason", "must have 1 to 512 bytes")},
		{"GET", "/api/v1/archive", "", 200, `{"archived":[{"id":"m1"}],"count":1}`},
		{"GET", "/api/v1/archive?limit=0", "", 400, bad("limit", "must be from 1 to 1000")},
		{"GET", "/api/v1/archive?limit=-1", "", 400, bad("limit", "must be a whole number, 0 or more")},
		{"GET", "/api/v1/archive?offset=-1", "", 400, bad("offset", "must be a whole number, at least 0")},
		{"GET", "/api/v1/archive?namespace=a//b", "", 400, bad("namespace", "must not have empty, . or .. segments, nor begin or end with a slash")},
		{"DELETE", "/api/v1/archive", "", 200, `{"purged":5,` + several},
		{"DELETE", "/api/v1/archive?older_than_days=7", "", 200, `{"purged":5,` + several},
		{"DELETE", "/api/v1/archive?older_than_days=x", "", 400, bad("older_than_days", "must be a whole number, at least 0")},
		{"DELETE", "/api/v1/archive/m1", "", 200, `{"deleted":true,"id":"m1",` + written},
		{"POST", "/api/v1/archive/m1/restore", "", 200, `{"restored":true,"id":"m1",` + written},
		{"POST", "/api/v1/archive/missing/restore", "", 404, `{"error":"not found in archive","code":"NOT_ARCHIVED"}`},
		{"GET", "/api/v1/archive/stats", "", 200, `{"archived_total":2,"by_namespace":[{"namespace":"a","count":2}]}`},
	} {
		name := c.method + " " + c.target + " " + c.body
		d, log := newDoor(t, new(fake))
		w := serve(d, request(c.method, c.target, c.body, "Content-Type", "application/json"))
		if want := strings.ReplaceAll(c.want, "TOKEN", testToken.Token()); w.Code != c.status || w.Body.String() != want {
			t.Errorf("%.120s: got %d %s\nwant %d %s", name, w.Code, w.Body, c.status, want)
		}
		if log.String() != "" {
			t.Errorf("%.120s logged: %s", name, log)
		}
	}
}

// TestWhatIsKept checks what the node is told.
func TestWhatIsKept(t *testing.T) {
	f := new(fake)
	d, _ := newDoor(t, f)
	send := func(method, target, body string) {
		t.Helper()
		if w := serve(d, request(method, target, body, "Content-Type", "application/json", "X-Agent-Id", "ai:x")); w.Code > 299 {
			t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
	}
	check := func(ok bool) {
		t.Helper()
		if !ok {
			t.Errorf("%+v, id %q, %+v", f.kept, f.id, f.opt)
		}
	}
	send("POST", "/api/v1/links?w=2", `{"source_id":"a","target_id":"b","relation":"contradicts","since":7}`)
	check(f.kept.link.Relation == "contradicts" && len(f.kept.link.Extra) == 1 && f.opt.W == 2 && f.opt.Agent == "ai:x")
	send("DELETE", "/api/v1/links", `{"source_id":"a","target_id":"b","relation":"contradicts"}`)
	check(f.id == "a>b")
	send("POST", "/api/v1/forget?tier=mid", `{"namespace":"n","pattern":"two words","unknown":1}`)
	check(fmt.Sprint(f.kept.selection) == "{[] n two words mid false}")
	send("POST", "/api/v1/forget", `{"ids":["a"],"dry_run":true}`)
	check(f.kept.selection.DryRun && f.kept.selection.IDs[0] == "a")
	send("POST", "/api/v1/consolidate", `{"ids":["a","b"],"title":"T","summary":"s","namespace":"n","tier":"mid","agent_id":"ai:y"}`)
	got := f.kept.consolidation.Draft
	check(*got.Title == "T" && *got.Content == "s" && *got.Namespace == "n" && *got.Tier == "mid" && *got.AgentID == "ai:y")
	send("GET", "/api/v1/archive?namespace=n&limit=5000&offset=7", "")
	check(f.kept.page == ArchivePage{"n", 1000, 7})
	send("GET", "/api/v1/archive", "")
	check(f.kept.page == ArchivePage{"", 50, 0})
	send("DELETE", "/api/v1/archive?older_than_days=2", "")
	check(f.kept.age == 48*time.Hour)
	send("DELETE", "/api/v1/archive", "")
	check(f.kept.age == 0)
}
