package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/wire"
)

// verb is what a method of a route does. It is made with one of the functions below: a
// verb that does not say what its caller must be allowed to is refused to everybody.
type verb struct {
	read  bool // held, marked or refused after a pause
	scope auth.Scope
	form  func(*call) auth.Scope // instead of scope, if the form of the request decides
	serve func(*call) error
}

// read is for verbs that show memories, write for those that change them, needs for the rest.
func read(serve func(*call) error) verb  { return verb{read: true, scope: auth.Read, serve: serve} }
func write(serve func(*call) error) verb { return verb{scope: auth.Write, serve: serve} }
func needs(scope auth.Scope, serve func(*call) error) verb {
	return verb{scope: scope, serve: serve}
}
func byForm(form func(*call) auth.Scope, serve func(*call) error) verb {
	return verb{form: form, serve: serve}
}

type verbs map[string]verb

// route is one path template; mux finds it, the method is looked up here, because 405
// needs the Allow header that mux does not give.
type route struct {
	template string
	verbs    verbs
	allow    string
	public   bool              // answers to nobody in particular
	names    map[string]string // label of metrics and log by method
}

// otherRoute is the label of everything that no route takes.
const otherRoute = "other"

func (rt *route) name(method string) string {
	if rt == nil {
		return otherRoute
	}
	if name, ok := rt.names[method]; ok {
		return name
	}
	return rt.template
}

// ServeHTTP exists because mux wants a handler. It is never called: the door only lets
// the router match.
func (rt *route) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusInternalServerError)
}

func newRouter() (*mux.Router, func(string, verbs)) {
	r := mux.NewRouter().UseEncodedPath().SkipClean(true)
	return r, func(template string, v verbs) { r.Handle(template, newRoute(template, v)) }
}

// routes is the whole surface. Paths are matched as they were sent: an escaped slash
// stays a part of its segment, and nothing is cleaned or redirected.
func (d *Door) routes() *mux.Router {
	r, add := newRouter()

	// The hottest first: the router tries them in order.
	add("/api/v1/memories", verbs{
		http.MethodPost: write((*call).create),
		http.MethodGet:  read((*call).list),
	})
	add("/api/v1/memories/bulk", verbs{http.MethodPost: write((*call).createAll)})
	add("/api/v1/memories/{id}", verbs{
		http.MethodGet:    read((*call).get),
		http.MethodPut:    write((*call).update),
		http.MethodDelete: write((*call).delete),
	})
	add("/api/v1/memories/{id}/revisions", verbs{http.MethodGet: read((*call).revisions)})
	add("/api/v1/memories/{id}/promote", verbs{http.MethodPost: write((*call).promote)})
	add("/api/v1/memories/{id}/forget", verbs{http.MethodPost: write((*call).forgetOne)})
	add(wire.PathSince, verbs{
		http.MethodGet:  byForm(sinceScope, (*call).since),
		http.MethodPost: byForm(sinceScope, (*call).since),
	})
	add(wire.PathPush, verbs{http.MethodPost: byForm(pushScope, (*call).push)})
	add("/api/v1/writes/{origin}/{counter}", verbs{http.MethodGet: read((*call).writeStatus)})
	add("/api/v1/recall", verbs{http.MethodGet: read((*call).recall), http.MethodPost: read((*call).recall)})
	add("/api/v1/search", verbs{http.MethodGet: read((*call).search)})
	add("/api/v1/links", verbs{http.MethodPost: write((*call).link), http.MethodDelete: write((*call).unlink)})
	add("/api/v1/links/{id}", verbs{http.MethodGet: read((*call).links)})
	add("/api/v1/forget", verbs{http.MethodPost: write((*call).forget)})
	add("/api/v1/consolidate", verbs{http.MethodPost: write((*call).consolidate)})
	add("/api/v1/gc", verbs{http.MethodPost: write((*call).collect)})
	add("/api/v1/archive", verbs{
		http.MethodGet:    read((*call).archived),
		http.MethodPost:   write((*call).archive),
		http.MethodDelete: write((*call).purge),
	})
	add("/api/v1/archive/stats", verbs{http.MethodGet: read((*call).archiveStats)})
	add("/api/v1/archive/{id}", verbs{http.MethodDelete: write((*call).discard)})
	add("/api/v1/archive/{id}/restore", verbs{http.MethodPost: write((*call).restore)})
	add("/api/v1/export", verbs{http.MethodGet: read((*call).export)})
	add("/api/v1/import", verbs{http.MethodPost: write((*call).importAll)})
	add("/api/v1/namespaces", verbs{
		http.MethodGet:    read((*call).namespaces),
		http.MethodPost:   write((*call).setStandard),
		http.MethodDelete: write((*call).clearStandard),
	})
	add("/api/v1/namespaces/{ns}/standard", verbs{
		http.MethodGet:    read((*call).namespaces),
		http.MethodPost:   write((*call).setStandard),
		http.MethodDelete: write((*call).clearStandard),
	})
	add("/api/v1/agents", verbs{http.MethodGet: read((*call).agents), http.MethodPost: write((*call).registerAgent)})
	add("/api/v1/session/start", verbs{http.MethodPost: read((*call).sessionStart)})
	add("/api/v1/capabilities", verbs{http.MethodGet: needs(auth.Any, (*call).capabilities)})
	add("/api/v1/openapi.yaml", verbs{http.MethodGet: needs(auth.Any, (*call).openAPI)})
	add("/api/v1/stats", verbs{http.MethodGet: read((*call).stats)})
	add("/api/v1/cluster", verbs{http.MethodGet: needs(auth.Read, (*call).cluster)})
	add("/api/v1/members", verbs{http.MethodGet: needs(auth.Read, (*call).members)})
	add("/api/v1/members/{name}", verbs{
		http.MethodPut:    needs(auth.Admin, (*call).addMember),
		http.MethodDelete: needs(auth.Admin, (*call).removeMember),
	})
	add("/api/v1/keyring", verbs{
		http.MethodGet:  needs(auth.Admin, (*call).keyring),
		http.MethodPost: needs(auth.Admin, (*call).changeKeyring),
	})
	add(wire.PathKeyring, verbs{http.MethodPost: needs(auth.Peer, (*call).ownKeys)})
	add("/api/v1/doctor", verbs{http.MethodGet: needs(auth.Admin, (*call).doctor)})
	add("/api/v1/backup", verbs{http.MethodGet: needs(auth.Admin, (*call).backup)})
	add("/api/v1/health", verbs{http.MethodGet: needs(auth.Public, (*call).health)})
	add("/livez", verbs{http.MethodGet: needs(auth.Public, (*call).live)})
	add("/readyz", verbs{http.MethodGet: needs(auth.Public, (*call).ready)})
	if d.MCP != nil {
		add(PathMCP, verbs{
			http.MethodPost:   needs(auth.Any, (*call).mcp),
			http.MethodGet:    needs(auth.Any, (*call).mcp),
			http.MethodDelete: needs(auth.Any, (*call).mcp),
		})
	}
	if !d.AdminOnly {
		d.addMetrics(add)
	}
	return r
}

func (d *Door) addMetrics(add func(string, verbs)) {
	add("/metrics", verbs{http.MethodGet: byForm(metricsScope, (*call).metricsAll)})
	add("/api/v1/metrics", verbs{http.MethodGet: byForm(metricsScope, (*call).metricsOwn)})
}

func newRoute(template string, v verbs) *route {
	if get, ok := v[http.MethodGet]; ok {
		v[http.MethodHead] = get // the server drops the body
	}
	rt := &route{template: template, verbs: v, names: make(map[string]string)}
	var methods []string
	for m := range v {
		methods = append(methods, m)
		rt.public = rt.public || v[m].scope == auth.Public
		rt.names[m] = m + " " + template
	}
	if get, ok := rt.names[http.MethodGet]; ok {
		rt.names[http.MethodHead] = get
	}
	slices.Sort(methods)
	rt.allow = strings.Join(methods, ", ")
	return rt
}
