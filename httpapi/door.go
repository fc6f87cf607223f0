package httpapi

import (
	"errors"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gorilla/mux"
)

// maxTarget bounds the request line's target: two clocks of 4 KiB and the rest of a pull
// fit. Beyond it is 414, beyond the header limit of the server 431.
const maxTarget = 12 << 10

// Door is the handler of a node's whole HTTP surface. It is safe for concurrent use.
type Door struct {
	Config

	hosts     hosts
	limits    *limits
	strangers *strangers
	router    *mux.Router
	metrics   *metrics
	streams   streams
	serving   chan struct{} // a place for each pull that is being answered
	scrape    http.Handler
}

// New returns a door; nothing is started. It panics if the configuration lacks a node.
func New(c Config) *Door {
	if c.Node == nil {
		panic("httpapi: no node")
	}
	d := &Door{Config: c.withDefaults(), serving: make(chan struct{}, maxServed)}
	d.hosts = newHosts(c.Hosts)
	d.limits = newLimits(d.Limits)
	d.strangers = newStrangers(d.Log)
	d.metrics = newMetrics(d.Registerer)
	d.scrape = scrapeHandler(d.Gatherer)
	d.router = d.routes()
	return d
}

// Close ends the push streams, which http.Server.Shutdown does not know, and returns when
// their handlers are done. Requests for new ones are refused with 503 from then on.
func (d *Door) Close() { d.streams.close() }

// Refused counts a connection that a listener turned away.
func (d *Door) Refused() { d.metrics.refused.WithLabelValues("connections").Inc() }

var calls = sync.Pool{New: func() any { return new(call) }}

// ServeHTTP answers one request. There is one layer: what every request needs is done
// here, in the order in which it can be refused most cheaply.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.answer(d.router, w, r) }

func (d *Door) answer(router *mux.Router, w http.ResponseWriter, r *http.Request) {
	c := calls.Get().(*call)
	c.begin(d, w, r)
	d.metrics.inFlight.Inc()
	defer d.end(c, time.Now())

	if err := c.serve(router); err != nil {
		c.fail(err)
	}
}

// end is deferred: it also catches a panic of the handler.
func (d *Door) end(c *call, start time.Time) {
	p := recover()
	half := c.status != 0
	if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // the value itself is the signal
		d.metrics.panics.Inc()
		d.Log.Error("http handler panicked", "route", c.route.name(c.r.Method), "err", p, "stack", string(debug.Stack()))
		c.fail(errInternal)
	}
	d.metrics.inFlight.Dec()
	d.metrics.observe(c.route.name(c.r.Method), c.status, time.Since(start), c.hijacked)
	switch {
	case p == nil:
		c.recycle()
	case half:
		panic(http.ErrAbortHandler) // what went out must not look like a whole answer
	}
	// After a panic somebody may still hold the call: it is left to the collector.
}

func (c *call) serve(router *mux.Router) error {
	if len(c.r.RequestURI) > maxTarget {
		return &problem{Status: http.StatusRequestURITooLong, Code: "TARGET_TOO_LONG", Text: "the request target is too long"}
	}
	if err := c.door.hosts.check(c.r); err != nil {
		return err
	}
	if err := c.parseQuery(); err != nil {
		return err
	}
	var m mux.RouteMatch
	if router.Match(c.r, &m) {
		c.route, c.vars = m.Handler.(*route), m.Vars
	}
	if err := c.enter(c.needs()); err != nil {
		return err
	}
	if c.route == nil {
		return &problem{Status: http.StatusNotFound, Code: "NO_ROUTE", Text: "no such endpoint"}
	}
	v, ok := c.route.verbs[c.r.Method]
	if !ok {
		c.Header().Set("Allow", c.route.allow)
		return &problem{Status: http.StatusMethodNotAllowed, Code: "METHOD_NOT_ALLOWED", Text: "this endpoint does not take that method"}
	}
	if !v.read {
		c.door.Node.Beat()
		return v.serve(c)
	}
	stale, err := c.door.Node.Admit(c.context())
	if err != nil {
		return err
	}
	if stale {
		c.Header()["Memd-Stale"] = headerOne
	}
	return v.serve(c)
}

// fail answers with an error, unless an answer has begun.
func (c *call) fail(err error) {
	p := explain(err)
	if p.Status == statusClientGone && (c.r.Context().Err() == nil || c.door.streams.closing()) {
		p = &problem{Status: http.StatusServiceUnavailable, Code: "CANCELED", Text: "the request was given up", RetryAfter: 1}
	}
	if p.Status == http.StatusInternalServerError && !errors.Is(err, errInternal) {
		c.door.Log.Error("request failed", "route", c.route.name(c.r.Method), "err", err)
	}
	if c.status != 0 {
		return
	}
	p.write(c)
}
