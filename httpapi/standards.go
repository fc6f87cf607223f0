package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// Standards are the verbs of namespaces. Errors beside those of every verb:
// *memory.FieldError, ErrNotFound.
type Standards interface {
	Namespaces(context.Context, ReadOptions) ([]NamespaceCount, error)
	// Standard is the zero value but for its Namespace if there is none, or its memory is
	// not shown any more.
	Standard(ctx context.Context, namespace string, opt ReadOptions) (Standard, error)
	// StandardChain is what applies in a namespace, the most general first.
	StandardChain(ctx context.Context, namespace string, opt ReadOptions) (StandardChain, error)
	SetStandard(context.Context, memory.StandardDraft, WriteOptions) (StandardSet, error)
	ClearStandard(ctx context.Context, namespace string, opt WriteOptions) (StandardCleared, error)
}

// Standard is what a namespace's standard says.
type Standard struct {
	Namespace  string
	ID         string // of the memory; "" = there is none
	Title      string
	Content    string
	Priority   int
	Parent     string     // "" = none
	Governance memory.Raw // nil = none
}

// StandardChain are the namespaces that stand above one, itself the last, and the
// standards that they have.
type StandardChain struct {
	Namespace string
	Chain     []string
	Standards []Standard
}

// StandardSet is the answer to SetStandard.
type StandardSet struct {
	Namespace  string
	ID         string
	Parent     string
	Governance memory.Raw

	Dot   clock.Dot
	Token clock.Clock // covers the write, the memory that was made for it included
	Acks  int
}

// StandardCleared is the answer to ClearStandard. Without Cleared nothing was written.
type StandardCleared struct {
	Cleared bool

	Dot   clock.Dot
	Token clock.Clock
	Acks  int
}

// namespace reads the namespace that the path names, else the query; "" = neither does.
func (c *call) namespace() (string, error) {
	ns, err := c.one("namespace")
	if err != nil {
		return "", err
	}
	if segment, ok := c.vars["ns"]; ok {
		if ns, err = url.PathUnescape(segment); err != nil {
			return "", invalid("namespace", "is not escaped properly")
		}
	} else if ns == "" {
		return "", nil
	}
	return ns, memory.ValidateNamespace(ns)
}

// namespaces is the list of all, or the standard of the one that is named.
func (c *call) namespaces() error {
	ns, err := c.namespace()
	if err != nil {
		return err
	}
	opt, err := c.readOptions()
	if err != nil {
		return err
	}
	if ns != "" {
		return c.standard(ns, opt)
	}
	list, err := c.door.Node.Namespaces(c.context(), opt)
	if err != nil {
		return err
	}
	return c.encode(struct {
		Namespaces []NamespaceCount `json:"namespaces"`
	}{list})
}

func (c *call) standard(ns string, opt ReadOptions) error {
	inherit, err := c.flag("inherit")
	if err != nil {
		return err
	}
	if !inherit {
		s, err := c.door.Node.Standard(c.context(), ns, opt)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, appendStandard(c.output(), &s))
	}
	res, err := c.door.Node.StandardChain(c.context(), ns, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"namespace":`...)
	b = memory.AppendString(b, res.Namespace)
	b = append(b, `,"chain":`...)
	b = appendStrings(b, res.Chain)
	b = append(b, `,"standards":`...)
	b = appendStandards(b, res.Standards)
	b = append(b, `,"count":`...)
	b = strconv.AppendInt(b, int64(len(res.Standards)), 10)
	return c.json(http.StatusOK, append(b, '}'))
}

func appendStandards(b []byte, list []Standard) []byte {
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendStandard(b, &list[i])
	}
	return append(b, ']')
}

func appendStandard(b []byte, s *Standard) []byte {
	b = append(b, `{"namespace":`...)
	b = memory.AppendString(b, s.Namespace)
	if s.ID == "" {
		return append(b, `,"standard_id":null}`...)
	}
	b = append(b, `,"standard_id":`...)
	b = memory.AppendString(b, s.ID)
	b = append(b, `,"title":`...)
	b = memory.AppendString(b, s.Title)
	b = append(b, `,"content":`...)
	b = memory.AppendString(b, s.Content)
	b = append(b, `,"priority":`...)
	b = strconv.AppendInt(b, int64(s.Priority), 10)
	b = appendParent(b, s.Parent, s.Governance)
	return append(b, '}')
}

func appendParent(b []byte, parent string, governance memory.Raw) []byte {
	b = append(b, `,"parent":`...)
	if parent == "" {
		b = append(b, `null`...)
	} else {
		b = memory.AppendString(b, parent)
	}
	b = append(b, `,"governance":`...)
	if governance == nil {
		return append(b, `null`...)
	}
	return append(b, governance...)
}

func (c *call) setStandard() error {
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	draft, err := memory.DecodeStandardDraft(body)
	if err != nil {
		return err
	}
	ns, err := c.namespace()
	switch {
	case err != nil:
		return err
	case draft.Namespace == "":
		draft.Namespace = ns
	case ns != "" && ns != draft.Namespace:
		return invalid("namespace", "is not the one of the path")
	}
	if draft.Namespace == "" {
		return invalid("namespace", "is required")
	}
	opt, err := c.writeOptions(body)
	if err != nil {
		return err
	}
	res, err := c.door.Node.SetStandard(c.context(), draft, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"set":true,"namespace":`...)
	b = memory.AppendString(b, res.Namespace)
	b = append(b, `,"standard_id":`...)
	b = memory.AppendString(b, res.ID)
	b = appendParent(b, res.Parent, res.Governance)
	b = appendWrite(b, res.Dot, res.Acks, res.Token)
	return c.json(http.StatusCreated, append(b, '}'))
}

func (c *call) clearStandard() error {
	ns, err := c.namespace()
	if err != nil {
		return err
	}
	if ns == "" {
		return invalid("namespace", "is required")
	}
	opt, err := c.writeOptions(nil)
	if err != nil {
		return err
	}
	res, err := c.door.Node.ClearStandard(c.context(), ns, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"cleared":`...)
	b = strconv.AppendBool(b, res.Cleared)
	b = append(b, `,"namespace":`...)
	b = memory.AppendString(b, ns)
	if res.Cleared {
		b = appendWrite(b, res.Dot, res.Acks, res.Token)
	}
	return c.json(http.StatusOK, append(b, '}'))
}
