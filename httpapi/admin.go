package httpapi

import (
	"net/http"
	"net/http/pprof" //nolint:gosec // its handlers are served on the admin address only, below
	"time"

	"github.com/gorilla/mux"

	"github.com/memd/memd/auth"
)

// Admin is the handler of an address of its own for metrics, profiles and health, with the
// same checks in front of it as the door.
func (d *Door) Admin() http.Handler { return adminDoor{d, d.adminRoutes()} }

type adminDoor struct {
	door   *Door
	router *mux.Router
}

func (a adminDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.door.answer(a.router, w, r)
}

func (d *Door) adminRoutes() *mux.Router {
	r, add := newRouter()
	d.addMetrics(add)
	add("/api/v1/health", verbs{http.MethodGet: needs(auth.Public, (*call).health)})
	add("/livez", verbs{http.MethodGet: needs(auth.Public, (*call).live)})
	add("/readyz", verbs{http.MethodGet: needs(auth.Public, (*call).ready)})
	// Not cmdline, which shows the flags, and a key may be among them.
	add("/debug/pprof/", verbs{http.MethodGet: byForm(profileScope, profile(pprof.Index))})
	add("/debug/pprof/profile", verbs{http.MethodGet: byForm(profileScope, profile(pprof.Profile))})
	add("/debug/pprof/trace", verbs{http.MethodGet: byForm(profileScope, profile(pprof.Trace))})
	for _, name := range []string{"goroutine", "heap", "allocs", "threadcreate", "block", "mutex"} {
		add("/debug/pprof/"+name, verbs{http.MethodGet: byForm(profileScope, profile(pprof.Handler(name).ServeHTTP))})
	}
	return r
}

// One profile at a time: each costs the whole process.
var profiling = make(chan struct{}, 1)

func profile(h http.HandlerFunc) func(*call) error {
	return func(c *call) error {
		select {
		case profiling <- struct{}{}:
			defer func() { <-profiling }()
		case <-time.After(time.Second):
			return &problem{Status: http.StatusTooManyRequests, Code: "BUSY", Text: "another profile is being taken", RetryAfter: 5}
		}
		h(c, c.r)
		return nil
	}
}
