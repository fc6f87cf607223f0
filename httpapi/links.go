package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// Linker relates memories to one another. A link is shown as long as both of its memories
// are; a memory that is deleted takes its links along.
type Linker interface {
	// Link makes a link between two memories, each given by its id or a unique prefix; one
	// that is there is left as it is. Errors: *memory.FieldError, ErrNotFound, ErrAmbiguous.
	Link(context.Context, memory.Link, WriteOptions) (Linked, error)
	// Unlink removes all relations from the source to the target. It is no error if there
	// is none.
	Unlink(ctx context.Context, source, target string, opt WriteOptions) (Unlinked, error)
	// Links lists the links of a memory in both directions, in an order that is the same on
	// every node. A memory that is not there has none. Errors: ErrAmbiguous,
	// *memory.BehindError.
	Links(ctx context.Context, id string, opt ReadOptions) ([]memory.Link, error)
}

// Linked is the answer to Link.
type Linked struct {
	Link     memory.Link // with the ids in full
	Existing bool        // it was there
	Dot      clock.Dot
	Token    clock.Clock
	Acks     int
}

// Unlinked is the answer to Unlink.
type Unlinked struct {
	Deleted bool // there was one at least
	Token   clock.Clock
	Acks    int
}

func (c *call) link() error {
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	l, err := memory.ParseLink(body)
	if err != nil {
		return err
	}
	opt, err := c.writeOptions(body)
	if err != nil {
		return err
	}
	res, err := c.door.Node.Link(c.context(), l, opt)
	if err != nil {
		return err
	}
	shown := res.Link.Encode()
	// Whoever links may be anybody: nobody signs.
	b := append(c.output(), `{"linked":true,"attest_level":"unsigned",`...)
	b = append(b, shown[1:len(shown)-1]...)
	if res.Existing {
		b = append(b, `,"existing":true`...)
	}
	b = appendWrite(b, res.Dot, res.Acks, res.Token)
	return c.json(http.StatusCreated, append(b, '}'))
}

func (c *call) unlink() error {
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	l, err := memory.ParseLink(body)
	if err != nil {
		return err
	}
	opt, err := c.writeOptions(body)
	if err != nil {
		return err
	}
	res, err := c.door.Node.Unlink(c.context(), l.SourceID, l.TargetID, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"deleted":`...)
	b = strconv.AppendBool(b, res.Deleted)
	b = appendWrite(b, clock.Dot{}, res.Acks, res.Token)
	return c.json(http.StatusOK, append(b, '}'))
}

func (c *call) links() error {
	links, err := readOne(c, c.door.Node.Links)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"links":`...)
	b = appendLinks(b, links)
	b = append(b, `,"count":`...)
	b = strconv.AppendInt(b, int64(len(links)), 10)
	return c.json(http.StatusOK, append(b, '}'))
}

func appendLinks(b []byte, links []memory.Link) []byte {
	b = append(b, '[')
	for i := range links {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, links[i].Encode()...)
	}
	return append(b, ']')
}
