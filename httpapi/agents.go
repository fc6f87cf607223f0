package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// Agents are the verbs of registered agents.
type Agents interface {
	// RegisterAgent stores an agent or what it says of itself now; the time of its first
	// registration stays.
	RegisterAgent(context.Context, memory.Agent, WriteOptions) (Registered, error)
	// Agents are all of them, by id.
	Agents(context.Context, ReadOptions) ([]memory.Agent, error)
}

// Registered is the answer to a registration.
type Registered struct {
	Dot   clock.Dot
	Token clock.Clock
	Acks  int
}

func (c *call) registerAgent() error {
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	a, err := memory.DecodeRegistration(body)
	if err != nil {
		return err
	}
	opt, err := c.writeOptions(body)
	if err != nil {
		return err
	}
	res, err := c.door.Node.RegisterAgent(c.context(), a, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"registered":true,"id":`...)
	b = memory.AppendString(b, a.ID)
	b = append(b, `,"agent_id":`...)
	b = appendAgent(b, &a)
	b = appendWrite(b, res.Dot, res.Acks, res.Token)
	return c.json(http.StatusCreated, append(b, '}'))
}

// appendAgent appends what an agent says of itself, from the value of agent_id on.
func appendAgent(b []byte, a *memory.Agent) []byte {
	b = memory.AppendString(b, a.ID)
	b = append(b, `,"agent_type":`...)
	b = memory.AppendString(b, a.Type)
	b = append(b, `,"capabilities":`...)
	return appendStrings(b, a.Capabilities)
}

func (c *call) agents() error {
	opt, err := c.readOptions()
	if err != nil {
		return err
	}
	list, err := c.door.Node.Agents(c.context(), opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"count":`...)
	b = strconv.AppendInt(b, int64(len(list)), 10)
	b = append(b, `,"agents":[`...)
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"agent_id":`...)
		b = appendAgent(b, &list[i])
		b = append(b, `,"registered_at":"`...)
		b = memory.AppendTime(b, list[i].RegisteredAt)
		b = append(b, `","last_seen_at":"`...)
		b = memory.AppendTime(b, list[i].LastSeenAt)
		b = append(b, `"}`...)
	}
	return c.json(http.StatusOK, append(b, `]}`...))
}
