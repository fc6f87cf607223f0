package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
)

// Housekeeper knows what is worth keeping, and what is not.
type Housekeeper interface {
	// Promote makes a memory a lasting one: tier long, no expiry. Errors as Update.
	Promote(ctx context.Context, id string, opt WriteOptions) (Updated, error)
	// PromoteTo copies a memory into a namespace above its own and links the copy to it; a
	// copy that is there is left as it is. Errors as Update, and *memory.ConflictError if the
	// title is taken there.
	PromoteTo(ctx context.Context, id, namespace string, opt WriteOptions) (Ascended, error)
	// Forget deletes what a Selection means, some hundreds with every write: an error may
	// come when a part is deleted, and a repeated call goes on with the rest. With archiving
	// on, each is put aside first. Errors: *memory.FieldError.
	Forget(context.Context, Selection, WriteOptions) (Removed, error)
	// Consolidate puts one memory in the place of several, in one transaction of the store.
	// Errors: *memory.FieldError, ErrNotFound, ErrAmbiguous, *memory.ConflictError.
	Consolidate(context.Context, Consolidation, WriteOptions) (Consolidated, error)
	// Collect sweeps what has expired, as the node does by itself from time to time.
	Collect(context.Context, WriteOptions) (Removed, error)
}

// Ascended is the answer to PromoteTo.
type Ascended struct {
	SourceID  string
	CloneID   string
	Namespace string
	Existing  bool
	Dot       clock.Dot // of the link, which is written last
	Token     clock.Clock
	Acks      int
}

// Selection is what to forget: the memories with these ids, or those that pass all filters
// that are set. It is never empty.
type Selection struct {
	IDs       []string // at most memory.MaxBulk, each in full
	Namespace string   // exactly this one
	Pattern   string   // words that the memory has, all of them
	Tier      string
	DryRun    bool // count and leave them
}

// Removed counts what a verb took away.
type Removed struct {
	Count    int
	Archived int // of Count: put aside first
	Token    clock.Clock
	Acks     int // the least of all writes; 0 = there was none
}

// Consolidation makes one memory of several.
type Consolidation struct {
	IDs   []string // 2 to 100
	Draft memory.Draft
}

// Consolidated is the answer to Consolidate.
type Consolidated struct {
	Created
	Consolidated int // memories that it stands for
}

// promote does without a body. One that is JSON may say to_namespace, as the query may;
// anything else in it is ignored, as the original does.
func (c *call) promote() error {
	id, err := c.id()
	if err != nil {
		return err
	}
	to, err := c.one("to_namespace")
	if err != nil {
		return err
	}
	var body []byte
	if c.r.ContentLength != 0 && c.wantType("application/json") == nil {
		if body, err = c.jsonBody(); err != nil {
			return err
		}
		var in struct {
			To *string `json:"to_namespace"`
		}
		if err := memory.ParseJSON(body, &in); err != nil {
			return err
		}
		if in.To != nil && *in.To != "" {
			if to != "" && to != *in.To {
				return invalid("to_namespace", "is given twice, in the body and in the query")
			}
			to = *in.To
		}
	}
	opt, err := c.changeOptions(body)
	if err != nil {
		return err
	}
	if to != "" {
		return c.promoteTo(id, to, opt)
	}
	m, err := c.door.Node.Promote(c.context(), id, opt)
	if err != nil {
		return err
	}
	c.tag(m.Token)
	b := append(c.output(), `{"promoted":true,"mode":"tier","id":`...)
	b = memory.AppendString(b, m.ID)
	b = append(b, `,"tier":"long"`...)
	b = appendWrite(b, m.Dot, m.Acks, m.Token)
	return c.json(http.StatusOK, append(b, '}'))
}

func (c *call) promoteTo(id, ns string, opt WriteOptions) error {
	if err := memory.ValidateNamespace(ns); err != nil {
		return invalid("to_namespace", "is no namespace")
	}
	res, err := c.door.Node.PromoteTo(c.context(), id, ns, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"promoted":true,"mode":"vertical","source_id":`...)
	b = memory.AppendString(b, res.SourceID)
	b = append(b, `,"clone_id":`...)
	b = memory.AppendString(b, res.CloneID)
	b = append(b, `,"to_namespace":`...)
	b = memory.AppendString(b, res.Namespace)
	if res.Existing {
		b = append(b, `,"existing":true`...)
	}
	b = appendWrite(b, res.Dot, res.Acks, res.Token)
	return c.json(http.StatusOK, append(b, '}'))
}

// forgetOne is forget of one memory, by its id in full. A body is ignored.
func (c *call) forgetOne() error {
	res, err := writeOne(c, c.writeOptions, func(ctx context.Context, id string, opt WriteOptions) (Removed, error) {
		return c.door.Node.Forget(ctx, Selection{IDs: []string{id}}, opt)
	})
	if err != nil {
		return err
	}
	if res.Count == 0 {
		return memory.ErrNotFound
	}
	return c.forgot(res)
}

// forget takes its filters from the body or, if there is none, from the query.
func (c *call) forget() error {
	var in struct {
		IDs       *[]string `json:"ids"`
		Namespace *string   `json:"namespace"`
		Pattern   *string   `json:"pattern"`
		Tier      *string   `json:"tier"`
		DryRun    *bool     `json:"dry_run"`
	}
	body, err := c.optionalBody()
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if err := memory.ParseJSON(body, &in); err != nil {
			return err
		}
	}
	for name, to := range map[string]**string{"namespace": &in.Namespace, "pattern": &in.Pattern, "tier": &in.Tier} {
		s, err := c.one(name)
		if err != nil {
			return err
		}
		if s == "" {
			continue
		}
		if *to != nil && **to != s {
			return invalid(name, "is given twice, in the body and in the query")
		}
		*to = &s
	}
	s := Selection{Namespace: or(in.Namespace), Pattern: or(in.Pattern), Tier: or(in.Tier), DryRun: or(in.DryRun)}
	if !s.DryRun {
		if s.DryRun, err = c.flag("dry_run"); err != nil {
			return err
		}
	}
	if in.IDs != nil {
		s.IDs = *in.IDs
		if err := memory.ValidateIDs(s.IDs, 1, memory.MaxBulk); err != nil {
			return err
		}
	}
	if err := s.check(); err != nil {
		return err
	}
	opt, err := c.writeOptions(body)
	if err != nil {
		return err
	}
	res, err := c.door.Node.Forget(c.context(), s, opt)
	if err != nil {
		return err
	}
	if s.DryRun {
		b := append(c.output(), `{"would_delete":`...)
		b = strconv.AppendInt(b, int64(res.Count), 10)
		return c.json(http.StatusOK, append(b, `,"dry_run":true}`...))
	}
	return c.forgot(res)
}

func (c *call) forgot(res Removed) error {
	b := append(c.output(), `{"deleted":`...)
	b = strconv.AppendInt(b, int64(res.Count), 10)
	b = append(b, `,"archived":`...)
	b = strconv.AppendInt(b, int64(res.Archived), 10)
	b = appendWrite(b, clock.Dot{}, res.Acks, res.Token)
	return c.json(http.StatusOK, append(b, '}'))
}

// check refuses a selection that says nothing: it must never be read as "all".
func (s *Selection) check() error {
	filters := s.Namespace != "" || s.Tier != "" || strings.TrimSpace(s.Pattern) != ""
	switch {
	case s.IDs != nil && filters:
		return invalid("ids", "stand alone: give ids or filters")
	case s.IDs == nil && !filters:
		return invalid("body", "must name what to forget: ids, or at least one of namespace, pattern and tier")
	}
	if s.Namespace != "" {
		if err := memory.ValidateNamespace(s.Namespace); err != nil {
			return err
		}
	}
	if s.Tier != "" {
		if err := memory.ValidateTier(s.Tier); err != nil {
			return err
		}
	}
	return memory.ValidateQuery("pattern", s.Pattern)
}

func or[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// optionalBody is jsonBody for a verb that can do without one.
func (c *call) optionalBody() ([]byte, error) {
	if c.r.ContentLength == 0 {
		return nil, nil
	}
	return c.jsonBody()
}

func (c *call) consolidate() error {
	body, err := c.jsonBody()
	if err != nil {
		return err
	}
	var in struct {
		IDs       []string `json:"ids"`
		Title     *string  `json:"title"`
		Summary   *string  `json:"summary"`
		Namespace *string  `json:"namespace"`
		Tier      *string  `json:"tier"`
		AgentID   *string  `json:"agent_id"`
	}
	if err := memory.ParseJSON(body, &in); err != nil {
		return err
	}
	if err := memory.ValidateIDs(in.IDs, 2, memory.MaxConsolidated); err != nil {
		return err
	}
	switch {
	case in.Title == nil:
		return invalid("title", "is required")
	case in.Summary == nil || strings.TrimSpace(*in.Summary) == "":
		return invalid("summary", "is required")
	}
	opt, err := c.writeOptions(body)
	if err != nil {
		return err
	}
	res, err := c.door.Node.Consolidate(c.context(), Consolidation{IDs: in.IDs, Draft: memory.Draft{
		Title: in.Title, Content: in.Summary, Namespace: in.Namespace, Tier: in.Tier, AgentID: in.AgentID,
	}}, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"id":`...)
	b = memory.AppendString(b, res.ID)
	b = append(b, `,"consolidated":`...)
	b = strconv.AppendInt(b, int64(res.Consolidated), 10)
	if res.Existing {
		b = append(b, `,"existing":true`...)
	}
	b = appendWrite(b, res.Dot, res.Acks, res.Token)
	return c.json(http.StatusCreated, append(b, '}'))
}

func (c *call) collect() error {
	opt, err := c.writeOptions(nil)
	if err != nil {
		return err
	}
	res, err := c.door.Node.Collect(c.context(), opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"expired_deleted":`...)
	b = strconv.AppendInt(b, int64(res.Count), 10)
	b = appendWrite(b, clock.Dot{}, res.Acks, res.Token)
	return c.json(http.StatusOK, append(b, '}'))
}
