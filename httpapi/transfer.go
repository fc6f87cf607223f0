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
}

// Import is the body of an import.
type Import struct {
	Memories []json.RawMessage `json:"memories"`
	Links    []json.RawMessage `json:"links"`
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
	count := 0
	b := c.output()
	begin := func() {
		if count == 0 && c.status == 0 {
			c.Header()["Content-Type"] = headerJSON
			b = append(b, `{"memories":[`...)
		}
	}
	next, err := c.door.Node.Export(c.r.Context(), o, func(part Exported) error {
		begin()
		for _, m := range part.Memories {
			if count > 0 {
				b = append(b, ',')
			}
			b = append(b, m...)
			count++
		}
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
	begin()
	b = append(b, `],"links":[],"count":`...)
	b = strconv.AppendInt(b, int64(count), 10)
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

func (c *call) importAll() error {
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	var in Import
	if err := memory.ParseJSON(body, &in); err != nil {
		return err
	}
	if in.Memories == nil && in.Links == nil {
		return invalid("memories", "must be given, or links")
	}
	for name, n := range map[string]int{"memories": len(in.Memories), "links": len(in.Links)} {
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
