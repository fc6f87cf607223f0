package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// Backup writes a copy of everything that one node holds to w and returns its size: a file
// that memd restore takes, and checks. The node copies its store before it sends the first
// byte, which may take minutes; only the context bounds that. Config.Timeout bounds the
// silence afterwards. Another server is tried only before the first byte. Errors beside those
// of reading: memory.ErrUnavailable (another backup is being taken), memory.ErrNoSpace.
func (c *Client) Backup(ctx context.Context, w io.Writer) (size int64, err error) {
	err = c.each(ctx, func(server string) (bool, error) {
		size, err = c.backupFrom(ctx, server, w)
		return size > 0, err
	})
	return size, err
}

func (c *Client) backupFrom(ctx context.Context, server string, w io.Writer) (size int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lost := func(err error) error {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return unreachable(server, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/api/v1/backup", nil)
	if err != nil {
		return 0, err
	}
	c.introduce(req)
	res, err := c.http.Do(req)
	if err != nil {
		return 0, lost(err)
	}
	defer res.Body.Close()
	silence := time.AfterFunc(c.timeout, func() { cancel(context.DeadlineExceeded) })
	defer silence.Stop()
	if res.StatusCode != http.StatusOK {
		b, err := io.ReadAll(io.LimitReader(res.Body, maxError))
		if err != nil {
			return 0, lost(err)
		}
		return 0, decodeError(server, res, b)
	}
	body := reading{res.Body, func() { silence.Reset(c.timeout) }}
	size, err = io.Copy(writing{w}, body)
	switch end, own := errors.AsType[*ended](err); {
	case own: // a full disk here is not the server's fault
		return size, end.err
	case err != nil:
		return size, lost(err)
	case res.ContentLength >= 0 && size != res.ContentLength:
		return size, lost(io.ErrUnexpectedEOF)
	}
	return size, nil
}

// writing tells errors of the writer from those of the connection.
type writing struct{ w io.Writer }

func (w writing) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	if err != nil {
		err = &ended{err}
	}
	return n, err
}
