package httpapi

import (
	"encoding/hex"
	"hash/crc32"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// parseQuery reads the query once. A key in it ends the request: it would stand in the
// logs of everything on the way.
func (c *call) parseQuery() error {
	if c.r.URL.RawQuery == "" {
		return nil
	}
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if q.Has("api_key") {
		return &problem{Status: http.StatusUnauthorized, Code: "KEY_IN_QUERY", Text: "an API key belongs into the header X-API-Key, not into the URL"}
	}
	if err != nil {
		return invalid("query", "is not a query string")
	}
	c.query = q
	return nil
}

// one returns a query parameter that may be given once; empty is the same as absent.
func (c *call) one(key string) (string, error) {
	switch values := c.query[key]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", invalid(key, "is given more than once")
}

// whole reads a number from lo on; absent is def.
func (c *call) whole(key string, lo, def int) (int, error) {
	s, err := c.one(key)
	if err != nil || s == "" {
		return def, err
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || int(n) < lo {
		return 0, invalid(key, "must be a whole number, at least "+strconv.Itoa(lo))
	}
	return int(n), nil
}

func (c *call) flag(key string) (bool, error) {
	switch s, err := c.one(key); s {
	case "1", "true":
		return true, nil
	case "", "0", "false":
		return false, err
	}
	return false, invalid(key, "must be 1 or 0")
}

func (c *call) readOptions() (ReadOptions, error) {
	var opt ReadOptions
	if c.query == nil {
		return opt, nil
	}
	var err error
	if opt.Conflicts, err = c.flag("conflicts"); err != nil {
		return opt, err
	}
	s, err := c.one("after")
	if err != nil || s == "" {
		return opt, err
	}
	after, err := clock.ParseToken(s)
	if err != nil {
		return opt, invalid("after", "is not a token")
	}
	opt.After = &after
	return opt, nil
}

// writeOptions reads what stands beside the body of a changing request.
func (c *call) writeOptions(body []byte) (WriteOptions, error) {
	var opt WriteOptions
	var err error
	if opt.Agent, opt.Anonymous, err = agent(c.r.Header, body); err != nil {
		return opt, err
	}
	if own := c.who.Own(); own != "" && opt.Anonymous {
		opt.Agent, opt.Anonymous = own, false
	} else if name := c.who.Nameless(); name != "" && opt.Anonymous {
		opt.Agent = name // and anonymous still: whoever says more goes before it
	}
	if opt.IdempotencyKey, err = idempotencyKey(c.r.Header); err != nil {
		return opt, err
	}
	if c.query != nil {
		opt.W, err = c.whole("w", 1, 0)
	}
	return opt, err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func agent(h http.Header, body []byte) (id string, anonymous bool, err error) {
	switch values := h["X-Agent-Id"]; {
	case len(values) > 1:
		return "", false, invalid("X-Agent-Id", "is given more than once")
	case len(values) == 1 && values[0] != "":
		if memory.ValidateAgentID(values[0]) != nil {
			return "", false, invalid("X-Agent-Id", "must be 1 to 128 letters, digits and _ - : @ . /")
		}
		return values[0], false, nil
	}
	var b [len("anonymous:req-") + 8]byte
	sum := crc32.Checksum(body, castagnoli)
	hex.Encode(b[copy(b[:], "anonymous:req-"):], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	return string(b[:]), true, nil
}

const maxIdempotencyKey = 256

func idempotencyKey(h http.Header) (string, error) {
	values, ok := h["Idempotency-Key"]
	if !ok {
		return "", nil
	}
	if len(values) > 1 {
		return "", invalid("Idempotency-Key", "is given more than once")
	}
	key := values[0]
	good := key != "" && len(key) <= maxIdempotencyKey
	for i := 0; good && i < len(key); i++ {
		good = key[i] >= ' ' && key[i] <= '~'
	}
	if !good {
		return "", invalid("Idempotency-Key", "must be 1 to 256 printable ASCII characters")
	}
	return key, nil
}

// match reads If-Match: one token, quoted as an entity tag or bare. "*" asks for nothing
// that the verb does not ask for itself.
func match(h http.Header) (*clock.Clock, error) {
	values, ok := h["If-Match"]
	if !ok {
		return nil, nil
	}
	if len(values) == 1 {
		s := strings.TrimSpace(values[0])
		if s == "*" {
			return nil, nil
		}
		if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
			s = s[1 : len(s)-1]
		}
		if c, err := clock.ParseToken(s); err == nil && !c.Empty() {
			return &c, nil
		}
	}
	return nil, invalid("If-Match", "must be one token")
}

// id reads the id, or the prefix of one, from the path.
func (c *call) id() (string, error) {
	id, err := url.PathUnescape(c.vars["id"])
	if err != nil {
		return "", invalid("id", "is not escaped properly")
	}
	return id, memory.ValidateID(id)
}
