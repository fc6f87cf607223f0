package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/memd/memd/memory"
)

// ExportOptions say what Export walks over.
type ExportOptions struct {
	From      string // what an earlier call returned as next; "" = from the start
	Limit     int    // of records; 0 = all
	Namespace string // "" = all
}

// Export hands the live, unexpired records of one node to yield, one after the other as
// they arrive, in an order that is the same on every node: each is a JSON object as the
// node wrote it, valid until yield returns. next is where a later call goes on, at this
// node or another, "" at the end. An error of yield ends it and is returned as it is; any
// other error leaves records that yield had before, and a caller that starts again from
// the same place gets them again. Another server is tried only before the first record.
// Config.Timeout bounds the silence between two records, not the whole.
func (c *Client) Export(ctx context.Context, o ExportOptions, yield func(memory.Raw) error) (next string, err error) {
	q := ReadOptions{}.values()
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("from", o.From)
	set("namespace", o.Namespace)
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	var began bool
	err = c.each(ctx, func(server string) (bool, error) {
		next, began, err = c.exportFrom(ctx, server, q.Encode(), yield)
		return began, err
	})
	return next, err
}

// exportFrom is Export from one server. began is set once yield was called.
func (c *Client) exportFrom(ctx context.Context, server, query string, yield func(memory.Raw) error) (next string, began bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Every byte that arrives gives the node its time again.
	silence := time.AfterFunc(c.timeout, func() { cancel(context.DeadlineExceeded) })
	defer silence.Stop()
	lost := func(err error) error {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return unreachable(server, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/api/v1/export?"+query, nil)
	if err != nil {
		return "", false, err
	}
	c.introduce(req)
	res, err := c.http.Do(req)
	if err != nil {
		return "", false, lost(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b, err := io.ReadAll(io.LimitReader(res.Body, maxError))
		if err != nil {
			return "", false, lost(err)
		}
		return "", false, decodeError(server, res, b)
	}
	body := reading{res.Body, func() { silence.Reset(c.timeout) }}
	next, err = walkExport(json.NewDecoder(body), func(record memory.Raw) error {
		began = true
		silence.Stop() // what yield takes is not the node's doing
		if err := yield(record); err != nil {
			return &ended{err}
		}
		silence.Reset(c.timeout)
		return nil
	})
	if end, ok := errors.AsType[*ended](err); ok {
		return "", began, end.err
	}
	if err != nil {
		return "", began, lost(err)
	}
	return next, began, nil
}

// maxError bounds what is read of an error.
const maxError = 1 << 20

// reading tells of every read that brought something.
type reading struct {
	r    io.Reader
	some func()
}

func (r reading) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if n > 0 {
		r.some()
	}
	return n, err
}

// ended is what yield said.
type ended struct{ err error }

func (e *ended) Error() string { return e.err.Error() }

// walkExport takes an export apart while it arrives: whatever its size, one record is in
// memory. A document without its end is an error.
func walkExport(dec *json.Decoder, yield func(memory.Raw) error) (next string, err error) {
	if err := opens(dec, '{'); err != nil {
		return "", err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return "", err
		}
		switch name {
		case "memories", "links", "archived", "agents", "standards":
			if err := opens(dec, '['); err != nil {
				return "", err
			}
			for dec.More() {
				var record json.RawMessage
				if err := dec.Decode(&record); err != nil {
					return "", err
				}
				if err := yield(memory.Raw(record)); err != nil {
					return "", err
				}
			}
			_, err = dec.Token()
		case "next":
			err = dec.Decode(&next)
		default:
			var other json.RawMessage
			err = dec.Decode(&other)
		}
		if err != nil {
			return "", err
		}
	}
	_, err = dec.Token()
	return next, err
}

func opens(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err == nil && t != want {
		err = errAnswer
	}
	return err
}

// Import are records as an Export gave them, of this cluster or of the original service.
// What was put aside, which bears archived_at and archive_reason, goes among the memories.
type Import struct {
	Memories  []memory.Raw `json:"memories"`
	Links     []memory.Raw `json:"links"`
	Agents    []memory.Raw `json:"agents,omitempty"`
	Standards []memory.Raw `json:"standards,omitempty"`
}

// Imported is the answer to Import.
type Imported struct {
	Imported  int      `json:"imported"`
	Unchanged int      `json:"unchanged"` // held already, and not older
	Errors    []string `json:"errors"`    // "<id>: <text>" of the others
	Acks      int      `json:"acks"`
	Token     string   `json:"token"`
}

// MaxImport is how many records of a kind one Import may have.
const MaxImport = memory.MaxBulk

// Import stores records under their own ids and with their own times. What is held already
// and not older stays as it is, so an import may be repeated. An error means that none was
// looked at, or that the answer was lost.
func (c *Client) Import(ctx context.Context, in Import, opt WriteOptions) (*Imported, error) {
	r, err := c.write(http.MethodPost, "/api/v1/import", in, opt)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	return call[Imported](ctx, c, r)
}
