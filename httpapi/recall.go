package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/memd/memd/memory"
)

// Finder finds memories by their words. Without an index on this node both verbs are an
// ErrUnavailable of memory.
type Finder interface {
	// Recall returns what fits best: the more and the rarer words of the query a memory has,
	// the better. It counts as an access.
	Recall(context.Context, Query, ReadOptions) (Found, error)
	// Search returns memories that have every word of the query.
	Search(context.Context, Query, ReadOptions) (Found, error)
}

// Query is what to look for.
type Query struct {
	Text string
	// Filter restricts. For Recall a namespace below others stands for those above it, too.
	// Offset is of no use.
	Filter memory.Filter
	// AsAgent is the namespace of somebody who may see what its scope allows; "" sees all.
	AsAgent string
	// Budget is how many tokens the hits may cost, about; nil = no bound.
	Budget *int
}

// Found is the answer to a Query, the best first.
type Found struct {
	Hits []FoundMemory
	// Mode says what ranked the hits: "keyword", or "hybrid" where the nearness of meaning
	// counted as well.
	Mode string
	// Tokens is what the hits cost, about; Dropped are those that did not fit into the
	// budget, Overflow that the best one was among them.
	Tokens   int
	Dropped  int
	Overflow bool
	// Behind is set when the index had not reached what the token covers, or what was
	// stored before the request, within its patience.
	Behind bool
}

// FoundMemory is one hit.
type FoundMemory struct {
	Rendered
	Score float64
}

const (
	defaultRecall = 10
	maxRecall     = 50
)

// recall takes its arguments from the query or, posted, from a JSON object.
func (c *call) recall() error {
	q, err := c.recallQuery()
	if err != nil {
		return err
	}
	opt, err := c.readOptions()
	if err != nil {
		return err
	}
	res, err := c.door.Node.Recall(c.context(), q, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"memories":[`...)
	b = appendHits(b, res.Hits)
	b = append(b, `],"count":`...)
	b = strconv.AppendInt(b, int64(len(res.Hits)), 10)
	b = append(b, `,"tokens_used":`...)
	b = strconv.AppendInt(b, int64(res.Tokens), 10)
	b = append(b, `,"mode":`...)
	b = memory.AppendString(b, res.Mode)
	if q.Budget != nil {
		b = append(b, `,"budget_tokens":`...)
		b = strconv.AppendInt(b, int64(*q.Budget), 10)
		b = append(b, `,"meta":{"budget_tokens_used":`...)
		b = strconv.AppendInt(b, int64(res.Tokens), 10)
		b = append(b, `,"budget_tokens_remaining":`...)
		b = strconv.AppendInt(b, int64(max(*q.Budget-res.Tokens, 0)), 10)
		b = append(b, `,"memories_dropped":`...)
		b = strconv.AppendInt(b, int64(res.Dropped), 10)
		b = append(b, `,"budget_overflow":`...)
		b = strconv.AppendBool(b, res.Overflow)
		b = append(b, '}')
	}
	return c.found(b, res.Behind)
}

func (c *call) search() error {
	var q Query
	var err error
	if q.Text, err = c.queryText("q", "context"); err != nil {
		return err
	}
	if q.Filter, err = memory.ParseFilter(c.query); err != nil {
		return err
	}
	if q.AsAgent, err = c.asAgent(); err != nil {
		return err
	}
	opt, err := c.readOptions()
	if err != nil {
		return err
	}
	res, err := c.door.Node.Search(c.context(), q, opt)
	if err != nil {
		return err
	}
	b := append(c.output(), `{"results":[`...)
	b = appendHits(b, res.Hits)
	b = append(b, `],"count":`...)
	b = strconv.AppendInt(b, int64(len(res.Hits)), 10)
	b = append(b, `,"query":`...)
	b = memory.AppendString(b, q.Text)
	return c.found(b, res.Behind)
}

func (c *call) found(b []byte, behind bool) error {
	if behind {
		b = append(b, `,"index_behind":true`...)
	}
	return c.json(http.StatusOK, append(b, '}'))
}

func appendHits(b []byte, hits []FoundMemory) []byte {
	for i := range hits {
		if i > 0 {
			b = append(b, ',')
		}
		body := hits[i].Body
		b = append(b, body[:max(0, len(body)-1)]...)
		b = append(b, `,"score":`...)
		b = strconv.AppendFloat(b, hits[i].Score, 'f', 4, 64)
		b = append(b, '}')
	}
	return b
}

// queryText is the text to look for, under either of two names.
func (c *call) queryText(names ...string) (string, error) {
	for _, name := range names {
		s, err := c.one(name)
		if err != nil {
			return "", err
		}
		if s != "" {
			return s, memory.ValidateQuery(name, s)
		}
	}
	return "", invalid(names[0], "must be given: the words to look for")
}

func (c *call) asAgent() (string, error) {
	as, err := c.one("as_agent")
	if err != nil || as == "" {
		return "", err
	}
	if memory.ValidateNamespace(as) != nil {
		return "", invalid("as_agent", "must be a namespace")
	}
	return as, nil
}

func (c *call) recallQuery() (Query, error) {
	if c.r.Method == http.MethodPost {
		return c.postedRecall()
	}
	var q Query
	var err error
	if q.Text, err = c.queryText("context", "q"); err != nil {
		return q, err
	}
	if q.Filter, err = memory.ParseFilterLimits(c.query, defaultRecall, maxRecall); err != nil {
		return q, err
	}
	if q.AsAgent, err = c.asAgent(); err != nil {
		return q, err
	}
	budget, err := c.one("budget_tokens")
	if err != nil || budget == "" {
		return q, err
	}
	n, err := memory.ParseLimit("budget_tokens", budget, 1<<30)
	q.Budget = &n
	return q, err
}

// postedRecall puts the members of the body where the parameters of a GET would stand, so
// that both are read by the same rules.
func (c *call) postedRecall() (Query, error) {
	body, err := c.jsonBody()
	if err != nil {
		return Query{}, err
	}
	var in struct {
		Context     *string     `json:"context"`
		Q           *string     `json:"q"`
		Namespace   *string     `json:"namespace"`
		Limit       *memory.Raw `json:"limit"`
		Tags        *string     `json:"tags"`
		Tier        *string     `json:"tier"`
		AgentID     *string     `json:"agent_id"`
		MinPriority *memory.Raw `json:"min_priority"`
		Since       *string     `json:"since"`
		Until       *string     `json:"until"`
		AsAgent     *string     `json:"as_agent"`
		Budget      *memory.Raw `json:"budget_tokens"`
	}
	if err := memory.ParseJSON(body, &in); err != nil {
		return Query{}, err
	}
	saved := c.query
	defer func() { c.query = saved }()
	c.query = make(map[string][]string)
	for name, v := range map[string]*string{
		"context": in.Context, "q": in.Q, "namespace": in.Namespace, "tags": in.Tags, "tier": in.Tier, "agent_id": in.AgentID,
		"since": in.Since, "until": in.Until, "as_agent": in.AsAgent,
	} {
		if v != nil {
			c.query[name] = []string{*v}
		}
	}
	for name, v := range map[string]*memory.Raw{"limit": in.Limit, "min_priority": in.MinPriority, "budget_tokens": in.Budget} {
		if v != nil && string(*v) != "null" {
			c.query[name] = []string{string(*v)}
		}
	}
	get := *c.r
	get.Method = http.MethodGet
	posted := c.r
	c.r = &get
	defer func() { c.r = posted }()
	return c.recallQuery()
}
