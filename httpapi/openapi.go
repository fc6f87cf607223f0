package httpapi

import (
	_ "embed"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
)

// openAPI describes the whole surface. test/openapi holds requests and answers of a node
// against it, and it against Routes.
//
//go:embed openapi.yaml
var openAPI []byte

var headerYAML = []string{"application/yaml"}

func (c *call) openAPI() error {
	c.Header()["Content-Type"] = headerYAML
	_, _ = c.Write(openAPI) // the client is gone: there is nobody to tell
	return nil
}

// Route is one endpoint: a method and a path template, and what a key must be for; "form"
// where that depends on the form of the request.
type Route struct{ Method, Path, Scope string }

// Routes are the endpoints of the door, by path and method. HEAD, which is there wherever
// GET is, is left out.
func (d *Door) Routes() []Route {
	var out []Route
	_ = d.router.Walk(func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error { // the function has no error
		rt, ok := r.GetHandler().(*route)
		if !ok {
			return nil
		}
		for method, v := range rt.verbs {
			scope := v.scope.String()
			if v.form != nil {
				scope = "form"
			}
			if method != http.MethodHead {
				out = append(out, Route{method, rt.template, scope})
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Route) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	return out
}
