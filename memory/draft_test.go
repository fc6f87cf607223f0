package memory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const minimal = `"title":"t","content":"c"`

func body(members string) string { return "{" + minimal + "," + members + "}" }

// create is what a door does with a body.
func create(data string) (Memory, error) {
	d, err := DecodeDraft([]byte(data))
	if err != nil {
		return Memory{}, err
	}
	return d.Memory(epoch, "anonymous:req-00000000")
}

// TestBadDrafts walks the bad-input catalogue: every row is a FieldError that names the field and does not repeat the input.
func TestBadDrafts(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	quoted := func(s string) string { return `"` + s + `"` }
	nested := func(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) }
	for i, c := range []struct{ data, field string }{
		// shape of the body
		{"", "body"}, {"   ", "body"}, {"null", "body"}, {"[]", "body"}, {"7", "body"}, {`"x"`, "body"},
		{`{"title":"t","content":"c"`, "body"}, {`{"title":"t"`, "body"}, {`{"title"`, "body"}, {`{`, "body"},
		{body(`"x":1`) + body(`"x":1`), "body"}, {body(`"x":1`) + "x", "body"}, {body(`"x":1`) + "}", "body"}, {body(`"x":1`) + " null", "body"},
		{`{"title":"t","content":"c",}`, "body"}, {`{title:"t"}`, "body"}, {`{'title':'t'}`, "body"}, {"\ufeff" + body(`"x":1`), "body"},
		{strings.Repeat("[", 100_000), "body"}, {strings.Repeat(`{"a":`, 100_000), "body"}, {body(`"x":` + strings.Repeat("[", 20_000)), "body"},
		// keys
		{body(`"title":"u"`), "body"}, {`{"title":"t","content":"c","\u0074itle":"u"}`, "body"}, {body(`"a":1,"a":1`), "body"},
		{body(`"Content":"c"`), "body"}, {`{"title":"t","CONTENT":"c"}`, "body"}, {body(`"metadata":{"a":1,"a":2}`), "body"}, {body(`"Token":"c"`), "body"}, {body(`"new":1,"NEW":1`), "body"},
		{body(`"new":[1e999]`), "body"}, {body(`"metadata":{"a":"1e999","b":[{"\"":-1E+400}]}`), "metadata"}, {body(`"metadata":{"a":1` + strings.Repeat("0", 400) + `}`), "metadata"},
		// encoding
		{body("\"x\":\"\xff\""), "body"}, {"{\"title\":\"t\xc3\",\"content\":\"c\"}", "body"}, {body(`"x":"\ud800"`), "body"},
		{`{"title":"t","content":"\udc00 a"}`, "body"}, {body("\"\xed\xa0\x80\":1"), "body"}, {body(`"x":"` + "\x01" + `"`), "body"}, {body(`"metadata":{"a":"\ud800"}`), "body"},
		// title
		{`{"content":"c"}`, "title"}, {`{"title":null,"content":"c"}`, "title"}, {`{"title":1,"content":"c"}`, "title"}, {`{"title":" \n","content":"c"}`, "title"},
		{`{"title":` + quoted(long(513)) + `,"content":"c"}`, "title"}, {`{"title":"a\u0000b","content":"c"}`, "title"}, {`{"title":"a\u0007b","content":"c"}`, "title"},
		{`{"title":"a\rb","content":"c"}`, "title"}, {`{"title":"a\u007fb","content":"c"}`, "title"}, {`{"title":"a\u0085b","content":"c"}`, "title"},
		{`{"title":"a\ufffeb","content":"c"}`, "title"}, {`{"title":"a\uffffb","content":"c"}`, "title"}, {`{"title":"a\ufdd0b","content":"c"}`, "title"}, {`{"title":"\ud83f\udffe","content":"c"}`, "title"},
		// content
		{`{"title":"t"}`, "content"}, {`{"title":"t","content":5}`, "content"}, {`{"title":"t","content":""}`, "content"}, {`{"title":"t","content":"\t"}`, "content"},
		{`{"title":"t","content":` + quoted(long(65_537)) + `}`, "content"}, {`{"title":"t","content":` + quoted(strings.Repeat("😀", 16_385)) + `}`, "content"},
		{`{"title":"t","content":"\u0000"}`, "content"}, {`{"title":"t","content":"x\ufffe"}`, "content"}, {`{"title":"t","content":["c"]}`, "content"},
		// tier, namespace
		{body(`"tier":"forever"`), "tier"}, {body(`"tier":""`), "tier"}, {body(`"tier":"Mid"`), "tier"}, {body(`"tier":3`), "tier"},
		{body(`"namespace":""`), "namespace"}, {body(`"namespace":"../x"`), "namespace"}, {body(`"namespace":"/abs"`), "namespace"}, {body(`"namespace":"a//b"`), "namespace"},
		{body(`"namespace":"a%2f..%2fb"`), "namespace"}, {body(`"namespace":"a/"`), "namespace"}, {body(`"namespace":"a/./b"`), "namespace"}, {body(`"namespace":"a b"`), "namespace"},
		{body(`"namespace":"a\\b"`), "namespace"}, {body(`"namespace":"a\u0000"`), "namespace"}, {body(`"namespace":"a\nb"`), "namespace"}, {body(`"namespace":"` + long(513) + `"`), "namespace"},
		{body(`"namespace":"` + long(4096) + `"`), "namespace"}, {body(`"namespace":"1/2/3/4/5/6/7/8/9"`), "namespace"}, {body(`"namespace":"a\ufffe"`), "namespace"}, {body(`"namespace":["a"]`), "namespace"},
		// tags
		{body(`"tags":"a"`), "tags"}, {body(`"tags":{}`), "tags"}, {body(`"tags":[1]`), "tags"}, {body(`"tags":[null]`), "tags"}, {body(`"tags":[""]`), "tags"}, {body(`"tags":[" "]`), "tags"},
		{body(`"tags":["` + long(129) + `"]`), "tags"}, {body(`"tags":["a\u0001"]`), "tags"}, {body(`"tags":[` + strings.TrimSuffix(strings.Repeat(`"a",`, 51), ",") + `]`), "tags"},
		// numbers
		{body(`"priority":0`), "priority"}, {body(`"priority":11`), "priority"}, {body(`"priority":-1`), "priority"}, {body(`"priority":1e999`), "priority"}, {body(`"priority":5.5`), "priority"},
		{body(`"priority":5.0`), "priority"}, {body(`"priority":"5"`), "priority"}, {body(`"priority":99999999999999999999`), "priority"}, {body(`"priority":4294967301`), "priority"}, {body(`"priority":true`), "priority"},
		{body(`"confidence":1.1`), "confidence"}, {body(`"confidence":-0.1`), "confidence"}, {body(`"confidence":1e999`), "confidence"}, {body(`"confidence":"1"`), "confidence"},
		{body(`"confidence":NaN`), "body"}, {body(`"priority":05`), "body"}, {body(`"priority":+5`), "body"},
		// source, agent, scope, conflict
		{body(`"source":"other"`), "source"}, {body(`"source":""`), "source"}, {body(`"source":"API"`), "source"}, {body(`"source":` + quoted(long(65))), "source"},
		{body(`"agent_id":""`), "agent_id"}, {body(`"agent_id":"a b"`), "agent_id"}, {body(`"agent_id":"é"`), "agent_id"}, {body(`"agent_id":` + quoted(long(129))), "agent_id"}, {body(`"agent_id":7`), "agent_id"},
		{body(`"scope":"all"`), "scope"}, {body(`"scope":""`), "scope"}, {body(`"scope":1`), "scope"}, {body(`"on_conflict":"ignore"`), "on_conflict"}, {body(`"on_conflict":[]`), "on_conflict"},
		// expiry
		{body(`"ttl_secs":0`), "ttl_secs"}, {body(`"ttl_secs":-1`), "ttl_secs"}, {body(`"ttl_secs":31536001`), "ttl_secs"}, {body(`"ttl_secs":"60"`), "ttl_secs"}, {body(`"ttl_secs":1.5`), "ttl_secs"},
		{body(`"expires_at":"0000-01-01T00:00:00Z"`), "expires_at"}, {body(`"expires_at":"292277026596-12-04T15:30:08Z"`), "expires_at"}, {body(`"expires_at":"soon"`), "expires_at"}, {body(`"expires_at":""`), "expires_at"},
		{body(`"expires_at":1767225600`), "expires_at"}, {body(`"expires_at":"2026-11-22T10:30:00Z"`), "expires_at"}, {body(`"expires_at":"2027-02-29T00:00:00Z"`), "expires_at"},
		// metadata and unknown members
		{body(`"metadata":[]`), "metadata"}, {body(`"metadata":"{}"`), "metadata"}, {body(`"metadata":5`), "metadata"}, {body(`"metadata":` + nested(33)), "metadata"},
		{body(`"metadata":{"a":"` + long(65_530) + `"}`), "metadata"}, {body(`"future":` + nested(33)), "body"}, {body(`"future":"` + long(MaxValue) + `"`), "body"},
	} {
		_, err := create(c.data)
		wantField(t, fmt.Sprintf("%d %.60q", i, c.data), err, c.field, "aaaa")
	}
}

func TestGoodDrafts(t *testing.T) {
	for _, c := range []struct{ name, data string }{
		{"minimal", "{" + minimal + "}"},
		{"white space", " \n{ \"title\" : \"t\" ,\"content\":\"c\"}\r\n\t"},
		{"nulls are absent", body(`"tier":null,"namespace":null,"tags":null,"priority":null,"confidence":null,"source":null,"ttl_secs":null,"expires_at":null,"agent_id":null,"scope":null,"on_conflict":null,"metadata":null`)},
		{"bidi, zero width, ZWJ", `{"title":"a\u202eb\u200bc","content":"👩‍👩‍👧‍👦 \u2066x\u2069"}`},
		{"markup", `{"title":"<script>alert(1)</script>","content":"'; DROP TABLE x; -- & < >"}`},
		{"title of 512 characters", `{"title":"` + strings.Repeat("é", 512) + `","content":"c"}`},
		{"content of 64 KiB", `{"title":"t","content":"` + strings.Repeat("a", 65_536) + `"}`},
		{"content that doubles at rest", `{"title":"t","content":"` + strings.Repeat(`\n\"`, 32_000) + `x"}`},
		{"metadata 32 deep", body(`"metadata":` + strings.Repeat(`{"a":`, 31) + "{}" + strings.Repeat("}", 31))},
		{"50 tags", body(`"tags":[` + strings.TrimSuffix(strings.Repeat(`"a",`, 50), ",") + `]`)},
		{"tag of 128 bytes", body(`"tags":["` + strings.Repeat("a", 128) + `"]`)},
		{"namespace of 8", body(`"namespace":"1/2/3/4/5/6/7/8"`)},
		{"namespace of 512 characters", body(`"namespace":"` + strings.Repeat("é", 512) + `"`)},
		{"reserved namespaces", body(`"namespace":"_messages/ai:bob"`)},
		{"the standard's namespace", body(`"namespace":"*"`)},
		{"bounds", body(`"priority":10,"confidence":0,"ttl_secs":31536000,"agent_id":"` + strings.Repeat("a", 128) + `"`)},
		{"confidence -0", body(`"confidence":-0`)},
		{"escaped key", `{"t\u0069tle":"t","content":"c"}`},
		{"server fields", body(`"id":"x","created_at":"garbage","updated_at":7,"access_count":"no","last_accessed_at":{},"token":"x","conflicts":9`)},
		{"surrogate pair", body(`"metadata":{"a":"\ud83d\ude00"}`)},
		{"odd numbers", body(`"new":[1e300,1E-999,-0.0,123456789012345678901234567890,0],"metadata":{"1e999":"1e999"}`)},
		{"on conflict", body(`"on_conflict":"version"`)},
	} {
		m, err := create(c.data)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		value := m.Encode()
		back, err := DecodeMemory(testKey, value)
		if err != nil {
			t.Errorf("%s: at rest: %v", c.name, err)
			continue
		}
		if !bytes.Equal(back.Encode(), value) {
			t.Errorf("%s:\n%s\n%s", c.name, value, back.Encode())
		}
		if len(value) > MaxValue || !json.Valid(value) {
			t.Errorf("%s: %d bytes at rest", c.name, len(value))
		}
	}
}

func TestDraftDefaults(t *testing.T) {
	m, err := create("{" + minimal + "}")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"tier":"mid","namespace":"global","title":"t","content":"c","tags":[],"priority":5,"confidence":1,"source":"api",` +
		`"created_at":"2026-11-22T10:30:00.123456789+00:00","updated_at":"2026-11-22T10:30:00.123456789+00:00",` +
		`"expires_at":"2026-11-29T10:30:00.123456789+00:00","metadata":{"agent_id":"anonymous:req-00000000"}}`
	if got := string(m.Encode()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if m.ID != "" || m.Agent() != "anonymous:req-00000000" || m.Scope() != "private" {
		t.Errorf("%+v", m)
	}
}

func TestDraftExpiry(t *testing.T) {
	for data, want := range map[string]time.Duration{
		body(`"tier":"short"`):                                     6 * time.Hour,
		body(`"tier":"mid"`):                                       7 * 24 * time.Hour,
		body(`"tier":"long"`):                                      0,
		body(`"tier":"long","ttl_secs":60`):                        time.Minute,
		body(`"ttl_secs":60`):                                      time.Minute,
		body(`"expires_at":"2026-11-22T11:30:01.123456789+01:00"`): time.Second,
		body(`"ttl_secs":60,"expires_at":"2026-11-22T10:30:01.123456789+00:00"`):    time.Second,
		body(`"tier":"long","expires_at":"2026-11-22t10:30:01.123456789999-00:00"`): time.Second,
	} {
		m, err := create(data)
		if err != nil {
			t.Errorf("%s: %v", data, err)
			continue
		}
		if want == 0 != m.ExpiresAt.IsZero() || want != 0 && m.ExpiresAt.Sub(epoch) != want {
			t.Errorf("%s: %s", data, m.ExpiresAt)
		}
	}
}

func TestDraftAgentAndScope(t *testing.T) {
	for _, c := range []struct{ data, agent, want string }{
		{body(`"x":1`), "", `{}`},
		{body(`"x":1`), "ai:header", `{"agent_id":"ai:header"}`},
		{body(`"agent_id":"ai:body"`), "ai:header", `{"agent_id":"ai:body"}`},
		{body(`"metadata":{"agent_id":"ai:meta","zeta":1,"alpha":[1.0, 2]}`), "ai:header", `{"agent_id":"ai:header","alpha":[1.0,2],"zeta":1}`},
		{body(`"metadata":{"agent_id":"ai:meta"}`), "", `{"agent_id":"ai:meta"}`},
		{body(`"scope":"team","metadata":{"scope":"org","é":1,"b":12345678901234567890}`), "ai:h", `{"agent_id":"ai:h","b":12345678901234567890,"scope":"team","é":1}`},
	} {
		d, err := DecodeDraft([]byte(c.data))
		if err != nil {
			t.Fatal(err)
		}
		m, err := d.Memory(epoch, c.agent)
		if err != nil || cmpRaw(m.Metadata) != c.want {
			t.Errorf("%s: %s, %v", c.data, m.Metadata, err)
		}
	}
	d, _ := DecodeDraft([]byte(body(`"metadata":{"agent_id":"no good"}`)))
	_, err := d.Memory(epoch, "")
	wantField(t, "agent in metadata", err, "metadata.agent_id", "no good")
	d, _ = DecodeDraft([]byte(body(`"metadata":{"agent_id":5}`)))
	_, err = d.Memory(epoch, "")
	wantField(t, "agent of wrong type", err, "metadata.agent_id", "")
	_, err = d.Memory(epoch, "white space")
	wantField(t, "header", err, "agent_id", "white")
	d, _ = DecodeDraft([]byte(body(`"metadata":{"a":"` + strings.Repeat("x", MaxMetadata-8) + `"}`)))
	_, err = d.Memory(epoch, "ai:x")
	wantField(t, "metadata with agent over the limit", err, "metadata", "")
}

func cmpRaw(r Raw) string {
	if len(r) == 0 {
		return "{}"
	}
	return string(r)
}

func TestUnknownMembersArePreserved(t *testing.T) {
	m, err := create(body(`"zebra":{"b":1.50,"a":[ ]},"apple":null,"Ünï":"\u00e9"`))
	if err != nil {
		t.Fatal(err)
	}
	const tail = `,"apple":null,"zebra":{"a":[],"b":1.50},"Ünï":"é"}`
	if value := m.Encode(); !bytes.HasSuffix(value, []byte(tail)) {
		t.Errorf("%s", value)
	}
	back, err := DecodeMemory(testKey, m.Encode())
	if err != nil || len(back.Extra) != 3 || back.ID != testKey.ID() {
		t.Errorf("%+v, %v", back, err)
	}
	if back.ContentHash() == (&Memory{}).ContentHash() {
		t.Error("no hash")
	}
}

// TestContentHash: what a server makes is not in it, everything that a writer says is.
func TestContentHash(t *testing.T) {
	hash := func(data string, now time.Time) Hash {
		d, err := DecodeDraft([]byte(data))
		if err != nil {
			t.Fatal(err)
		}
		m, err := d.Memory(now, "ai:x")
		if err != nil {
			t.Fatal(err)
		}
		return m.ContentHash()
	}
	later := epoch.Add(time.Minute)
	for _, data := range []string{body(`"x":1`), body(`"ttl_secs":60`), body(`"tier":"short"`), body(`"expires_at":"2027-01-01T00:00:00Z"`)} {
		if hash(data, epoch) != hash(data, later) {
			t.Errorf("%s: a retry a minute later has another hash", data)
		}
	}
	if hash(body(`"metadata":{"b":1,"a":2}`), epoch) != hash(body(`"metadata": {"a":2, "b":1}`), epoch) {
		t.Error("the order of keys matters")
	}
	seen := map[Hash]string{}
	for _, data := range []string{
		"{" + minimal + "}", `{"title":"tc","content":"c"}`, `{"title":"t","content":"cc"}`, body(`"tier":"long"`), body(`"namespace":"a"`), body(`"tags":["a"]`),
		body(`"tags":["a","b"]`), body(`"tags":["ab"]`), body(`"priority":6`), body(`"confidence":0.5`), body(`"source":"user"`), body(`"metadata":{"a":1}`), body(`"agent_id":"ai:y"`),
		body(`"scope":"team"`), body(`"ttl_secs":60`), body(`"ttl_secs":61`), body(`"expires_at":"2027-01-01T00:00:00Z"`), body(`"a":1`), body(`"a":2`), body(`"b":1`),
	} {
		h := hash(data, epoch)
		if other, ok := seen[h]; ok {
			t.Errorf("%s has the hash of %s", data, other)
		}
		seen[h] = data
	}
}

func TestBulk(t *testing.T) {
	for _, data := range []string{`[{` + minimal + `},{` + minimal + `}]`, ` {"memories":[{` + minimal + `},{` + minimal + `}],"other":1}`} {
		if ds, err := DecodeDrafts([]byte(data)); err != nil || len(ds) != 2 {
			t.Errorf("%s: %d, %v", data, len(ds), err)
		}
	}
	if ds, err := DecodeDrafts([]byte(`[]`)); err != nil || len(ds) != 0 {
		t.Errorf("empty: %v", err)
	}
	full := strings.TrimSuffix(strings.Repeat(`{`+minimal+`},`, MaxBulk), ",")
	if ds, err := DecodeDrafts([]byte("[" + full + "]")); err != nil || len(ds) != MaxBulk {
		t.Errorf("1000: %v", err)
	}
	for data, field := range map[string]string{
		"": "body", "{}": "memories", "null": "body", `{"memories":{}}`: "memories", `{"memories":[]}x`: "body", `[]x`: "body", `[] []`: "body", `[{}`: "body", `[{},]`: "body",
		`[{},1]`: "memories[1]", `[{"title":1}]`: "memories[0].title", `[{"a":1,"a":1}]`: "body", "[" + full + ",{}]": "memories", `{"memories":[],"memories":[]}`: "body",
	} {
		_, err := DecodeDrafts([]byte(data))
		wantField(t, fmt.Sprintf("%.40q", data), err, field, "")
	}
}

func TestUpsert(t *testing.T) {
	old, err := create(body(`"tier":"mid","tags":["a"],"priority":7,"confidence":0.4,"agent_id":"ai:first","metadata":{"x":1},"extra":1,"other":2`))
	if err != nil {
		t.Fatal(err)
	}
	old.ID, old.AccessCount = "kept", 3
	d, err := DecodeDraft([]byte(`{"title":"t","content":"new","tier":"short","priority":2,"confidence":0.9,"tags":["b"],"agent_id":"ai:second","source":"user","metadata":{"y":2},"extra":3}`))
	if err != nil {
		t.Fatal(err)
	}
	now := epoch.Add(time.Hour)
	m, err := d.Upsert(old, now, "")
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != "kept" || m.AccessCount != 3 || m.Content != "new" || m.Tier != TierMid || m.Priority != 7 || m.Confidence != 0.9 || !slices.Equal(m.Tags, []string{"b"}) ||
		m.Source != "user" || string(m.Metadata) != `{"agent_id":"ai:first","y":2}` || !m.CreatedAt.Equal(epoch) || !m.UpdatedAt.Equal(now) || len(m.Extra) != 2 || string(m.Extra[0].Value) != "3" {
		t.Errorf("%+v", m)
	}
	long := old
	long.Tier = TierLong
	if m, err := d.Upsert(long, now, ""); err != nil || m.Tier != TierLong || !m.ExpiresAt.IsZero() {
		t.Errorf("long: %+v, %v", m, err)
	}
	if _, err := (Draft{}).Upsert(old, now, ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestVersionedTitle(t *testing.T) {
	if s, err := VersionedTitle("t", 2); err != nil || s != "t (2)" {
		t.Errorf("%q %v", s, err)
	}
	if _, err := VersionedTitle(strings.Repeat("a", 510), 2); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
	if TitleKey("e\u0301") != "\u00e9" || TitleKey("A") == TitleKey("a") {
		t.Error("TitleKey is not NFC")
	}
}
