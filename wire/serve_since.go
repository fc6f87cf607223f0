package wire

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// pageWriteTimeout bounds how long a slow reader holds a page in memory.
const pageWriteTimeout = 30 * time.Second

// RespondPage answers a pull with 200 and the page: frames, compressed if the caller
// accepts zstd and it is worth it, or JSON lines if that is what it accepts. It
// returns the bytes of the body. An error before the header was written (ErrTooLarge,
// ErrMalformed) is for the front door to answer; any other one means that the caller
// is gone, and there is nothing left to say.
func RespondPage(w http.ResponseWriter, r *http.Request, self Self, p *Page) (int64, error) {
	h := w.Header()
	self.Hello().WithClock(p.Head.Clock.Hash()).Set(h)
	h.Add("Vary", "Accept, Accept-Encoding")
	h.Set("Cache-Control", "no-store")

	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Now().Add(pageWriteTimeout)); err == nil {
		// The connection lives on; a server without a WriteTimeout would not lift this.
		defer func() {
			_ = rc.Flush()
			_ = rc.SetWriteDeadline(time.Time{})
		}()
	}
	out := &countingWriter{w: w}
	if wantsNDJSON(r.Header.Values("Accept")) {
		h.Set("Content-Type", MediaNDJSON)
		err := WriteNDJSON(out, p)
		return out.n, err
	}
	l, err := p.layout()
	if err != nil {
		return 0, err
	}
	h.Set("Content-Type", MediaFrames)
	if l.size < minCompress || !acceptsZstd(r.Header.Values("Accept-Encoding")) {
		h.Set("Content-Length", strconv.FormatInt(l.size, 10))
		err = l.write(out)
	} else {
		h.Set("Content-Encoding", "zstd")
		z := newZstdWriter(out)
		err = errors.Join(l.write(z), z.Close())
	}
	return out.n, err
}

// RespondNotModified answers a pull with 304: nothing that the cursor lacks. clockHash
// is the hash of this node's own durable clock, which may well be less than the
// cursor.
func RespondNotModified(w http.ResponseWriter, self Self, req SinceRequest, clockHash uint64) {
	h := w.Header()
	hello := self.Hello().WithClock(clockHash)
	if self.Now != nil {
		hello.HLC = self.Now()
	}
	hello.Set(h)
	h.Set("ETag", req.ETag())
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotModified)
}

// wantsNDJSON: frames are the default; JSON lines only on request.
func wantsNDJSON(accept []string) bool {
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			switch name, _, _ := strings.Cut(part, ";"); strings.TrimSpace(name) {
			case MediaFrames:
				return false
			case MediaNDJSON:
				return true
			}
		}
	}
	return false
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
