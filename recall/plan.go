package recall

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// plan says what to look for, the narrow step first: what the next one finds in addition
// fits less well. None = nothing can be found.
func (v *view) plan(ctx context.Context, q Query) ([]step, error) {
	if v.docs == 0 {
		return nil, nil
	}
	d := dictionary{view: v, exact: q.All}
	ws, err := d.words(ctx, q.Text)
	if err != nil || len(ws) == 0 {
		return nil, err
	}
	restricted, err := d.restrict(&q.Restriction)
	if err != nil {
		return nil, err
	}
	must, err := d.quoted(q.Text)
	if err != nil {
		return nil, err
	}
	must = append(restricted, must...)
	known := ws[:0]
	for _, w := range ws {
		switch {
		case len(w.forms) > 0:
			known = append(known, w)
		case q.All:
			return nil, nil // nobody has it
		}
	}
	if len(known) == 0 {
		return nil, nil
	}
	if q.All {
		return []step{{append(allOf(must), each(known)...), [][]word{known}}}, nil
	}
	var out []step
	which, groups := choose(known, v.docs)
	for _, which := range which {
		out = append(out, step{append(allOf(slices.Clip(must)), which), groups}) // each has its own
	}
	return out, nil
}

// commonShare is in how many of all memories a word is common: it says little, and there
// are many to look at.
const (
	commonShare = 100 // one in so many
	commonLeast = 500
)

// choose asks first for those that have one of the rare words at least: there are few, and
// the common ones only count. If all are common, for those that have all of them.
func choose(ws []word, docs uint64) ([]clause, [][]word) {
	limit := max(docs/commonShare, commonLeast)
	var rare, common []word
	for _, w := range ws {
		if w.count <= limit {
			rare = append(rare, w)
		} else {
			common = append(common, w)
		}
	}
	switch {
	case len(common) == 0 || len(ws) == 1:
		return []clause{anyOf(each(ws))}, [][]word{ws}
	case len(rare) == 0:
		return []clause{allOf(each(common)), anyOf(each(ws))}, [][]word{ws}
	}
	return []clause{anyOf(each(rare)), anyOf(each(ws))}, [][]word{rare, common}
}

func each(ws []word) []clause {
	out := make([]clause, len(ws))
	for i, w := range ws {
		out[i] = w
	}
	return out
}

// restrict makes the clauses of a restriction.
func (d dictionary) restrict(r *Restriction) ([]clause, error) {
	var out []clause
	add := func(field string, texts ...string) error {
		c, err := d.anyOf(field, texts)
		out = append(out, c)
		return err
	}
	for _, one := range []struct{ field, text string }{{fieldTier, r.Tier}, {fieldAgent, r.Agent}, {fieldTag, foldAll([]string{r.Tag})[0]}} {
		if one.text != "" {
			if err := add(one.field, one.text); err != nil {
				return nil, err
			}
		}
	}
	if len(r.Namespaces) > 0 {
		if err := add(fieldNS, r.Namespaces...); err != nil {
			return nil, err
		}
	}
	if r.MinPriority > 1 {
		var levels []string
		for p := r.MinPriority; p <= maxPriority; p++ {
			levels = append(levels, strconv.Itoa(p))
		}
		if err := add(fieldPriority, levels...); err != nil {
			return nil, err
		}
	}
	if r.As != "" {
		c, err := d.visibleFor(r.As)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	days, err := d.days(r.Since, r.Until)
	if err != nil || days == nil {
		return out, err
	}
	return append(out, days), nil
}

const maxPriority = 10

// anyOf means the memories with one of these texts in a field.
func (d dictionary) anyOf(field string, texts []string) (anyOf, error) {
	out := make(anyOf, len(texts))
	for i, text := range texts {
		l, err := d.list(field, text)
		if err != nil {
			return nil, err
		}
		out[i] = l
	}
	return out, nil
}

// visibleFor is Visible as a clause.
func (d dictionary) visibleFor(as string) (clause, error) {
	out, err := d.anyOf(fieldScope, []string{"collective"})
	if err != nil {
		return nil, err
	}
	both := func(scope, field, ns string) error {
		s, err := d.list(fieldScope, scope)
		if err != nil {
			return err
		}
		n, err := d.list(field, ns)
		out = append(out, allOf{s, n})
		return err
	}
	if err := both("private", fieldNS, as); err != nil {
		return nil, err
	}
	for scope, levels := range scopeLevels {
		if err := both(scope, fieldBelow, ancestor(as, levels)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// maxDays is how many days a period may have to be looked up by day; a longer one is left
// to whoever reads the memories.
const maxDays = 400

// days means those that were created in a period; nil = not restricted.
func (d dictionary) days(since, until time.Time) (clause, error) {
	if since.IsZero() && until.IsZero() {
		return nil, nil
	}
	from, to := "0000", "9999"
	if !since.IsZero() {
		from = day(since)
	}
	if !until.IsZero() {
		to = day(until)
	}
	list, err := d.between(fieldDay, from, to, maxDays+1)
	if err != nil || len(list) > maxDays {
		return nil, err
	}
	return d.anyOf(fieldDay, list)
}
