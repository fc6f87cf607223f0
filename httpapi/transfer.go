package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/memd/memd/memory"
)

// Porter takes everything out of a node and puts it into another.
type Porter interface {
	// Export walks the live, unexpired records behind From, in an order that does not
	// change, and hands them to yield, some at a time: never more than a page is in memory,
	// and none is read while the client is slow. Each is as of the moment in which it is
	// read. next is where a later call goes on, "" at the end. An error of yield ends it.
	Export(ctx context.Context, o ExportOptions, yield func(Exported) error) (next string, err error)
	// Import stores each record under its own id and with its own times. What is held
	// already and not older stays as it is. An item that fails is reported and stops none
	// of the others; an error means that none was looked at.
	Import(ctx context.Context, in Import, opt WriteOptions) (Imported, error)
}

// ExportOptions say what Export walks over.
type ExportOptions struct {
	From      string // what an earlier call returned as next; "" = from the start
	Limit     int    // of records; 0 = all
	Namespace string // "" = all
}

// Exported is a part of an export.
type Exported struct {
	Memories [][]byte // JSON objects, as Rendered.Body
	Links    [][]byte // the same of links, none before the last memory
	Archived [][]byte // of what was put aside: with archived_at and archive_reason; none before the last link
}

// Import is the body of an import.
type Import struct {
	Memories []json.RawMessage `json:"memories"`
	Links    []json.RawMessage `json:"links"`
	Archived []json.RawMessage `json:"archived"`
}

// Imported is the answer to an Import.
type Imported struct {
	Imported  int      `json:"imported"`
	Unchanged int      `json:"unchanged"` // held already, and not older
	Errors    []string `json:"errors"`    // "<id>: <text>"
	Acks      int      `json:"acks"`      // the least of all that were written
	Token     string   `json:"token"`
}

// exportPatience is how long one part of an export may take to reach the client.
const exportPatience = 30 * time.Second

// export streams one document. It has no deadline as a whole, but one for every part.
func (c *call) export() error {
	var o ExportOptions
	var err error
	if o.From, err = c.one("from"); err != nil {
		return err
	}
	if o.Limit, err = c.whole("limit", 0, 0); err != nil {
		return err
	}
	if o.Namespace, err = c.one("namespace"); err != nil {
		return err
	}
	if o.Namespace != "" {
		if err := memory.ValidateNamespace(o.Namespace); err != nil {
			return err
		}
	}
	deadline := http.NewResponseController(c)
	b := c.output()
	doc := exportDocument{}
	next, err := c.door.Node.Export(c.r.Context(), o, func(part Exported) error {
		c.Header()["Content-Type"] = headerJSON
		b = doc.list(b, 0, part.Memories)
		b = doc.list(b, 1, part.Links)
		b = doc.list(b, 2, part.Archived)
		_ = deadline.SetWriteDeadline(time.Now().Add(exportPatience)) // a server without deadlines has none to move
		_, err := c.Write(b)
		b = b[:0]
		return err
	})
	if err != nil {
		if c.status != 0 {
			c.door.Log.Warn("export was cut off", "err", err)
			panic(http.ErrAbortHandler) // what went out must not look like a whole export
		}
		return err
	}
	c.Header()["Content-Type"] = headerJSON
	b = doc.open(b, len(exportLists)-1)
	b = append(b, `],"count":`...)
	b = strconv.AppendInt(b, int64(doc.memories), 10)
	if next != "" {
		b = append(b, `,"next":`...)
		b = memory.AppendString(b, next)
	}
	b = append(b, `,"exported_at":"`...)
	b = memory.AppendTime(b, time.Now().UTC())
	b = append(b, `"}`...)
	_ = deadline.SetWriteDeadline(time.Now().Add(exportPatience))
	_, _ = c.Write(b)
	return nil
}

// exportLists are the lists of the document, in their order.
var exportLists = [...]string{`{"memories":[`, `],"links":[`, `],"archived":[`}

// exportDocument is the document on its way out: one list is open at a time.
type exportDocument struct {
	opened   int // lists that were begun
	filled   bool
	memories int
}

// open goes on to a list, closing what comes before it.
func (d *exportDocument) open(b []byte, list int) []byte {
	for ; d.opened <= list; d.opened++ {
		b = append(b, exportLists[d.opened]...)
		d.filled = false
	}
	return b
}

func (d *exportDocument) list(b []byte, list int, items [][]byte) []byte {
	for _, item := range items {
		b = d.open(b, list)
		if d.filled {
			b = append(b, ',')
		}
		b = append(b, item...)
		d.filled = true
		if list == 0 {
			d.memories++
		}
	}
	return b
}

func (c *call) importAll() error {
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	var in Import
	if err := memory.ParseJSON(body, &in); err != nil {
		return err
	}
	if in.Memories == nil && in.Links == nil && in.Archived == nil {
		return invalid("memories", "must be given, or links, or archived")
	}
	for name, n := range map[string]int{"memories": len(in.Memories), "links": len(in.Links), "archived": len(in.Archived)} {
		if n > memory.MaxBulk {
			return invalid(name, "must have at most "+strconv.Itoa(memory.MaxBulk)+" items")
		}
	}
	opt, err := c.writeOptions(body)
	if err != nil {
		return err
	}
	res, err := c.door.Node.Import(c.context(), in, opt)
	if err != nil {
		return err
	}
	return c.encode(res)
}
