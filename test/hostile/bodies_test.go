package hostile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

const memories = "/api/v1/memories"

// post is a create; what stands in it is not to be found again.
func post(body string, header ...string) request {
	r := request{method: "POST", path: memories, body: body, header: map[string]string{}}
	for i := 0; i < len(header); i += 2 {
		r.header[header[i]] = header[i+1]
	}
	return r
}

// good is a body that a node takes; with has something more in it.
const good = `{"title":"` + canary + `","content":"` + canary + `"}`

func with(more string) string { return good[:len(good)-1] + "," + more + "}" }

func zip(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// bodyRows are bodies that are none, too large, or not what they say (1 to 24).
func bodyRows(_ *testing.T, _ *target) []row {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	zipped := string(zip([]byte(good)))
	full := strings.Repeat(" ", 2<<20)
	rows := []row{
		{n: 1, name: "empty", req: post("")},
		{n: 1, name: "blank", req: post(" \n\t")},
		{n: 2, name: "null", req: post("null")},
		{n: 3, name: "a list", req: post("[]")},
		{n: 3, name: "a string", req: post(`"` + canary + `"`)},
		{n: 4, name: "truncated", req: post(good[:20])},
		{n: 5, name: "two values", req: post(good + good)},
		{n: 5, name: "two lines", req: post(good + "\n" + good)},
		{n: 6, name: "garbage behind it", req: post(good + "x")},
		{n: 6, name: "NUL behind it", req: post(good + "\x00")},
		{n: 7, name: "content is a number", req: post(`{"title":"` + canary + `","content":1}`)},
		{n: 7, name: "title is an object", req: post(`{"title":{},"content":"` + canary + `"}`)},
		{n: 8, name: "tags is a string", req: post(with(`"tags":"` + canary + `"`))},
		{n: 8, name: "a tag is a number", req: post(with(`"tags":["a",1]`))},
		{n: 9, name: "priority 1e999", req: post(with(`"priority":1e999`))},
		{n: 9, name: "priority 5.5", req: post(with(`"priority":5.5`))},
		{n: 9, name: "priority 11", req: post(with(`"priority":11`))},
		{n: 9, name: "confidence 1e999", req: post(with(`"confidence":1e999`))},
		{n: 9, name: "confidence NaN", req: post(with(`"confidence":NaN`))},
		{n: 10, name: "metadata is a list", req: post(with(`"metadata":[]`))},
		{n: 10, name: "metadata is a string", req: post(with(`"metadata":"` + canary + `"`))},
		{n: 11, name: "a key twice", req: post(with(`"title":"` + canary + `"`))},
		{n: 11, name: "a key twice in the metadata", req: post(with(`"metadata":{"a":1,"a":2}`))},
		{n: 11, name: "a key twice, escaped", req: post(with(`"t\u0069tle":"` + canary + `"`))},
		{n: 12, name: "a key in another case", req: post(with(`"Content":"` + canary + `"`))},
		{n: 13, name: "33 levels", req: post(with(`"metadata":` + deep(33)))},
		{n: 14, name: "100,000 levels", req: post(strings.Repeat("[", 100_000))},
		{n: 14, name: "100,000 levels in the metadata", req: post(with(`"metadata":` + strings.Repeat(`{"a":`, 100_000)))},
		{n: 14, name: "its memory", do: deepIsCheap},
		{n: 15, name: "content of 65,537 bytes", req: post(`{"title":"t","content":"` + strings.Repeat("a", 65_537) + `"}`)},
		{n: 16, name: "content of 65,540 bytes in 16,385 characters", req: post(`{"title":"t","content":"` + strings.Repeat("😀", 16_385) + `"}`)},
		{n: 17, name: "2 MiB and 1", req: post(full + " ")},
		{n: 17, name: "2 MiB and 1 of a bulk", req: request{method: "POST", path: memories + "/bulk", body: full + " "}},
		{n: 17, name: "2 MiB and 1 of an import", req: request{method: "POST", path: "/api/v1/import", body: full + " "}},
		{n: 18, name: "2 MiB and 1, length not said", req: func() request { r := post(full + " "); r.unsized = true; return r }()},
		{n: 19, name: "less than it says", do: lengthLie},
		{n: 19, name: "more than it says", req: request{raw: "POST " + memories + " HTTP/1.1\r\nHost: {addr}\r\nX-Api-Key: {admin}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 10\r\n\r\n" + good}},
		{n: 19, name: "a length that is none", req: request{raw: "POST " + memories + " HTTP/1.1\r\nHost: {addr}\r\nX-Api-Key: {admin}\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n" + good}},
		{n: 20, name: "1 GiB in 1 MiB", do: bomb},
		{n: 20, name: "no gzip", req: post(good, "Content-Encoding", "gzip"), want: []int{400}, why: "it is not too large, it is not gzip"},
		{n: 20, name: "gzip cut short", req: post(zipped[:30], "Content-Encoding", "gzip"), want: []int{400}, why: "it is not too large, it is not whole"},
		{n: 21, name: "brotli", req: post(good, "Content-Encoding", "br")},
		{n: 21, name: "deflate", req: post(good, "Content-Encoding", "deflate")},
		{n: 22, name: "gzip, gzip", req: post(string(zip([]byte(zipped))), "Content-Encoding", "gzip, gzip")},
		{n: 22, name: "gzip in two headers", req: func() request {
			r := post(string(zip([]byte(zipped))), "Content-Encoding", "gzip")
			r.again = map[string]string{"Content-Encoding": "gzip"}
			return r
		}()},
		{n: 22, name: "gzip in gzip, said once", req: post(string(zip([]byte(zipped))), "Content-Encoding", "gzip"), want: []int{400}, why: "the header is true: what it holds is no JSON"},
		{n: 23, name: "text/plain", req: post(good, "Content-Type", "text/plain")},
		{n: 23, name: "a form", req: post("title="+canary+"&content="+canary, "Content-Type", "application/x-www-form-urlencoded")},
		{n: 23, name: "a multipart form", req: post(good, "Content-Type", "multipart/form-data; boundary=x")},
		{n: 23, name: "another charset", req: post(good, "Content-Type", "application/json; charset=utf-16")},
		{n: 24, name: "no type", req: post(good, "Content-Type", "")},
		{n: 24, name: "two types", req: func() request {
			r := post(good)
			r.again = map[string]string{"Content-Type": "application/json"}
			return r
		}()},
	}
	for i := range rows { // every other road that takes a body, with one that is none
		if rows[i].want == nil {
			rows[i].want = catalogued(rows[i].n)
		}
	}
	for _, r := range []struct{ method, path string }{
		{"POST", memories + "/bulk"}, {"POST", "/api/v1/import"}, {"PUT", memories + "/x"}, {"POST", "/api/v1/recall"}, {"POST", "/api/v1/links"},
		{"DELETE", "/api/v1/links"}, {"POST", "/api/v1/consolidate"}, {"POST", "/api/v1/archive"}, {"POST", "/api/v1/agents"}, {"POST", "/api/v1/namespaces"},
		{"POST", "/api/v1/forget"}, {"POST", "/api/v1/sync/push"}, {"POST", "/api/v1/session/start"},
	} {
		for n, body := range map[int]string{2: "null", 4: good[:20], 6: good + "x", 11: with(`"title":"` + canary + `"`), 14: strings.Repeat("[", 100_000), 17: full + " "} {
			if n == 2 && r.path == "/api/v1/session/start" {
				continue // says as little as {} does, which is enough there
			}
			rows = append(rows, row{n: n, name: r.method + " " + r.path, req: request{method: r.method, path: r.path, body: body}, want: catalogued(n)})
		}
		rows = append(rows, row{n: 23, name: r.method + " " + r.path, req: request{method: r.method, path: r.path, body: good, header: map[string]string{"Content-Type": "text/plain"}}, want: []int{415}})
	}
	return rows
}

// deepIsCheap: what is refused for its depth is not built up first.
func deepIsCheap(t *testing.T, n *target) {
	body := strings.Repeat("[", 1<<20)
	if used := allocated(func() {
		for range 8 {
			if a := n.send(t, post(body)); a.status != 400 {
				t.Errorf("%d %.100s", a.status, a.body)
			}
		}
	}); used > 128<<20 {
		t.Errorf("8 bodies of 1 MiB allocated %d MiB", used>>20)
	}
}

// bomb: a gigabyte that comes as one MiB is given up at 2 MiB.
func bomb(t *testing.T, n *target) {
	part := zip(make([]byte, 16<<20))
	body := string(bytes.Repeat(part, 64))
	if used := allocated(func() {
		if a := n.send(t, post(body, "Content-Encoding", "gzip")); a.status != 413 {
			t.Errorf("%d %.100s", a.status, a.body)
		}
	}); used > 64<<20 {
		t.Errorf("%d KiB that stand for 1 GiB allocated %d MiB", len(body)>>10, used>>20)
	}
}

// allocated is what f and all that goes on beside it allocate, in bytes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// lengthLie announces more than it sends, and ends.
func lengthLie(t *testing.T, n *target) {
	c := n.dial(t, 1)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", memories, n.addr, n.keys["admin"], len(good)+10, good)
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	if a := readAnswer(t, c); a.status != 400 && a.status != 408 {
		t.Errorf("%d %s", a.status, a.body)
	}
	_, _ = io.Copy(io.Discard, c)
}
