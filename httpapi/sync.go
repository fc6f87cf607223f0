package httpapi

import (
	"net/http"
	"strconv"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/wire"
)

// maxServed pulls are answered at once: each has a page in memory until its peer has read
// it. In a mesh of four or fewer nobody ever meets the bound.
const maxServed = 3

// since answers a pull: of a node with its clock (GET, or POST when the clock is long),
// of a client of the original with a time.
func (c *call) since() error {
	if c.r.Method != http.MethodPost && !wire.IsClockSince(c.query) {
		return c.updatedSince()
	}
	if err := c.checkPeer(""); err != nil { // before a stranger's words are read
		return err
	}
	req, err := wire.ReadSince(c.r)
	if err != nil {
		return err
	}
	if err := c.checkPeer(req.Peer); err != nil {
		return err
	}
	if err := c.door.Self.CheckCluster(req.Cluster); err != nil {
		return err
	}
	select {
	case c.door.serving <- struct{}{}:
		defer func() { <-c.door.serving }()
	default:
		return wire.ErrBusy
	}
	delta, err := c.door.Node.Since(c.context(), req)
	if err != nil {
		return err
	}
	if delta.Page == nil {
		wire.RespondNotModified(c, c.door.Self, req, delta.ClockHash)
		return nil
	}
	n, err := wire.RespondPage(c, c.r, c.door.Self, delta.Page)
	c.door.metrics.pageBytes.Add(float64(n))
	if err != nil && c.status == 0 {
		return fault{err}
	}
	return nil // or the caller is gone
}

// stillPeer is asked with every frame of a stream: a certificate may have ended since, and a
// key may have been revoked.
func (c *call) stillPeer(name string) error {
	if c.door.Keys != nil {
		key, err := shown(c.r.Header)
		if err != nil {
			return err
		}
		if who := c.door.Keys.Check(key); who == nil || !who.May(auth.Peer) {
			c.door.strangers.wrongKey(c.r, key)
			return c.door.refuse("key", errNoKey)
		}
	}
	return c.checkPeer(name)
}

// checkPeer refuses a caller that is not, by its certificate, the node that it says it is;
// with no name, one that is no node at all.
func (c *call) checkPeer(name string) error {
	if c.door.CheckPeer == nil {
		return nil
	}
	if err := c.door.CheckPeer(connState(c.r), name); err != nil {
		c.door.strangers.wrongPeer(c.r, err)
		// A node whose certificate was good when it connected comes again with the one that it has now.
		return c.door.refuse("peer", &problem{Status: http.StatusForbidden, Code: "WRONG_PEER", Text: err.Error(), Close: true})
	}
	return nil
}

// caller is who pushes.
func (c *call) caller() (wire.Hello, error) {
	if err := c.checkPeer(""); err != nil {
		return wire.Hello{}, err
	}
	from, err := wire.CheckPush(c.r, c.door.Self)
	if from.Name != "" { // who it is goes before where it belongs
		if err := c.checkPeer(from.Name); err != nil {
			return from, err
		}
	}
	return from, err
}

func (c *call) updatedSince() error {
	req, err := wire.ParseUpdatedSince(c.query)
	if err != nil {
		return err
	}
	reply, err := c.door.Node.UpdatedSince(c.context(), req)
	if err != nil {
		return err
	}
	// By hand: the rows are JSON already, and may be many.
	b := append(c.output(), `{"count":`...)
	b = strconv.AppendInt(b, int64(reply.Count), 10)
	b = append(b, `,"limit":`...)
	b = strconv.AppendInt(b, int64(reply.Limit), 10)
	b = appendOptional(b, `,"updated_since":`, reply.UpdatedSince)
	b = appendOptional(b, `,"earliest_updated_at":`, reply.EarliestUpdatedAt)
	b = appendOptional(b, `,"latest_updated_at":`, reply.LatestUpdatedAt)
	if reply.NextSince != nil {
		b = appendOptional(b, `,"next_since":`, reply.NextSince)
	}
	b = append(b, `,"memories":[`...)
	for i, row := range reply.Memories {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, row...)
	}
	return c.json(http.StatusOK, append(b, `]}`...))
}

func appendOptional(b []byte, name string, s *string) []byte {
	b = append(b, name...)
	if s == nil {
		return append(b, `null`...)
	}
	return memory.AppendString(b, *s)
}

// push takes rows in three forms: the stream between nodes, one POST of the same frames,
// and the original's JSON.
func (c *call) push() error {
	if _, ok := c.r.Header["Upgrade"]; ok {
		return c.pushStream()
	}
	if c.wantType(wire.MediaFrames) == nil {
		return c.pushFrames()
	}
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	req, err := wire.ParseSyncPush(body)
	if err != nil {
		return err
	}
	opt, err := c.writeOptions(body)
	if err != nil {
		return err
	}
	if opt.Anonymous { // the sender has said who it is, if not where others say it
		if err := memory.ValidateAgentID(req.SenderAgentID); err != nil {
			return invalid("sender_agent_id", "must be 1 to 128 letters, digits and _ - : @ . /")
		}
		opt.Agent, opt.Anonymous = req.SenderAgentID, false
	}
	reply, err := c.door.Node.ImportPush(c.context(), req, opt)
	if err != nil {
		return err
	}
	return c.encode(reply)
}

// pushFrames answers the batches of one body, all of them, when all are done.
func (c *call) pushFrames() error {
	if zipped, err := encoding(c.r); err != nil {
		return err
	} else if zipped {
		return &problem{Status: http.StatusUnsupportedMediaType, Code: "UNSUPPORTED_ENCODING", Text: "frames are not to be compressed"}
	}
	from, err := c.caller()
	if err != nil {
		return err
	}
	if c.r.ContentLength > wire.MaxPushBody {
		return tooLarge()
	}
	frames, err := wire.ReadPushBody(c.r.Body)
	if err != nil {
		return pushBodyError(err)
	}
	var waiting []waiting
	for _, f := range frames {
		if f.Nudge != nil {
			c.door.Node.Nudge(from, *f.Nudge)
			continue
		}
		w := newWaiting(f.Batch)
		waiting = append(waiting, w)
		c.door.Node.Push(c.context(), from, f.Batch, w.done)
	}
	acks := make([]wire.Ack, len(waiting))
	busy, refused := 0, 0
	for i, w := range waiting {
		if acks[i], err = w.wait(c.context()); err != nil {
			return err
		}
		switch acks[i].Result {
		case wire.AckBusy:
			busy++
		case wire.AckRefused:
			refused++
		}
	}
	if busy > 0 && busy == len(acks) { // posting all of it again is right, and what is here already costs nothing
		return wire.ErrBusy
	}
	if refused > 0 && refused == len(acks) {
		return &problem{Status: http.StatusConflict, Code: "REFUSED", Text: "these rows are not taken: held already with other bytes, or not of the sender"}
	}
	h := c.Header()
	c.door.Self.Hello().Set(h)
	h.Set("Content-Type", wire.MediaFrames)
	if err := wire.WriteAcks(c, acks); err != nil && c.status == 0 {
		return fault{err}
	}
	return nil
}
