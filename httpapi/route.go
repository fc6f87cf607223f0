package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/memd/memd/wire"
)

// verb is what a method of a route does.
type verb struct {
	read  bool // held, marked or refused after a pause
	serve func(*call) error
}

func read(serve func(*call) error) verb  { return verb{true, serve} }
func plain(serve func(*call) error) verb { return verb{false, serve} }

type verbs map[string]verb

// route is one path template; mux finds it, the method is looked up here, because 405
// needs the Allow header that mux does not give.
type route struct {
	template string
	verbs    verbs
	allow    string
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

// routes is the whole surface. Paths are matched as they were sent: an escaped slash
// stays a part of its segment, and nothing is cleaned or redirected.
func (d *Door) routes() *mux.Router {
	r := mux.NewRouter().UseEncodedPath().SkipClean(true)
	add := func(template string, v verbs) { r.Handle(template, newRoute(template, v)) }

	// The hottest first: the router tries them in order.
	add("/api/v1/memories", verbs{
		http.MethodPost: plain((*call).create),
		http.MethodGet:  read((*call).list),
	})
	add("/api/v1/memories/bulk", verbs{http.MethodPost: plain((*call).createAll)})
	add("/api/v1/memories/{id}", verbs{
		http.MethodGet:    read((*call).get),
		http.MethodPut:    plain((*call).update),
		http.MethodDelete: plain((*call).delete),
	})
	add("/api/v1/memories/{id}/revisions", verbs{http.MethodGet: read((*call).revisions)})
	add(wire.PathSince, verbs{
		http.MethodGet:  plain((*call).since),
		http.MethodPost: plain((*call).since),
	})
	add(wire.PathPush, verbs{http.MethodPost: plain((*call).push)})
	add("/api/v1/writes/{origin}/{counter}", verbs{http.MethodGet: read((*call).writeStatus)})
	add("/api/v1/recall", verbs{http.MethodGet: read((*call).recall), http.MethodPost: read((*call).recall)})
	add("/api/v1/search", verbs{http.MethodGet: read((*call).search)})
	add("/api/v1/export", verbs{http.MethodGet: read((*call).export)})
	add("/api/v1/import", verbs{http.MethodPost: plain((*call).importAll)})
	add("/api/v1/namespaces", verbs{
		http.MethodGet:    read((*call).namespaces),
		http.MethodPost:   plain((*call).setStandard),
		http.MethodDelete: plain((*call).clearStandard),
	})
	add("/api/v1/namespaces/{ns}/standard", verbs{
		http.MethodGet:    read((*call).namespaces),
		http.MethodPost:   plain((*call).setStandard),
		http.MethodDelete: plain((*call).clearStandard),
	})
	add("/api/v1/agents", verbs{http.MethodGet: read((*call).agents), http.MethodPost: plain((*call).registerAgent)})
	add("/api/v1/session/start", verbs{http.MethodPost: read((*call).sessionStart)})
	add("/api/v1/capabilities", verbs{http.MethodGet: plain((*call).capabilities)})
	add("/api/v1/stats", verbs{http.MethodGet: read((*call).stats)})
	add("/api/v1/cluster", verbs{http.MethodGet: plain((*call).cluster)})
	add("/api/v1/members", verbs{http.MethodGet: plain((*call).members)})
	add("/api/v1/members/{name}", verbs{
		http.MethodPut:    plain((*call).addMember),
		http.MethodDelete: plain((*call).removeMember),
	})
	add("/api/v1/health", verbs{http.MethodGet: plain((*call).health)})
	add("/livez", verbs{http.MethodGet: plain((*call).live)})
	add("/readyz", verbs{http.MethodGet: plain((*call).ready)})
	if d.MCP != nil {
		add(PathMCP, verbs{
			http.MethodPost:   plain((*call).mcp),
			http.MethodGet:    plain((*call).mcp),
			http.MethodDelete: plain((*call).mcp),
		})
	}
	add("/metrics", verbs{http.MethodGet: plain((*call).metricsAll)})
	add("/api/v1/metrics", verbs{http.MethodGet: plain((*call).metricsOwn)})
	return r
}

func newRoute(template string, v verbs) *route {
	if get, ok := v[http.MethodGet]; ok {
		v[http.MethodHead] = get // the server drops the body
	}
	rt := &route{template: template, verbs: v, names: make(map[string]string)}
	var methods []string
	for m := range v {
		methods = append(methods, m)
		rt.names[m] = m + " " + template
	}
	if get, ok := rt.names[http.MethodGet]; ok {
		rt.names[http.MethodHead] = get
	}
	slices.Sort(methods)
	rt.allow = strings.Join(methods, ", ")
	return rt
}
