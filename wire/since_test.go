package wire

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"pgregory.net/rapid"
)

func TestSinceRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := SinceRequest{
			Peer: genName(rt), Boot: rapid.Uint64().Draw(rt, "boot"), Cluster: genCluster(rt),
			Scope:  rapid.SampledFrom([]string{ScopeAll, "team/a", "ü"}).Draw(rt, "scope"),
			Cursor: genClock(rt, "cursor"), Reserved: genClock(rt, "reserved"),
			LimitBytes: rapid.IntRange(1, MaxLimitBytes).Draw(rt, "limit"),
		}
		query := want.Values().Encode()
		if !IsClockSince(want.Values()) {
			rt.Fatal("not taken for a pull of a node")
		}
		for _, r := range []*http.Request{
			httptest.NewRequest(http.MethodGet, PathSince+"?"+query, nil),
			postForm(query),
		} {
			got, err := ReadSince(r)
			if err != nil {
				rt.Fatal(err)
			}
			if !got.Cursor.Equal(want.Cursor) || !got.Reserved.Equal(want.Reserved) {
				rt.Fatalf("got %+v, want %+v", got, want)
			}
			got.Cursor, got.Reserved = want.Cursor, want.Reserved
			if !reflect.DeepEqual(got, want) {
				rt.Fatalf("got %+v, want %+v", got, want)
			}
		}
	})
}

func postForm(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, PathSince, strings.NewReader(body))
	r.Header.Set("Content-Type", MediaForm+"; charset=utf-8")
	return r
}

func TestParseSinceRefused(t *testing.T) {
	huge := make([]byte, 0, 100_000*20)
	huge = append(huge, 0xa0, 0x8d, 0x06) // 100 000 origins
	for range 100_000 {
		huge = append(huge, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0)
	}
	overflow := append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0)
	whole := fixedClock().Token()
	for name, c := range map[string]struct{ key, value string }{
		"cursor not base64":     {"cursor", "!!!"},
		"cursor padded":         {"cursor", "AA=="},
		"cursor truncated":      {"cursor", whole[:len(whole)-4]},
		"counter over 2^63-1":   {"cursor", b64(overflow)},
		"100 000 origins":       {"cursor", b64(huge)},
		"bytes behind cursor":   {"cursor", b64([]byte{0, 0})},
		"reserved not base64":   {"reserved", " "},
		"no peer":               {"peer", ""},
		"peer with a newline":   {"peer", "a\nb"},
		"peer too long":         {"peer", strings.Repeat("a", MaxName+1)},
		"boot":                  {"boot", "-1"},
		"cluster":               {"cluster", "c0ffee"},
		"scope with a newline":  {"scope", "a\nb"},
		"scope too long":        {"scope", strings.Repeat("a", MaxScope+1)},
		"limit negative":        {"limit_bytes", "-1"},
		"limit not a number":    {"limit_bytes", "1e9"},
		"version not a number":  {"v", "two"},
		"version missing":       {"v", ""},
		"version with a sign":   {"v", "+2"},
		"version out of range":  {"v", "99999999999999999999"},
		"peer of another world": {"peer", "nöde"},
	} {
		v := fixedSince().Values()
		v.Set(c.key, c.value)
		_, err := ParseSince(v, nil)
		var fe *memory.FieldError
		if !errors.As(err, &fe) || fe.Field != c.key {
			t.Errorf("%s: %v", name, err)
		}
	}
	v := fixedSince().Values()
	v.Add("cursor", "AA")
	if _, err := ParseSince(v, nil); !errors.Is(err, memory.ErrInvalid) {
		t.Errorf("cursor given twice: %v", err)
	}
	v = fixedSince().Values()
	v.Set("v", "3")
	if _, err := ParseSince(v, nil); !errors.Is(err, ErrCluster) {
		t.Errorf("another version: %v", err)
	}
}

func TestParseSinceLimitClamped(t *testing.T) {
	for value, want := range map[string]int{
		"": DefaultLimitBytes, "0": DefaultLimitBytes, "1": 1, "1000000000": MaxLimitBytes,
		"99999999999999999999999": MaxLimitBytes,
	} {
		v := fixedSince().Values()
		v.Set("limit_bytes", value)
		if r, err := ParseSince(v, nil); err != nil || r.LimitBytes != want {
			t.Errorf("%q: %d, %v", value, r.LimitBytes, err)
		}
	}
}

func TestParseSinceDefaults(t *testing.T) {
	v := url.Values{"v": {"2"}, "peer": {"n2"}, "future": {"1", "2"}}
	r, err := ParseSince(v, http.Header{"If-None-Match": {`"x"`}})
	if err != nil || r.Scope != ScopeAll || !r.Cursor.Empty() || r.IfNoneMatch != `"x"` {
		t.Errorf("%+v, %v", r, err)
	}
	if IsClockSince(url.Values{"since": {""}, "limit": {"5"}}) {
		t.Error("the original's form is taken for a pull of a node")
	}
}

func TestReadSinceBody(t *testing.T) {
	for name, c := range map[string]struct {
		body   io.Reader
		media  string
		status int
	}{
		"too large":  {io.LimitReader(zeros{}, MaxSinceBody+1), MediaForm, 413},
		"json":       {strings.NewReader("{}"), MediaJSON, 415},
		"no media":   {strings.NewReader(""), "", 415},
		"cut off":    {io.MultiReader(strings.NewReader("v=2"), errReader{}), MediaForm, 400},
		"door limit": {http.MaxBytesReader(nil, io.NopCloser(zeros{}), 10), MediaForm, 413},
	} {
		r := httptest.NewRequest(http.MethodPost, PathSince, c.body)
		r.Header.Set("Content-Type", c.media)
		_, err := ReadSince(r)
		var se *StatusError
		if !errors.As(err, &se) || se.Status != c.status {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadSince(postForm("%zz")); !errors.Is(err, memory.ErrInvalid) {
		t.Errorf("no form: %v", err)
	}
	r := httptest.NewRequest(http.MethodGet, PathSince, nil)
	r.URL.RawQuery = "%zz"
	if _, err := ReadSince(r); !errors.Is(err, memory.ErrInvalid) {
		t.Errorf("no query: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestHello(t *testing.T) {
	self := Self{Name: "n1", Boot: 7, Cluster: func() memory.ClusterID { return fixedCluster }}
	for _, want := range []Hello{self.Hello(), self.Hello().WithClock(0), Self{Name: "n"}.Hello(), self.Hello().WithClock(1<<64 - 1)} {
		header := http.Header{}
		want.Set(header)
		if got, err := ParseHello(header); err != nil || got != want {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
	}
	for key, value := range map[string]string{
		HeaderProto: "two", HeaderNode: "", HeaderBoot: "x", HeaderCluster: "zz", HeaderClock: "12",
	} {
		header := http.Header{}
		self.Hello().WithClock(5).Set(header)
		header.Set(key, value)
		var fe *memory.FieldError
		if _, err := ParseHello(header); !errors.As(err, &fe) || fe.Field != key {
			t.Errorf("%s: %v", key, err)
		}
		header.Add(key, value)
		if _, err := ParseHello(header); !errors.As(err, &fe) {
			t.Errorf("%s twice: %v", key, err)
		}
	}
}

func TestCheckCluster(t *testing.T) {
	self := Self{Name: "n1", Cluster: func() memory.ClusterID { return fixedCluster }}
	if err := self.CheckCluster(fixedCluster); err != nil {
		t.Error(err)
	}
	if err := self.CheckCluster(memory.ClusterID{}); !errors.Is(err, ErrCluster) {
		t.Error(err)
	}
	if err := (Self{}).CheckCluster(fixedCluster); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

func TestETagIsTheClockHash(t *testing.T) {
	if got := (SinceRequest{}).ETag(); got != etag(clock.Clock{}.Hash()) || len(got) != 18 {
		t.Error(got)
	}
}
