package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// create is the hot path: one decode, one call, one small answer written by hand.
func (c *call) create() error {
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	draft, err := memory.DecodeDraft(body)
	if err != nil {
		return err
	}
	opt, err := c.writeOptions(body)
	if err != nil {
		return err
	}
	m, err := c.door.Node.Create(c.context(), draft, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"id":`...)
	b = memory.AppendString(b, m.ID)
	b = append(b, `,"tier":`...)
	b = memory.AppendString(b, m.Tier)
	b = append(b, `,"namespace":`...)
	b = memory.AppendString(b, m.Namespace)
	b = append(b, `,"title":`...)
	b = memory.AppendString(b, m.Title)
	b = append(b, `,"agent_id":`...)
	b = memory.AppendString(b, m.Agent)
	if len(m.Rivals) > 0 {
		b = append(b, `,"potential_contradictions":`...)
		b = appendStrings(b, m.Rivals)
	}
	b = append(b, `,"quorum_acks":`...)
	b = strconv.AppendInt(b, int64(m.Acks), 10)
	if m.Existing {
		b = append(b, `,"existing":true`...)
	}
	b = appendWrite(b, m.Dot, m.Acks, m.Token)
	return c.json(http.StatusCreated, append(b, '}'))
}

// appendWrite appends what every write's answer carries.
func appendWrite(b []byte, dot clock.Dot, acks int, token clock.Clock) []byte {
	if !dot.IsZero() {
		b = append(b, `,"dot":"`...)
		b = append(b, dot.String()...)
		b = append(b, '"')
	}
	b = append(b, `,"acks":`...)
	b = strconv.AppendInt(b, int64(acks), 10)
	b = append(b, `,"token":"`...)
	b = append(b, token.Token()...)
	return append(b, '"')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = memory.AppendString(b, s)
	}
	return append(b, ']')
}

// createAll answers 200 also if single rows failed: "errors" says which.
func (c *call) createAll() error {
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	drafts, err := memory.DecodeDrafts(body)
	if err != nil {
		return err
	}
	opt, err := c.writeOptions(body)
	if err != nil {
		return err
	}
	res, err := c.door.Node.CreateAll(c.context(), drafts, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"created":`...)
	b = strconv.AppendInt(b, int64(res.Created), 10)
	b = append(b, `,"errors":`...)
	b = appendStrings(b, res.Errors)
	b = append(b, `,"ids":`...)
	b = appendStrings(b, res.IDs)
	b = appendWrite(b, clock.Dot{}, res.Acks, res.Token)
	return c.json(http.StatusOK, append(b, '}'))
}

func (c *call) list() error {
	filter, err := memory.ParseFilter(c.query)
	if err != nil {
		return err
	}
	opt, err := c.readOptions()
	if err != nil {
		return err
	}
	rows, err := c.door.Node.List(c.context(), filter, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"memories":[`...)
	for i := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, rows[i].Body...)
	}
	b = append(b, `],"count":`...)
	b = strconv.AppendInt(b, int64(len(rows)), 10)
	return c.json(http.StatusOK, append(b, '}'))
}

func (c *call) get() error {
	id, err := c.id()
	if err != nil {
		return err
	}
	opt, err := c.readOptions()
	if err != nil {
		return err
	}
	m, err := c.door.Node.Get(c.context(), id, opt)
	if err != nil {
		return err
	}
	c.tag(m.Token)
	b := append(c.output(), `{"memory":`...)
	b = append(b, m.Body...)
	b = append(b, `,"links":`...)
	b = appendLinks(b, m.Links)
	if opt.Conflicts {
		b = append(b, `,"siblings":[`...)
		for i, s := range m.Siblings {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"dot":"`...)
			b = append(b, s.Dot.String()...)
			b = append(b, `","memory":`...)
			b = append(b, s.Body...)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	if len(m.Ambiguous) > 0 {
		b = append(b, `,"ambiguous":`...)
		b = appendStrings(b, m.Ambiguous)
	}
	return c.json(http.StatusOK, append(b, '}'))
}

// tag sets the token as the entity tag, for If-Match.
func (c *call) tag(token clock.Clock) {
	c.Header()["Etag"] = []string{`"` + token.Token() + `"`}
}

func (c *call) update() error {
	id, err := c.id()
	if err != nil {
		return err
	}
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	patch, err := memory.DecodePatch(body)
	if err != nil {
		return err
	}
	opt, err := c.changeOptions(body)
	if err != nil {
		return err
	}
	if patch.AgentID != nil {
		if err := memory.ValidateAgentID(*patch.AgentID); err != nil {
			return err
		}
		opt.Agent, opt.Anonymous = *patch.AgentID, false
	}
	m, err := c.door.Node.Update(c.context(), id, patch, opt)
	if err != nil {
		return err
	}
	c.tag(m.Token)
	// The bare record, with the write's own members behind its own: a reader ignores them,
	// and they are dropped when the record comes back in a body.
	b := append(c.output(), m.Body...)
	b = b[:max(0, len(b)-1)]
	b = append(b, `,"dot":"`...)
	b = append(b, m.Dot.String()...)
	b = append(b, `","acks":`...)
	b = strconv.AppendInt(b, int64(m.Acks), 10)
	return c.json(http.StatusOK, append(b, '}'))
}

func (c *call) delete() error {
	res, err := writeOne(c, c.changeOptions, c.door.Node.Delete)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"deleted":true,"id":`...)
	b = memory.AppendString(b, res.ID)
	b = appendWrite(b, res.Dot, res.Acks, res.Token)
	return c.json(http.StatusOK, append(b, '}'))
}

// changeOptions are those of a write to a memory that is there.
func (c *call) changeOptions(body []byte) (WriteOptions, error) {
	opt, err := c.writeOptions(body)
	if err != nil {
		return opt, err
	}
	opt.Match, err = match(c.r.Header)
	return opt, err
}

// writeOne calls a changing verb with the id of the path and the options that there are
// for it.
func writeOne[T any](c *call, options func(body []byte) (WriteOptions, error), verb func(context.Context, string, WriteOptions) (T, error)) (out T, err error) {
	id, err := c.id()
	if err != nil {
		return out, err
	}
	opt, err := options(nil)
	if err != nil {
		return out, err
	}
	return verb(c.context(), id, opt)
}

// readOne calls a reading verb with the id of the path.
func readOne[T any](c *call, verb func(context.Context, string, ReadOptions) (T, error)) (out T, err error) {
	id, err := c.id()
	if err != nil {
		return out, err
	}
	opt, err := c.readOptions()
	if err != nil {
		return out, err
	}
	return verb(c.context(), id, opt)
}
