package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/memd/memd/memory"
)

// Guide is what somebody asks who has just come.
type Guide interface {
	// Capabilities is the document of one of the schemas 1 to 3: what this node can do.
	Capabilities(ctx context.Context, schema int) (memory.Raw, error)
	// SessionStart returns the most important memories of a namespace, or of all ("").
	SessionStart(ctx context.Context, namespace string, limit int, opt ReadOptions) (Session, error)
}

// Session is what to know at the start of a session.
type Session struct {
	Memories  []Rendered // in the order of a list, without those of the standards
	Standards []Standard // that apply in the namespace, the most general first
}

const (
	defaultSession    = 10
	maxSession        = 50
	defaultCapability = 2
)

// capabilities looks for the first schema that it knows in Accept-Capabilities.
func (c *call) capabilities() error {
	schema := defaultCapability
	for _, want := range strings.FieldsFunc(strings.Join(c.r.Header["Accept-Capabilities"], ","), func(r rune) bool { return r == ',' || r == ' ' }) {
		if n, ok := memory.CapabilitySchema(want); ok {
			schema = n
			break
		}
	}
	doc, err := c.door.Node.Capabilities(c.context(), schema)
	if err != nil {
		return err
	}
	c.Header()["Vary"] = []string{"Accept-Capabilities"}
	return c.json(http.StatusOK, append(c.output(), doc...))
}

// sessionStart takes its arguments from a JSON object, or from nothing.
func (c *call) sessionStart() error {
	var in struct {
		Namespace *string     `json:"namespace"`
		Limit     *memory.Raw `json:"limit"`
	}
	body, err := c.optionalBody()
	if err != nil {
		return err
	}
	if body != nil {
		if err := memory.ParseJSON(body, &in); err != nil {
			return err
		}
	}
	namespace, limit := "", defaultSession
	if in.Namespace != nil && *in.Namespace != "" {
		namespace = *in.Namespace
		if err := memory.ValidateNamespace(namespace); err != nil {
			return err
		}
	}
	if in.Limit != nil && string(*in.Limit) != "null" {
		if limit, err = memory.ParseLimit("limit", string(*in.Limit), maxSession); err != nil {
			return err
		}
	}
	opt, err := c.readOptions()
	if err != nil {
		return err
	}
	res, err := c.door.Node.SessionStart(c.context(), namespace, limit, opt)
	if err != nil {
		return err
	}
	// The id is a handle for the client's own use: no node keeps anything of a session.
	var id [16]byte
	rand.Read(id[:]) // never fails
	b := append(c.output(), `{"session_id":"`...)
	b = hex.AppendEncode(b, id[:])
	b = append(b, `","mode":"session_start","memories":[`...)
	for i := range res.Memories {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, res.Memories[i].Body...)
	}
	b = append(b, `],"count":`...)
	b = strconv.AppendInt(b, int64(len(res.Memories)), 10)
	switch len(res.Standards) {
	case 0:
	case 1:
		b = append(b, `,"standard":`...)
		b = appendStandard(b, &res.Standards[0])
	default:
		b = append(b, `,"standards":`...)
		b = appendStandards(b, res.Standards)
	}
	return c.json(http.StatusOK, append(b, '}'))
}
