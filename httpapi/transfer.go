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

// The lists of an export, in their order: a later part has nothing of an earlier list.
const (
	ExportedMemories  = iota // as Rendered.Body
	ExportedLinks            // as memory.Link.Encode
	ExportedArchived         // memories that were put aside: with archived_at and archive_reason
	ExportedAgents           // as memory.Agent.Encode
	ExportedStandards        // as memory.Standard.Encode
	exportedLists
)

// Exported is a part of an export: JSON objects.
type Exported [exportedLists][][]byte

// Len is how many records it has.
func (e *Exported) Len() (n int) {
	for _, list := range e {
		n += len(list)
	}
	return n
}

// Import is the body of an import.
type Import struct {
	Memories  []json.RawMessage `json:"memories"`
	Links     []json.RawMessage `json:"links"`
	Archived  []json.RawMessage `json:"archived"`
	Agents    []json.RawMessage `json:"agents"`
	Standards []json.RawMessage `json:"standards"`
}

// Imported is the answer to an Import.
type Imported struct {
	Imported  int      `json:"imported"`
	Unchanged int      `json:"unchanged"` // held already, and not older
	Errors    []string `json:"errors"`    // "<id>: <text>"
	Acks      int      `json:"acks"`      // the least of all that were written
	Token     string   `json:"token"`
}

// A piece of an export has so long to go on its way to the client: one that reads 2 KiB/s
// gets all of it.
const (
	exportPiece    = 64 << 10
	exportPatience = 30 * time.Second
)

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
	b := c.output()
	doc := exportDocument{}
	next, err := c.door.Node.Export(c.r.Context(), o, func(part Exported) error {
		c.Header()["Content-Type"] = headerJSON
		for i, list := range part {
			b = doc.list(b, i, list)
		}
		err := c.writeSlowly(b)
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
	_ = c.writeSlowly(b)
	return nil
}

// writeSlowly gives every piece its own time.
func (c *call) writeSlowly(b []byte) error {
	deadline := http.NewResponseController(c)
	for len(b) > 0 {
		piece := b[:min(len(b), exportPiece)]
		_ = deadline.SetWriteDeadline(time.Now().Add(exportPatience)) // a server without deadlines has none to move
		if _, err := c.Write(piece); err != nil {
			return err
		}
		b = b[len(piece):]
	}
	return nil
}

// exportLists are how the lists of the document begin.
var exportLists = [exportedLists]string{`{"memories":[`, `],"links":[`, `],"archived":[`, `],"agents":[`, `],"standards":[`}

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
		if list == ExportedMemories {
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
	given := false
	for _, l := range []struct {
		name string
		list []json.RawMessage
	}{{"memories", in.Memories}, {"links", in.Links}, {"archived", in.Archived}, {"agents", in.Agents}, {"standards", in.Standards}} {
		if len(l.list) > memory.MaxBulk {
			return invalid(l.name, "must have at most "+strconv.Itoa(memory.MaxBulk)+" items")
		}
		given = given || l.list != nil
	}
	if !given {
		return invalid("memories", "must be given, or links, archived, agents or standards")
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
