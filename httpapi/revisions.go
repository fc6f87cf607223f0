package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// Historian shows what a memory has lost.
type Historian interface {
	// Revisions lists the versions of a memory that lost a conflict and were superseded
	// since, the latest first, also of a memory that was deleted. Errors: ErrNotFound,
	// ErrAmbiguous, *memory.BehindError.
	Revisions(ctx context.Context, id string, opt ReadOptions) (Revisions, error)
}

// Revisions of one memory: every node lists the same ones.
type Revisions struct {
	ID   string // in full, if a prefix was given
	Lost []Revision
}

// Revision is a version that no view shows any more.
type Revision struct {
	Dot       clock.Dot
	WrittenAt time.Time // by the clock of the node that took it
	Agent     string
	// Body is the memory as that version said it, rendered as in Rendered; nil on a node
	// that does not hold it. Those that did when it was superseded do, up to eight a memory.
	Body []byte
}

func (c *call) revisions() error {
	res, err := readOne(c, c.door.Node.Revisions)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"id":`...)
	b = memory.AppendString(b, res.ID)
	b = append(b, `,"revisions":[`...)
	for i := range res.Lost {
		r := &res.Lost[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"dot":"`...)
		b = append(b, r.Dot.String()...)
		b = append(b, `","written_at":"`...)
		b = memory.AppendTime(b, r.WrittenAt)
		b = append(b, `","agent_id":`...)
		b = memory.AppendString(b, r.Agent)
		b = append(b, `,"held":`...)
		b = strconv.AppendBool(b, r.Body != nil)
		if r.Body != nil {
			b = append(b, `,"memory":`...)
			b = append(b, r.Body...)
		}
		b = append(b, '}')
	}
	b = append(b, `],"count":`...)
	b = strconv.AppendInt(b, int64(len(res.Lost)), 10)
	return c.json(http.StatusOK, append(b, '}'))
}
