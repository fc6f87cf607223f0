package httpapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/memd/memd/wire"
)

// maxBody bounds a JSON body, compressed or not.
const maxBody = 2 << 20

// jsonBody reads the JSON body of the request. It is valid until the answer is written.
func (c *call) jsonBody() ([]byte, error) {
	if err := c.wantType(wire.MediaJSON); err != nil {
		return nil, err
	}
	return c.body()
}

// wantType checks Content-Type, which also keeps simple cross-site posts out.
func (c *call) wantType(want string) error {
	values := c.r.Header["Content-Type"]
	if len(values) == 1 {
		if values[0] == want {
			return nil
		}
		media, params, err := mime.ParseMediaType(values[0])
		charset, ok := params["charset"]
		if err == nil && media == want && (!ok || strings.EqualFold(charset, "utf-8")) {
			return nil
		}
	}
	return &problem{Status: http.StatusUnsupportedMediaType, Code: "UNSUPPORTED_MEDIA_TYPE", Text: "the body must be " + want}
}

// body reads the body of the request, undoing gzip.
func (c *call) body() ([]byte, error) {
	zipped, err := encoding(c.r)
	if err != nil {
		return nil, err
	}
	if c.r.ContentLength > maxBody {
		return nil, tooLarge()
	}
	c.in = buffers.Get().(*buffer)
	if !zipped {
		// Room to see the end, but not for what is only announced.
		c.in.b = slices.Grow(c.in.b[:0], min(max(0, int(c.r.ContentLength)), keepBuffer)+1)
		c.in.b, err = readAll(c.in.b, c.r.Body)
		return c.in.b, err
	}
	raw, err := readAll(nil, c.r.Body)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, errGzip
	}
	c.in.b, err = readAll(c.in.b[:0], z)
	return c.in.b, err
}

var errGzip = &problem{Status: http.StatusBadRequest, Code: "INVALID", Text: "body is not valid gzip", Field: "body"}

// encoding reports whether the body is gzip. Only that and identity are taken, once.
func encoding(r *http.Request) (zipped bool, err error) {
	values := r.Header["Content-Encoding"]
	if len(values) == 0 {
		return false, nil
	}
	if len(values) == 1 {
		switch strings.ToLower(strings.TrimSpace(values[0])) {
		case "identity", "":
			return false, nil
		case "gzip", "x-gzip":
			return true, nil
		}
	}
	return false, &problem{Status: http.StatusUnsupportedMediaType, Code: "UNSUPPORTED_ENCODING", Text: "the body must be plain or gzip"}
}

// readAll appends what r has, up to maxBody, to b.
func readAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(max(len(b), 512), maxBody+1))
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > maxBody:
			return b, tooLarge()
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return b, bodyError(err)
		}
	}
}

// bodyError says what kept a body from being read: nothing that this node did.
func bodyError(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return errGzip
	case errors.As(err, &timeout) && timeout.Timeout():
		return &problem{Status: http.StatusRequestTimeout, Code: "TOO_SLOW", Text: "the body did not arrive in time", Close: true}
	}
	return &problem{Status: http.StatusBadRequest, Code: "INVALID", Text: "body is incomplete or malformed", Field: "body", Close: true}
}
