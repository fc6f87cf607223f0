package httpapi

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// health is the original's: cheap, and 200 as long as the process answers.
func (c *call) health() error {
	b := append(c.output(), `{"status":"ok","service":"ai-memory","version":`...)
	b = memory.AppendString(b, c.door.Node.Version())
	b = append(b, `,"embedder_ready":`...)
	b = strconv.AppendBool(b, c.door.Node.EmbedderReady())
	b = append(b, `,"federation_enabled":`...)
	b = strconv.AppendBool(b, c.door.Node.Federated())
	return c.json(http.StatusOK, append(b, '}'))
}

func (c *call) live() error {
	return c.json(http.StatusOK, append(c.output(), `{"status":"ok"}`...))
}

// ready is 503 while this node would answer from the past or take no writes.
func (c *call) ready() error {
	if ok, reasons := c.door.Node.Ready(); !ok {
		return &problem{Status: http.StatusServiceUnavailable, Code: "NOT_READY", Text: "not ready", Reasons: reasons, RetryAfter: 1}
	}
	return c.json(http.StatusOK, append(c.output(), `{"status":"ready"}`...))
}

func (c *call) cluster() error {
	status, err := c.door.Node.Cluster(c.context())
	if err != nil {
		return err
	}
	return c.encode(status)
}

func (c *call) stats() error {
	opt, err := c.readOptions()
	if err != nil {
		return err
	}
	stats, err := c.door.Node.Stats(c.context(), opt)
	if err != nil {
		return err
	}
	return c.encode(stats)
}

func (c *call) writeStatus() error {
	dot, err := c.dot()
	if err != nil {
		return err
	}
	status, err := c.door.Node.WriteStatus(c.context(), dot)
	if err != nil {
		return err
	}
	return c.encode(status)
}

func (c *call) dot() (clock.Dot, error) {
	unescaped := func(name string) string {
		s, err := url.PathUnescape(c.vars[name])
		if err != nil {
			return ""
		}
		return s
	}
	origin, err := clock.ParseOrigin(unescaped("origin"))
	if err != nil {
		return clock.Dot{}, invalid("origin", "must be 16 hex digits")
	}
	counter, err := strconv.ParseUint(unescaped("counter"), 10, 64)
	dot := clock.Dot{Origin: origin, Counter: counter}
	if err != nil || !dot.Valid() {
		return clock.Dot{}, invalid("counter", "must be a whole number from 1 on")
	}
	return dot, nil
}

// encode answers with v, for the routes that nobody is in a hurry on.
func (c *call) encode(v any) error {
	b, err := memory.AppendJSON(c.output(), v)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, b)
}
