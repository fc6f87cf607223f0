package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/memd/memd/auth"
)

// call is one request on its way. It is the response writer too, so that it knows
// whether and with what an answer began, without another layer.
type call struct {
	door     *Door
	w        http.ResponseWriter
	r        *http.Request
	route    *route // nil until matched
	vars     map[string]string
	query    url.Values      // nil if there is none
	who      *auth.Principal // nil where no key is needed
	status   int             // 0 until the header is written
	hijacked bool

	ctx    context.Context // with the deadline; made on first use
	cancel context.CancelFunc

	in, out *buffer
}

type buffer struct{ b []byte }

// Buffers begin at the size of a common memory and are not kept beyond keepBuffer: one
// large body must not be held for ever.
const (
	firstBuffer = 4 << 10
	keepBuffer  = 64 << 10
)

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, firstBuffer)} }}

func (c *call) begin(d *Door, w http.ResponseWriter, r *http.Request) {
	*c = call{door: d, w: w, r: r}
	w.Header()["X-Content-Type-Options"] = headerNosniff
}

// recycle gives everything back. Nothing that a handler passed on may alias in or out.
func (c *call) recycle() {
	if c.cancel != nil {
		c.cancel()
	}
	for _, b := range []*buffer{c.in, c.out} {
		if b != nil && cap(b.b) <= keepBuffer {
			b.b = b.b[:0]
			buffers.Put(b)
		}
	}
	*c = call{}
	calls.Put(c)
}

// context is the request's, with the deadline of a request that is not a stream.
func (c *call) context() context.Context {
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithTimeout(c.r.Context(), c.door.Timeout)
	}
	return c.ctx
}

// Values of headers that are the same in every answer; the server does not change them.
var (
	headerJSON    = []string{"application/json"}
	headerNosniff = []string{"nosniff"}
	headerClose   = []string{"close"}
	headerOne     = []string{"1"}
)

// Header, Write, WriteHeader and Unwrap make a call an http.ResponseWriter.
func (c *call) Header() http.Header { return c.w.Header() }

func (c *call) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.w.Write(b)
}

func (c *call) WriteHeader(status int) {
	if c.status == 0 && status >= 200 {
		c.status = status
	}
	c.w.WriteHeader(status)
}

func (c *call) Unwrap() http.ResponseWriter { return c.w }

// output returns an empty buffer for the answer.
func (c *call) output() []byte {
	if c.out == nil {
		c.out = buffers.Get().(*buffer)
	}
	return c.out.b[:0]
}

// json answers with body, which began as output().
func (c *call) json(status int, body []byte) error {
	if c.out != nil {
		c.out.b = body // it may have grown
	}
	h := c.Header()
	h["Content-Type"] = headerJSON
	if len(body) > 2000 { // the server counts what fits into its buffer itself
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	c.WriteHeader(status)
	_, _ = c.Write(body) // the client is gone: there is nobody to tell
	return nil
}
