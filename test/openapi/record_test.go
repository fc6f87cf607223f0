package openapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// recorder sends requests, holds them and their answers against the document, and keeps
// what was seen.
type recorder struct {
	t    *testing.T
	doc  *openapi3.T
	base string
	seen map[string]map[int]bool // "METHOD /path/{template}" to statuses
}

// ask is one request: the template with its values, and the rest.
type ask struct {
	method, path string
	vars         map[string]string
	query        url.Values
	header       http.Header
	media, body  string // "" media = JSON if there is a body
	// bad is set for a request that the document itself forbids.
	bad bool
}

type got struct {
	status int
	header http.Header
	body   []byte
}

var validation = &openapi3filter.Options{
	AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true,
}

// do fails the test unless the answer has one of the statuses and everything is as the
// document says.
func (r *recorder) do(a ask, want ...int) got {
	r.t.Helper()
	item := r.doc.Paths.Value(a.path)
	if item == nil || item.GetOperation(a.method) == nil {
		r.t.Fatalf("%s %s is not in the document", a.method, a.path)
	}
	op := item.GetOperation(a.method)
	target := a.path
	for name, value := range a.vars {
		target = strings.ReplaceAll(target, "{"+name+"}", url.PathEscape(value))
	}
	if len(a.query) > 0 {
		target += "?" + a.query.Encode()
	}
	req, err := http.NewRequestWithContext(r.t.Context(), a.method, r.base+target, strings.NewReader(a.body))
	if err != nil {
		r.t.Fatal(err)
	}
	if a.header != nil {
		req.Header = a.header.Clone()
	}
	if a.body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	} else if a.media == "" {
		a.media = "application/json"
	}
	if a.media != "" {
		req.Header.Set("Content-Type", a.media)
	}
	name := a.method + " " + target
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: a.vars, Options: validation,
		Route: &routers.Route{Spec: r.doc, Path: a.path, PathItem: item, Method: a.method, Operation: op},
	}
	// It is read by the validation, so it gets a copy.
	checked := req.Clone(r.t.Context())
	checked.Body = io.NopCloser(strings.NewReader(a.body))
	in.Request = checked
	if err := openapi3filter.ValidateRequest(r.t.Context(), in); (err != nil) != a.bad {
		r.t.Errorf("%s %.200s: forbidden by the document: %t, %s", name, a.body, err != nil, short(err))
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	defer resp.Body.Close()
	g := got{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		if g.body, err = io.ReadAll(resp.Body); err != nil {
			r.t.Fatalf("%s: %v", name, err)
		}
	}
	if !slices.Contains(want, g.status) {
		r.t.Fatalf("%s %.200s: %d %.400s, want %v", name, a.body, g.status, g.body, want)
	}
	r.answer(name, in, g)
	key := a.method + " " + a.path
	if r.seen[key] == nil {
		r.seen[key] = map[int]bool{}
	}
	r.seen[key][g.status] = true
	return g
}

// short is an error without the schemas and values that it quotes in full.
func short(err error) string {
	var many openapi3.MultiError
	var schema *openapi3.SchemaError
	switch {
	case err == nil:
		return "no error"
	case errors.As(err, &many):
		var all []string
		for _, e := range many {
			all = append(all, short(e))
		}
		return strings.Join(all, "; ")
	case errors.As(err, &schema):
		text := "/" + strings.Join(schema.JSONPointer(), "/") + ": " + schema.Reason
		if schema.Origin != nil {
			text += " (" + short(schema.Origin) + ")"
		}
		return text
	}
	return err.Error()
}

func (r *recorder) answer(name string, in *openapi3filter.RequestValidationInput, g got) {
	r.t.Helper()
	declared := in.Route.Operation.Responses.Status(g.status)
	if declared == nil {
		declared = in.Route.Operation.Responses.Default()
	}
	if declared != nil && declared.Value != nil && len(declared.Value.Content) == 0 {
		return // nothing is said of its body
	}
	err := openapi3filter.ValidateResponse(context.WithoutCancel(r.t.Context()), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: g.status, Header: g.header, Body: io.NopCloser(bytes.NewReader(g.body)), Options: validation,
	})
	if err != nil {
		r.t.Errorf("%s: %d %.600s is not what the document says: %s", name, g.status, g.body, short(err))
	}
}

// load reads the document and closes what answers are made of: a member that it does not
// list fails the test, unless it says that there may be others.
func load(t *testing.T, b []byte) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, response := range op.Responses.Map() {
				for _, media := range response.Value.Content {
					closeSchema(media.Schema, map[*openapi3.Schema]bool{})
				}
			}
		}
	}
	return doc
}

func closeSchema(ref *openapi3.SchemaRef, done map[*openapi3.Schema]bool) {
	if ref == nil || ref.Value == nil || done[ref.Value] {
		return
	}
	s := ref.Value
	done[s] = true
	if len(s.Properties) > 0 && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
		no := false
		s.AdditionalProperties.Has = &no
	}
	for _, p := range s.Properties {
		closeSchema(p, done)
	}
	closeSchema(s.Items, done)
	closeSchema(s.AdditionalProperties.Schema, done)
	for _, list := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf, s.AllOf} {
		for _, x := range list {
			closeSchema(x, done)
		}
	}
}

// needFault are statuses that only a fault of the mesh or of the network brings.
var needFault = []int{410, 429, 503}

// complete fails unless everything that the document declares was seen.
func (r *recorder) complete() {
	r.t.Helper()
	for path, item := range r.doc.Paths.Map() {
		for method, op := range item.Operations() {
			key := method + " " + path
			if len(r.seen[key]) == 0 {
				r.t.Errorf("%s was not called", key)
				continue
			}
			for status := range op.Responses.Map() {
				var n int
				if _, err := fmt.Sscan(status, &n); err != nil || slices.Contains(needFault, n) {
					continue // default
				}
				if !r.seen[key][n] {
					r.t.Errorf("%s was not seen to answer %d", key, n)
				}
			}
		}
	}
}
