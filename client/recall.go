package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/memd/memd/memory"
)

// ErrNoIndex is that of package memory: the servers that were asked keep no index.
var ErrNoIndex = memory.ErrNoIndex

// Query is what to look for. Text is required.
type Query struct {
	Text string
	// Filter restricts; a Limit of 0 is the server's default. For Recall a namespace below
	// others stands for those above it, too.
	Filter memory.Filter
	// AsAgent is the namespace of somebody who may see what its scope allows; "" sees all.
	AsAgent string
	// Budget is how many tokens the hits may cost, about; nil = no bound. Only Recall.
	Budget *int
}

// Hit is a memory that was found, and how well it fits: to be compared within one answer.
type Hit struct {
	Memory
	Score float64 `json:"score"`
}

// Recalled is the answer to Recall and Search, the best hit first.
type Recalled struct {
	Hits []Hit
	// Mode is what ranked them, "keyword" or "hybrid"; "" for Search.
	Mode string
	// TokensUsed is what the hits cost, about; Dropped are those that did not fit into the
	// budget, Overflow that the best one was among them.
	TokensUsed int
	Dropped    int
	Overflow   bool
	// Behind is set when the server's index had not reached what was stored before the
	// call: the latest memories may be missing.
	Behind bool
	// Stale is that of Memory.
	Stale bool
}

// Recall returns what fits best: the more and the rarer words of the text a memory has,
// the better. Errors: *memory.FieldError, *BehindError, ErrNoIndex, memory.ErrUnavailable.
func (c *Client) Recall(ctx context.Context, q Query, opt ReadOptions) (*Recalled, error) {
	v := q.values("context", opt)
	if q.Budget != nil {
		v.Set("budget_tokens", strconv.Itoa(*q.Budget))
	}
	return c.find(ctx, "/api/v1/recall", v)
}

// Search returns memories that have every word of the text. Errors as Recall.
func (c *Client) Search(ctx context.Context, q Query, opt ReadOptions) (*Recalled, error) {
	return c.find(ctx, "/api/v1/search", q.values("q", opt))
}

func (c *Client) find(ctx context.Context, path string, q url.Values) (*Recalled, error) {
	res, err := c.do(ctx, request{method: http.MethodGet, path: path, query: q})
	if err != nil {
		return nil, err
	}
	body, err := decode[struct {
		Memories []Hit  `json:"memories"`
		Results  []Hit  `json:"results"`
		Mode     string `json:"mode"`
		Tokens   int    `json:"tokens_used"`
		Behind   bool   `json:"index_behind"`
		Meta     struct {
			Dropped  int  `json:"memories_dropped"`
			Overflow bool `json:"budget_overflow"`
		} `json:"meta"`
	}](res)
	if err != nil {
		return nil, err
	}
	out := &Recalled{
		Hits: append(body.Memories, body.Results...), Mode: body.Mode, TokensUsed: body.Tokens,
		Dropped: body.Meta.Dropped, Overflow: body.Meta.Overflow, Behind: body.Behind, Stale: stale(res),
	}
	for i := range out.Hits {
		out.Hits[i].Stale = out.Stale
	}
	return out, nil
}

func (q Query) values(text string, opt ReadOptions) url.Values {
	v := opt.values()
	setFilter(v, q.Filter)
	v.Set(text, q.Text)
	if q.AsAgent != "" {
		v.Set("as_agent", q.AsAgent)
	}
	return v
}

// setFilter puts what restricts into the query.
func setFilter(q url.Values, f memory.Filter) {
	set := func(name, value string) {
		if value != "" && value != "0" {
			q.Set(name, value)
		}
	}
	moment := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return memory.FormatTime(t)
	}
	set("namespace", f.Namespace)
	set("tier", f.Tier)
	set("tags", f.Tag)
	set("agent_id", f.AgentID)
	set("min_priority", strconv.Itoa(f.MinPriority))
	set("since", moment(f.Since))
	set("until", moment(f.Until))
	set("limit", strconv.Itoa(f.Limit))
	set("offset", strconv.Itoa(f.Offset))
}
