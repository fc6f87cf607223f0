package memory

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/memd/memd/clock"
)

func TestPatch(t *testing.T) {
	stored, err := create(body(`"tier":"mid","tags":["a"],"agent_id":"ai:first","metadata":{"x":1},"extra":1,"other":2`))
	if err != nil {
		t.Fatal(err)
	}
	now := epoch.Add(time.Hour)
	const created = `"created_at":"2026-11-22T10:30:00.123456789+00:00","updated_at":"2026-11-22T11:30:00.123456789+00:00"`
	const expires = `,"expires_at":"2026-11-29T10:30:00.123456789+00:00"`
	const meta = `,"metadata":{"agent_id":"ai:first","x":1}`
	const extra = `,"extra":1,"other":2}`
	for patch, want := range map[string]string{
		`{}`:                    `{"tier":"mid","namespace":"global","title":"t","content":"c","tags":["a"],"priority":5,"confidence":1,"source":"api",` + created + expires + meta + extra,
		`{"tier":"short"}`:      `{"tier":"mid","namespace":"global","title":"t","content":"c","tags":["a"],"priority":5,"confidence":1,"source":"api",` + created + expires + meta + extra,
		`{"tier":"long"}`:       `{"tier":"long","namespace":"global","title":"t","content":"c","tags":["a"],"priority":5,"confidence":1,"source":"api",` + created + meta + extra,
		`{"expires_at":null}`:   `{"tier":"mid","namespace":"global","title":"t","content":"c","tags":["a"],"priority":5,"confidence":1,"source":"api",` + created + meta + extra,
		`{"expires_at":""}`:     `{"tier":"mid","namespace":"global","title":"t","content":"c","tags":["a"],"priority":5,"confidence":1,"source":"api",` + created + meta + extra,
		`{"expires_at":"null"}`: `{"tier":"mid","namespace":"global","title":"t","content":"c","tags":["a"],"priority":5,"confidence":1,"source":"api",` + created + meta + extra,
		`{"title":"u","content":"d","namespace":"n/m","tags":[],"priority":9,"confidence":0.5}`:                   `{"tier":"mid","namespace":"n/m","title":"u","content":"d","tags":[],"priority":9,"confidence":0.5,"source":"api",` + created + expires + meta + extra,
		`{"tier":"long","expires_at":"2020-01-01T00:00:00+02:00"}`:                                                `{"tier":"long","namespace":"global","title":"t","content":"c","tags":["a"],"priority":5,"confidence":1,"source":"api",` + created + `,"expires_at":"2019-12-31T22:00:00+00:00"` + meta + extra,
		`{"metadata":{"agent_id":"ai:second","y":2},"agent_id":"ai:second","source":"user","token":"x","id":"y"}`: `{"tier":"mid","namespace":"global","title":"t","content":"c","tags":["a"],"priority":5,"confidence":1,"source":"api",` + created + expires + `,"metadata":{"agent_id":"ai:first","y":2}` + extra,
		`{"title":null,"tags":null,"metadata":null,"extra":null,"another":[1]}`:                                   `{"tier":"mid","namespace":"global","title":"t","content":"c","tags":["a"],"priority":5,"confidence":1,"source":"api",` + created + expires + meta + `,"another":[1],"other":2}`,
	} {
		p, err := DecodePatch([]byte(patch))
		if err != nil {
			t.Errorf("%s: %v", patch, err)
			continue
		}
		if p.Empty() != (patch == "{}") {
			t.Errorf("%s: Empty", patch)
		}
		m, err := p.Apply(stored, now)
		if err != nil || string(m.Encode()) != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", patch, err, m.Encode(), want)
		}
	}
	for patch, field := range map[string]string{
		"": "body", "null": "body", "[]": "body", `{"title":"a","title":"b"}`: "body", `{"Title":"a"}`: "body", `{}{}`: "body", `{} x`: "body",
		`{"title":""}`: "title", `{"title":5}`: "title", `{"content":" "}`: "content", `{"content":"\u0000"}`: "content", `{"tier":"x"}`: "tier", `{"namespace":"a//b"}`: "namespace",
		`{"tags":"a"}`: "tags", `{"tags":[""]}`: "tags", `{"priority":1e999}`: "priority", `{"priority":0}`: "priority", `{"confidence":2}`: "confidence", `{"metadata":[]}`: "metadata",
		`{"expires_at":"0000-01-01T00:00:00Z"}`: "expires_at", `{"expires_at":"292277026596-12-04T15:30:08Z"}`: "expires_at", `{"expires_at":5}`: "expires_at", `{"agent_id":"a b"}`: "agent_id",
		`{"x":"` + strings.Repeat("a", MaxValue) + `"}`: "body",
	} {
		p, err := DecodePatch([]byte(patch))
		if err == nil {
			_, err = p.Apply(stored, now)
		}
		wantField(t, fmt.Sprintf("%.60s", patch), err, field, "")
	}
	// A patch of one field does not fail over another that an older rule had let in.
	odd := stored
	odd.Source, odd.Namespace = "elsewhere", "with space"
	if _, err := (Patch{Title: new("x")}).Apply(odd, now); err != nil {
		t.Error(err)
	}
}

func TestPromote(t *testing.T) {
	m, _ := create("{" + minimal + "}")
	if p := m.Promote(epoch.Add(1)); p.Tier != TierLong || !p.ExpiresAt.IsZero() || !p.UpdatedAt.After(m.UpdatedAt) || !m.Expired(epoch.Add(8*24*time.Hour)) || p.Expired(epoch.AddDate(900, 0, 0)) {
		t.Errorf("%+v", p)
	}
}

func TestAppendView(t *testing.T) {
	m, _ := create(body(`"tags":["<a>"],"extra":1`))
	value := m.Encode()
	got := string(AppendView([]byte("x"), "id\"1", value, ViewFields{AccessCount: 3, LastAccessedAt: epoch, Token: "abc", Conflicts: 2}))
	want := `x{"id":"id\"1",` + string(value[1:len(value)-1]) + `,"access_count":3,"last_accessed_at":"2026-11-22T10:30:00.123456789+00:00","token":"abc","conflicts":2}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var fields map[string]any
	if err := json.Unmarshal(AppendView(nil, "id", value, ViewFields{}), &fields); err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq("id tier namespace title content tags priority confidence source access_count created_at updated_at expires_at metadata") {
		if _, ok := fields[name]; !ok {
			t.Errorf("no %s", name)
		}
	}
	for _, name := range []string{"last_accessed_at", "token", "conflicts"} {
		if _, ok := fields[name]; ok {
			t.Errorf("%s although there is none", name)
		}
	}
	// What a reader got can be sent back as an update: the answer's own members mean nothing there.
	if p, err := DecodePatch([]byte(got[1:])); err != nil || len(p.Extra) != 1 {
		t.Errorf("%+v, %v", p.Extra, err)
	}
}

func TestDecodeMemoryRefuses(t *testing.T) {
	m, _ := create("{" + minimal + "}")
	good := string(m.Encode())
	for name, value := range map[string]string{
		"empty": "", "no object": "[]", "white space before": " " + good, "white space after": good + "\n", "two": good + good, "truncated": good[:len(good)-1],
		"id": `{"id":"x",` + good[1:], "token": `{"token":"x",` + good[1:], "access": `{"access_count":1,` + good[1:], "twice": `{"tier":"mid",` + good[1:],
		"tier": strings.Replace(good, `"mid"`, `"none"`, 1), "no tier": strings.Replace(good, `"tier":"mid",`, "", 1), "priority": strings.Replace(good, `:5,`, `:50,`, 1),
		"time": strings.Replace(good, `"2026-11-22T`, `"2026-13-22T`, 1), "confidence": strings.Replace(good, `:1,`, `:7,`, 1), "title": strings.Replace(good, `"t"`, `" "`, 1),
		"metadata": strings.Replace(good, `"metadata":{`, `"metadata":[],"x":{`, 1), "null": strings.Replace(good, `"c"`, "null", 1),
	} {
		if _, err := DecodeMemory(testKey, []byte(value)); err == nil {
			t.Errorf("%s: taken", name)
		}
		if _, err := DecodeOutline(testKey, []byte(value)); err == nil {
			t.Errorf("%s: the outline is taken", name)
		}
	}
	// What a later version may allow must not be a defect here: the row would vanish on old nodes only.
	for name, value := range map[string]string{
		"source": strings.Replace(good, `"api"`, `"robot"`, 1), "namespace": strings.Replace(good, `"global"`, `"a b//c"`, 1),
		"title": strings.Replace(good, `"t"`, `"`+strings.Repeat("x", 600)+`"`, 1), "field": strings.Replace(good, `{`, `{"Zeta":{"b":1,"a":2},`, 1),
	} {
		whole, err := DecodeMemory(testKey, []byte(value))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		outline, err := DecodeOutline(testKey, []byte(value))
		whole.Content, whole.Metadata, whole.Extra = "", nil, nil
		if err != nil || !reflect.DeepEqual(outline, whole) {
			t.Errorf("%s: outline %+v, %v, want %+v", name, outline, err, whole)
		}
	}
}

const fullRecord = `{"id":"mine","tier":"long","namespace":"a","title":"t","content":"c","tags":[],"priority":5,"confidence":1.0,"source":"import","access_count":7,` +
	`"created_at":"2019-05-01T10:00:00Z","updated_at":"2019-05-01T12:00:00.5+02:00"`

func TestDecodeFull(t *testing.T) {
	m, err := DecodeFull([]byte(fullRecord + `,"last_accessed_at":null,"expires_at":null,"metadata":null,"later":true}`))
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != "mine" || m.AccessCount != 7 || FormatTime(m.UpdatedAt) != "2019-05-01T10:00:00.500+00:00" || len(m.Extra) != 1 || m.Agent() != "" {
		t.Errorf("%+v", m)
	}
	if _, err := DecodeMemory(NewKey(KindMemory, m.ID), m.Encode()); err != nil {
		t.Error(err)
	}
	for name := range strings.FieldsSeq("id tier namespace title content tags priority confidence source access_count created_at updated_at") {
		var fields map[string]json.RawMessage
		_ = json.Unmarshal([]byte(fullRecord+"}"), &fields)
		delete(fields, name)
		data, _ := json.Marshal(fields)
		_, err := DecodeFull(data)
		wantField(t, "without "+name, err, name, "")
	}
	for change, field := range map[string]string{
		`"mine"|"` + strings.Repeat("x", 129) + `"`: "id", `"mine"|"a/b"`: "id", `"mine"|"a\nb"`: "id", `"mine"|"a\tb"`: "id", `"mine"|" "`: "id", `"mine"|"a\u0000"`: "id", `"mine"|7`: "id",
		`7,|-1,`: "access_count", `7,|1.5,`: "access_count", `"import"|"x"`: "source", `"2019-05-01T10:00:00Z"|"0000-05-01T10:00:00Z"`: "created_at", `5,|null,`: "priority",
	} {
		from, to, _ := strings.Cut(change, "|")
		_, err := DecodeFull([]byte(strings.Replace(fullRecord, from, to, 1) + "}"))
		wantField(t, change, err, field, "")
	}
}

func TestTimes(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-22T10:30:00Z": "2026-11-22T10:30:00+00:00", "2026-11-22t10:30:00z": "2026-11-22T10:30:00+00:00", "2026-11-22T10:30:00-00:00": "2026-11-22T10:30:00+00:00",
		"2026-11-22T10:30:00.5+05:30": "2026-11-22T05:00:00.500+00:00", "2026-11-22T23:30:00.123456-01:00": "2026-11-23T00:30:00.123456+00:00",
		"2024-02-29T00:00:00.123456789Z": "2024-02-29T00:00:00.123456789+00:00", "2024-02-29T00:00:00.1234567899999Z": "2024-02-29T00:00:00.123456789+00:00",
		"0001-01-01T00:00:00Z": "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999999Z": "9999-12-31T23:59:59.999999999+00:00", "2026-11-22T10:30:00.000Z": "2026-11-22T10:30:00+00:00",
	} {
		got, err := ParseTime(in)
		if err != nil || FormatTime(got) != want {
			t.Errorf("%s: %s, %v", in, FormatTime(got), err)
		}
	}
	for _, in := range []string{
		"", "garbage", "2026-11-22", "2026-11-22T10:30Z", "2026-11-22 10:30:00Z", "2026-11-22T10:30:00", "2026-11-22T24:00:00Z", "2026-11-22T10:60:00Z", "2026-11-22T10:30:60Z",
		"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-00T00:00:00Z", "0000-01-01T00:00:00Z", "292277026596-12-04T15:30:08Z", "+12026-01-01T00:00:00Z",
		"0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2026-11-22T10:30:00.Z", "2026-11-22T10:30:00,5Z", "2026-11-22T10:30:00+24:00", "2026-11-22T10:30:00+0100", "2026-11-22T10:30:00Z ",
		"2026-11-22T10:30:00.5", "-026-11-22T10:30:00Z", "2026-1a-22T10:30:00Z", "2026-11-22T10:30:00." + strings.Repeat("1", 60) + "Z",
	} {
		if got, err := ParseTime(in); err == nil {
			t.Errorf("%s: %s", in, got)
		}
	}
	for year := 1899; year < 2105; year++ {
		for month := 1; month <= 12; month++ {
			if want := time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day(); daysIn(year, month) != want {
				t.Errorf("%d-%d has %d days", year, month, want)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		back, err := ParseTime(FormatTime(at))
		if err != nil || !back.Equal(at) {
			t.Fatalf("%s: %s, %v", FormatTime(at), back, err)
		}
	})
}

func TestFilter(t *testing.T) {
	parse := func(q string) (Filter, error) {
		v, err := url.ParseQuery(q)
		if err != nil {
			t.Fatal(err)
		}
		return ParseFilter(v)
	}
	for q, want := range map[string]Filter{
		"":                              {Limit: 20},
		"limit=&namespace=&since=":      {Limit: 20},
		"limit=1000":                    {Limit: 1000},
		"limit=1001":                    {Limit: 1000},
		"limit=99999999999999999999999": {Limit: 1000},
		"limit=0":                       {Limit: 0},
		"unknown=1&unknown=2":           {Limit: 20},
		"namespace=a/b&tier=long&tags=x&agent_id=ai:x&min_priority=3&limit=5&offset=7": {Namespace: "a/b", Tier: "long", Tag: "x", AgentID: "ai:x", MinPriority: 3, Limit: 5, Offset: 7},
		"since=2026-11-22T10:30:00Z&until=2026-11-22T12:30:00%2B01:00":                 {Since: epoch.Truncate(time.Second), Until: epoch.Truncate(time.Second).Add(time.Hour), Limit: 20},
		"until=2026-11-22T12:30:00+01:00":                                              {Until: epoch.Truncate(time.Second).Add(time.Hour), Limit: 20},
	} {
		if got, err := parse(q); err != nil || got != want {
			t.Errorf("%s: %+v, %v", q, got, err)
		}
	}
	for q, field := range map[string]string{
		"limit=-1": "limit", "limit=1e9": "limit", "limit=x": "limit", "limit=1.5": "limit", "limit=%2B5": "limit", "limit=0x10": "limit", "limit=5&limit=6": "limit", "offset=-1": "offset",
		"offset=99999999999999999999": "offset", "offset=9223372036854775808": "offset", "offset=abc": "offset", "min_priority=x": "min_priority", "since=garbage": "since", "until=0000-01-01T00:00:00Z": "until",
		"tier=none": "tier", "namespace=../x": "namespace", "agent_id=a%20b": "agent_id", "tags=%00": "tags", "tags=%ff": "tags",
	} {
		_, err := parse(q)
		wantField(t, q, err, field, "")
	}
	m, _ := create(body(`"tags":["x","y"],"agent_id":"ai:x","priority":4`))
	for _, f := range []Filter{{}, {Tag: "y"}, {AgentID: "ai:x"}, {MinPriority: 4}, {Namespace: "global", Tier: "mid"}, {Since: epoch, Until: epoch}} {
		if !f.Match(&m) {
			t.Errorf("%+v does not match", f)
		}
	}
	for _, f := range []Filter{{Tag: "z"}, {AgentID: "ai:y"}, {MinPriority: 5}, {Namespace: "g"}, {Tier: "long"}, {Since: epoch.Add(1)}, {Until: epoch.Add(-1)}} {
		if f.Match(&m) {
			t.Errorf("%+v matches", f)
		}
	}
}

func TestMember(t *testing.T) {
	m := Member{Name: "n1", HTTP: "[::1]:9077", Gossip: "10.0.0.1:7946"}
	value := m.Encode()
	if want := `{"name":"n1","http":"[::1]:9077","gossip":"10.0.0.1:7946"}`; string(value) != want {
		t.Errorf("%s", value)
	}
	if err := ValidateValue(m.Key(), value); err != nil {
		t.Error(err)
	}
	if err := ValidateValue(NewKey(KindMember, "n2"), value); err == nil {
		t.Error("a member under another name")
	}
	if other := (Member{Name: "n1", HTTP: "[::1]:9078", Gossip: "10.0.0.1:7946"}); other.ContentHash() == m.ContentHash() {
		t.Error("content hash")
	}
	later := `{"name":"n1","http":"a:1","gossip":"","zone":"b","extra":[1, 2]}`
	back, err := DecodeMember([]byte(later))
	if err != nil || string(back.Encode()) != later {
		t.Errorf("%s, %v", back.Encode(), err)
	}
	for field, bad := range map[string]Member{
		"name": {Name: "a b", HTTP: "a:1"}, "http": {Name: "n", HTTP: "a"}, "gossip": {Name: "n", HTTP: "a:1", Gossip: "a:0"},
	} {
		wantField(t, field, bad.Validate(), field, "")
	}
	for _, addr := range []string{"", ":80", "a:", "a:x", "a:65536", "a:1:2", "a\x00:1", strings.Repeat("a", 300) + ":1"} {
		if err := (&Member{Name: "n", HTTP: addr}).Validate(); err == nil {
			t.Errorf("%q was taken", addr)
		}
	}
	if ValidateNodeName("") == nil || ValidateNodeName(strings.Repeat("a", 129)) == nil || ValidateNodeName("node-1.a_B") != nil {
		t.Error("node names")
	}
}

func TestErrors(t *testing.T) {
	quorum := &QuorumError{Got: 1, Needed: 2, Reason: "timeout", Committed: CommittedLocal}
	for _, c := range []struct {
		err  error
		kind error
		text string
	}{
		{&FieldError{"title", "must not be empty"}, ErrInvalid, "title must not be empty"},
		{&ConflictError{ExistingID: "x", Namespace: "n"}, ErrConflict, "already exists in namespace n"},
		{&ConflictError{}, ErrConflict, "already exists"},
		{&AmbiguousError{"ab", []string{"ab1", "ab2"}}, ErrAmbiguous, "ambiguous ID prefix"},
		{quorum, ErrQuorum, "1 of 2"}, {quorum, ErrUnavailable, "quorum_not_met"},
		{&BehindError{clock.Of(dot(1, 1))}, ErrBehind, "1 of the writes"},
		{&DefectError{Dot: dot(1, 1), Reason: "x"}, nil, "0000000000000001:1"}, {&DefectError{Reason: "x"}, nil, "defective record"},
	} {
		wrapped := fmt.Errorf("create: %w", c.err)
		if c.kind != nil && !errors.Is(wrapped, c.kind) || !strings.Contains(wrapped.Error(), c.text) {
			t.Errorf("%v", wrapped)
		}
	}
	if errors.Is(quorum, ErrInvalid) {
		t.Error("kinds run together")
	}
}

func TestParseJSON(t *testing.T) {
	var v struct {
		Name string `json:"name"`
		N    int    `json:"n"`
		Sub  struct {
			A []string `json:"a"`
		} `json:"sub"`
	}
	if err := ParseJSON([]byte(` {"name":"x","n":5,"sub":{"a":["y"]},"unknown":{}} `), &v); err != nil || v.Name != "x" || v.N != 5 {
		t.Errorf("%+v, %v", v, err)
	}
	for data, field := range map[string]string{
		"": "body", " ": "body", "{": "body", `{"name":"a","name":"b"}`: "body", `{"name":"a"}{}`: "body", `{"name":"a","Name":"b"}`: "body", "{\"name\":\"\xff\"}": "body", `{"name":"\ud800"}`: "body",
		`{"n":"secret"}`: "n", `{"n":1e999}`: "n", `{"n":1.5}`: "n", `{"sub":{"a":[1]}}`: "sub.a.0", `[]`: "body", `"x"`: "body",
	} {
		wantField(t, data, ParseJSON([]byte(data), &v), field, "secret")
	}
	b, err := AppendJSON([]byte("x"), map[string]any{"b": "<&>", "a": Raw(`{"z":1}`), "c": Raw(nil)})
	if err != nil || string(b) != `x{"a":{"z":1},"b":"<&>","c":null}` {
		t.Errorf("%s, %v", b, err)
	}
	var raw struct{ A Raw }
	if err := json.Unmarshal([]byte(`{"A":{"x":[1]}}`), &raw); err != nil || string(raw.A) != `{"x":[1]}` {
		t.Errorf("%s, %v", raw.A, err)
	}
}
