package mcpserver

import (
	"bytes"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/memd/memd/memory"
)

// args are the arguments of one call. Its readers keep the first error, so that a handler
// reads everything and then looks once. A null is the same as leaving an argument out:
// some models send one for every argument that they do not use.
type args struct {
	values map[string]memory.Raw
	err    error
}

// readArgs takes the object apart as strictly as the HTTP door does and refuses what the
// tool does not know: a misspelt filter must not become no filter.
func readArgs(raw []byte, t *tool) (*args, error) {
	a := &args{values: map[string]memory.Raw{}}
	if len(bytes.TrimSpace(raw)) > 0 && !bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		if err := memory.ParseJSON(raw, &a.values); err != nil {
			return nil, &memory.FieldError{Field: "arguments", Problem: strings.TrimPrefix(err.Error(), "body ")}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.values)) {
		switch {
		case isNull(a.values[name]), slices.Contains(ignored, name):
			delete(a.values, name)
		case t.aliases[name] != "":
			if _, both := a.values[t.aliases[name]]; both {
				return nil, invalid(name, "is another name of "+t.aliases[name]+": give one of them")
			}
			a.values[t.aliases[name]] = a.values[name]
			delete(a.values, name)
		case !slices.ContainsFunc(t.in, func(p property) bool { return p.name == name }):
			return nil, invalid("arguments", "has a name that "+t.name+" does not take; it takes "+strings.Join(t.names(), ", "))
		}
	}
	for _, p := range t.in {
		if _, ok := a.values[p.name]; p.required && !ok {
			return nil, invalid(p.name, "is required")
		}
	}
	return a, nil
}

// ignored are arguments of the original service that ask for another text form of the
// answer, or for what memd does not do. A client that sends them is served all the same.
var ignored = []string{"format", "context_tokens", "verbose", "include_schema", "family"}

func invalid(field, problem string) error { return &memory.FieldError{Field: field, Problem: problem} }

func isNull(v memory.Raw) bool { return string(v) == "null" }

func (a *args) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func read[T any](a *args, name, want string) (out T, ok bool) {
	v, ok := a.values[name]
	if !ok {
		return out, false
	}
	if err := memory.ParseJSON(v, &out); err != nil {
		a.fail(invalid(name, "must be "+want))
		return out, false
	}
	return out, true
}

func (a *args) text(name string) string {
	s, _ := read[string](a, name, "a string")
	return s
}

// filled is text that must have something in it.
func (a *args) filled(name string) string {
	s := a.text(name)
	if a.err == nil && strings.TrimSpace(s) == "" {
		a.fail(invalid(name, "must not be empty"))
	}
	return s
}

func (a *args) flag(name string) bool {
	b, _ := read[bool](a, name, "true or false")
	return b
}

// whole is a number from lo to hi; absent is def, and more than hi is hi, as over HTTP.
func (a *args) whole(name string, def, lo, hi int) int {
	n, ok := read[float64](a, name, "a whole number")
	switch {
	case !ok:
		return def
	case n != float64(int64(n)) || n < float64(lo):
		a.fail(invalid(name, "must be a whole number, "+strconv.Itoa(lo)+" or more"))
		return def
	}
	return int(min(n, float64(hi)))
}

func (a *args) texts(name string) []string {
	list, _ := read[[]string](a, name, "a list of strings")
	return list
}

// id is a memory's id or the prefix of one.
func (a *args) id(name string) string {
	s := a.text(name)
	if err := memory.ValidateID(s); err != nil && a.err == nil {
		a.fail(invalid(name, strings.TrimPrefix(err.Error(), "id ")))
	}
	return s
}

// tag is one exact tag; a list of one is taken, too.
func (a *args) tag() string {
	v := a.values["tags"]
	if len(v) == 0 || v[0] != '[' {
		return a.text("tags")
	}
	list := a.texts("tags")
	if len(list) > 1 {
		a.fail(invalid("tags", "must be one tag"))
	}
	return strings.Join(list, "")
}

// without is the object less some members, for the decoders of package memory.
func (a *args) without(names ...string) []byte {
	b := []byte{'{'}
	for _, name := range slices.Sorted(maps.Keys(a.values)) {
		if slices.Contains(names, name) {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = memory.AppendString(b, name)
		b = append(b, ':')
		b = append(b, a.values[name]...)
	}
	return append(b, '}')
}

// filter reads the arguments of a list as the query of the HTTP door.
func (a *args) filter(def, limit int) memory.Filter {
	q := url.Values{}
	for _, name := range []string{"namespace", "tier", "agent_id", "since", "until"} {
		if s := a.text(name); s != "" {
			q.Set(name, s)
		}
	}
	if s := a.tag(); s != "" {
		q.Set("tags", s)
	}
	for _, name := range []string{"limit", "offset", "min_priority"} {
		if v, ok := a.values[name]; ok {
			q.Set(name, string(v))
		}
	}
	f, err := memory.ParseFilterLimits(q, def, limit)
	if err != nil {
		a.fail(err)
	}
	return f
}

// query reads the arguments of a recall or a search.
func (a *args) query(text string, def, limit int) Query {
	q := Query{Text: a.filled(text)}
	if err := memory.ValidateQuery(text, q.Text); err != nil {
		a.fail(err)
	}
	f := a.filter(def, limit)
	q.Namespace, q.Tier, q.Tag, q.AgentID, q.Since, q.Until, q.Limit = f.Namespace, f.Tier, f.Tag, f.AgentID, f.Since, f.Until, f.Limit
	if q.AsAgent = a.text("as_agent"); q.AsAgent != "" {
		if err := memory.ValidateNamespace(q.AsAgent); err != nil {
			a.fail(invalid("as_agent", strings.TrimPrefix(err.Error(), "namespace ")))
		}
	}
	if _, ok := a.values["budget_tokens"]; ok {
		budget := a.whole("budget_tokens", 0, 0, 1<<30)
		q.Budget = &budget
	}
	return q
}

const maxKey = 256

// writeOptions reads what every changing tool takes.
func (a *args) writeOptions() WriteOptions {
	opt := WriteOptions{IdempotencyKey: a.text("idempotency_key"), Match: a.text("if_match"), After: a.text("after")}
	if _, ok := a.values["idempotency_key"]; ok {
		good := opt.IdempotencyKey != "" && len(opt.IdempotencyKey) <= maxKey
		for i := 0; good && i < len(opt.IdempotencyKey); i++ {
			good = opt.IdempotencyKey[i] >= ' ' && opt.IdempotencyKey[i] <= '~'
		}
		if !good {
			a.fail(invalid("idempotency_key", "must be 1 to 256 printable ASCII characters"))
		}
	}
	return opt
}

func (a *args) readOptions() ReadOptions { return ReadOptions{After: a.text("after")} }
