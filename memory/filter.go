package memory

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Filter selects memories for a list. Zero fields do not restrict; Limit is exact, 0 returns nothing.
type Filter struct {
	Namespace   string
	Tier        string
	Tag         string
	AgentID     string
	MinPriority int
	Since       time.Time // created_at at or after
	Until       time.Time // created_at at or before
	Limit       int
	Offset      int
}

// ParseFilter reads the query of a list (contract 2.2). An empty value is the same as none; a parameter given twice is an error.
func ParseFilter(q url.Values) (Filter, error) { return ParseFilterLimits(q, DefaultLimit, MaxLimit) }

// ParseFilterLimits is ParseFilter with the default and the greatest limit of another verb.
func ParseFilterLimits(q url.Values, defaultLimit, maxLimit int) (f Filter, err error) {
	p := params{q: q}
	f.Namespace, f.Tier, f.Tag, f.AgentID = p.text("namespace"), p.text("tier"), p.text("tags"), p.text("agent_id")
	f.MinPriority = p.number("min_priority", 0, math.MaxInt32, false)
	f.Limit = p.number("limit", defaultLimit, maxLimit, true)
	f.Offset = p.number("offset", 0, math.MaxInt, false)
	f.Since, f.Until = p.time("since"), p.time("until")
	if f.Namespace != "" {
		p.check(ValidateNamespace(f.Namespace))
	}
	if f.Tier != "" {
		p.check(checkTier("tier", f.Tier))
	}
	if f.Tag != "" {
		if len(f.Tag) > MaxTag {
			p.check(fieldErrorf("tags", "must have 1 to %d bytes", MaxTag))
		}
		p.check(checkText("tags", f.Tag))
	}
	if f.AgentID != "" {
		p.check(ValidateAgentID(f.AgentID))
	}
	if p.err != nil {
		return Filter{}, p.err
	}
	return f, nil
}

// Match tells whether a memory passes, paging and expiry aside.
func (f *Filter) Match(m *Memory) bool {
	switch {
	case f.Namespace != "" && f.Namespace != m.Namespace,
		f.Tier != "" && f.Tier != m.Tier,
		m.Priority < f.MinPriority,
		!f.Since.IsZero() && m.CreatedAt.Before(f.Since),
		!f.Until.IsZero() && m.CreatedAt.After(f.Until),
		f.Tag != "" && !slices.Contains(m.Tags, f.Tag):
		return false
	}
	return f.AgentID == "" || f.AgentID == m.Agent()
}

// ParseLimit reads one count such as a limit: only decimal digits; above the maximum it is clamped.
func ParseLimit(name, s string, maximum int) (int, error) {
	return parseCount(name, s, maximum, true)
}

func parseCount(name, s string, maximum int, clamp bool) (int, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, fieldErrorf(name, "must be a whole number, 0 or more")
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	switch {
	case s == "":
		return 0, fieldErrorf(name, "must be a whole number, 0 or more")
	case err == nil && n <= uint64(maximum):
		return int(n), nil
	case clamp:
		return maximum, nil
	default:
		return 0, fieldErrorf(name, "is too large")
	}
}

// params collects the first error of a query.
type params struct {
	q   url.Values
	err error
}

func (p *params) check(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *params) text(name string) string {
	switch vs := p.q[name]; len(vs) {
	case 0:
		return ""
	case 1:
		return vs[0]
	default:
		p.check(fieldErrorf(name, "is given more than once"))
		return ""
	}
}

func (p *params) number(name string, otherwise, maximum int, clamp bool) int {
	s := p.text(name)
	if s == "" {
		return otherwise
	}
	n, err := parseCount(name, s, maximum, clamp)
	p.check(err)
	return n
}

func (p *params) time(name string) time.Time {
	s := p.text(name)
	if s == "" {
		return time.Time{}
	}
	t, err := ParseQueryTime(name, s)
	p.check(err)
	return t
}

// ParseQueryTime is ParseTime for a query parameter, where a "+" that was not escaped has become a space.
func ParseQueryTime(name, s string) (time.Time, error) {
	if n := len(s) - 6; n > 0 && s[n] == ' ' {
		s = s[:n] + "+" + strings.TrimPrefix(s[n:], " ")
	}
	t, err := ParseTime(s)
	if err != nil {
		return time.Time{}, fieldErrorf(name, "%s", err)
	}
	return t, nil
}
