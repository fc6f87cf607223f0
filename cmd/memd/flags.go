package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/memd/memd/client"
)

// optional is a flag that may be left out, which is another thing than its zero value.
type optional[T any] struct {
	value *T
	kind  string
	parse func(string) (T, error)
}

func (o *optional[T]) Type() string { return o.kind }

func (o *optional[T]) String() string {
	if o.value == nil {
		return ""
	}
	return fmt.Sprint(*o.value)
}

func (o *optional[T]) Set(s string) error {
	v, err := o.parse(s)
	if err != nil {
		return err
	}
	o.value = &v
	return nil
}

// or is the value, or the zero value if the flag was left out.
func (o *optional[T]) or() (v T) {
	if o.value != nil {
		v = *o.value
	}
	return v
}

func text() optional[string] {
	return optional[string]{kind: "string", parse: func(s string) (string, error) { return s, nil }}
}

func number() optional[int] {
	return optional[int]{kind: "int", parse: func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, errors.New("want a whole number")
		}
		return n, nil
	}}
}

func fraction() optional[float64] {
	return optional[float64]{kind: "float", parse: func(s string) (float64, error) {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, errors.New("want a number")
		}
		return f, nil
	}}
}

// moment is RFC 3339, or how long ago (or, to come, how long from now).
func moment(ahead bool) optional[time.Time] {
	return optional[time.Time]{kind: "time", parse: func(s string) (time.Time, error) {
		if d, err := time.ParseDuration(s); err == nil {
			if !ahead {
				d = -d
			}
			return time.Now().Add(d), nil
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return t, errors.New("want RFC 3339 or a duration such as 36h")
		}
		return t, nil
	}}
}

// filterFlags select memories.
type filterFlags struct {
	f            client.Filter
	since, until optional[time.Time]
}

func (o *filterFlags) register(flags *pflag.FlagSet) {
	o.since, o.until = moment(false), moment(false)
	flags.StringVarP(&o.f.Namespace, "namespace", "n", "", "only of this namespace")
	flags.StringVar(&o.f.Tier, "tier", "", "only of this tier: short, mid or long")
	flags.StringVar(&o.f.Tag, "tags", "", "only with this tag")
	flags.StringVar(&o.f.AgentID, "by", "", "only of this agent")
	flags.Var(&o.since, "since", "only created then or later: RFC 3339, or a duration such as 36h before now")
	flags.Var(&o.until, "until", "only created then or before")
	flags.IntVar(&o.f.Limit, "limit", 0, "at most so many; 0 = what the node does by itself")
}

func (o *filterFlags) filter() client.Filter {
	f := o.f
	f.Since, f.Until = o.since.or(), o.until.or()
	return f
}

// after adds --after to a reading verb.
func (v *verb) after(opt *client.ReadOptions) {
	v.cmd.Flags().StringVar(&opt.After, "after", "", "token that the node must have reached before it answers")
}

// writes adds the flags of a changing verb.
func (v *verb) writes(opt *client.WriteOptions) {
	v.agent = new("")
	f := v.cmd.Flags()
	f.StringVar(v.agent, "agent-id", "", "who writes (default: this host and user; with a key, whom it is for)")
	f.StringVar(&opt.IdempotencyKey, "idempotency-key", "", "makes a repeated call the same write (default: one of its own for each call)")
	f.IntVarP(&opt.W, "w", "w", 0, "members that must have the write; 0 = what the cluster does by itself")
}

// matches adds --if-match to a verb that replaces or removes.
func (v *verb) matches(opt *client.WriteOptions) {
	v.cmd.Flags().StringVar(&opt.Match, "if-match", "", "token of the version that was read: refuse if it has changed")
}
