package mcpserver

import (
	"context"
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/memory"
)

// tool is one tool: what it is called, takes and gives, and what it does.
type tool struct {
	name, title, about string
	kind               kind
	in                 []property
	aliases            map[string]string // other names of arguments, said nowhere
	out                []property
	run                func(*Server, context.Context, *request) (answer, error)
}

// kind decides the four annotations.
type kind int

const (
	reads   kind = iota + 1 // changes nothing
	adds                    // destroys nothing; repeated, it changes nothing more
	changes                 // may replace or remove what was there; repeated, it changes nothing more
)

// scope is what the caller's key must be for.
func (t *tool) scope() auth.Scope {
	switch t.kind {
	case reads:
		return auth.Read
	case adds, changes:
		return auth.Write
	}
	return auth.Undeclared
}

// property is one member of a schema. Schemas are written by hand: what is inferred from
// Go types has null unions, which some models' dialects refuse, and costs twice as much.
type property struct {
	name     string
	schema   string // JSON
	required bool
}

func (p property) must() property { p.required = true; return p }

func (t *tool) names() []string {
	out := make([]string, len(t.in))
	for i, p := range t.in {
		out[i] = p.name
	}
	return out
}

func (t *tool) declare() *mcp.Tool {
	destructive, closed := t.kind == changes, false
	return &mcp.Tool{
		Name: t.name, Title: t.title, Description: t.about,
		Annotations: &mcp.ToolAnnotations{
			ReadOnlyHint: t.kind == reads, DestructiveHint: &destructive, IdempotentHint: true, OpenWorldHint: &closed,
		},
		InputSchema:  json.RawMessage(object(t.in, true)),
		OutputSchema: json.RawMessage(object(t.out, false)),
	}
}

// object is the schema of an object. A closed one has no other members; an answer is left
// open, so that a newer node may say more.
func object(properties []property, closed bool) string {
	props, required := []byte{'{'}, []byte{}
	for i, p := range properties {
		if i > 0 {
			props = append(props, ',')
		}
		props = memory.AppendString(props, p.name)
		props = append(props, ':')
		props = append(props, p.schema...)
		if p.required {
			if len(required) > 0 {
				required = append(required, ',')
			}
			required = memory.AppendString(required, p.name)
		}
	}
	s := `{"type":"object","properties":` + string(props) + `}`
	if len(required) > 0 {
		s += `,"required":[` + string(required) + `]`
	}
	if closed {
		s += `,"additionalProperties":false`
	}
	return s + "}"
}

// The makers of schemas; more is added behind the type as it is.
func typed(kind, about, more string) string {
	s := `{"type":"` + kind + `"` + more
	if about != "" {
		s += `,"description":` + string(memory.AppendString(nil, about))
	}
	return s + "}"
}

func text(name, about string) property {
	return property{name: name, schema: typed("string", about, "")}
}
func flag(name, about string) property {
	return property{name: name, schema: typed("boolean", about, "")}
}
func whole(name, about string) property {
	return property{name: name, schema: typed("integer", about, "")}
}
func number(name, about string) property {
	return property{name: name, schema: typed("number", about, "")}
}
func anyJSON(name, about string) property {
	return property{name: name, schema: typed("object", about, "")}
}

func oneOf(name, about, values string) property {
	return property{name: name, schema: typed("string", about, `,"enum":[`+values+`]`)}
}

func ranged(name, kind, about, bounds string) property {
	return property{name: name, schema: typed(kind, about, ","+bounds)}
}

func texts(name, about string) property {
	return property{name: name, schema: typed("array", about, `,"items":{"type":"string"}`)}
}

func list(name string, of []property) property {
	return property{name: name, schema: typed("array", "", `,"items":`+object(of, false))}
}

func nested(name string, of []property) property {
	return property{name: name, schema: object(of, false)}
}
