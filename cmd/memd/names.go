package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
)

func newNamespaces() *cobra.Command {
	v := newVerb("namespaces", "Count the memories of each namespace", cobra.NoArgs)
	var opt client.ReadOptions
	v.after(&opt)
	v.watchable()
	cmd := v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		list, err := c.Namespaces(ctx, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{append([]client.NamespaceCount{}, list...), func(w io.Writer) error {
			rows := [][]string{{"NAMESPACE", "MEMORIES"}}
			for _, n := range list {
				rows = append(rows, []string{n.Namespace, fmt.Sprint(n.Count)})
			}
			return table(w, rows)
		}}, nil
	})
	cmd.AddCommand(newStandard(), newSetStandard(), newClearStandard())
	return cmd
}

func newStandard() *cobra.Command {
	v := newVerb("standard NAMESPACE", "Show how things are done in a namespace", cobra.ExactArgs(1))
	var opt client.ReadOptions
	var inherit bool
	v.after(&opt)
	v.cmd.Flags().BoolVar(&inherit, "inherit", false, "also what stands above it")
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		if inherit {
			chain, err := c.StandardChain(ctx, args[0], opt)
			if err != nil {
				return answer{}, err
			}
			return answer{chain, func(w io.Writer) error {
				if _, err := fmt.Fprintln(w, "chain  "+strings.Join(chain.Chain, " > ")); err != nil {
					return err
				}
				for i := range chain.Standards {
					fmt.Fprintln(w)
					if err := showStandard(w, &chain.Standards[i]); err != nil {
						return err
					}
				}
				return nil
			}}, nil
		}
		s, err := c.Standard(ctx, args[0], opt)
		if err != nil {
			return answer{}, err
		}
		return answer{s, func(w io.Writer) error { return showStandard(w, s) }}, nil
	})
}

func showStandard(w io.Writer, s *client.Standard) error {
	if s.ID == "" {
		_, err := fmt.Fprintf(w, "%s has no standard of its own\n", s.Namespace)
		return err
	}
	if err := fields(w, [][2]string{
		{"namespace", s.Namespace}, {"parent", s.Parent}, {"id", s.ID}, {"title", s.Title}, {"governance", string(s.Governance)},
	}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", s.Content)
	return err
}

func newSetStandard() *cobra.Command {
	v := newVerb("set NAMESPACE", "Make a memory the standard of a namespace", cobra.ExactArgs(1))
	v.about("Without --id the standard stays the memory that it is, or an empty one is made. What is not given stays as it is.")
	var opt client.WriteOptions
	var d client.StandardDraft
	parent, governance := text(), text()
	v.writes(&opt)
	f := v.cmd.Flags()
	f.StringVar(&d.ID, "id", "", "the memory that says how things are done")
	f.Var(&parent, "parent", "a namespace whose standard holds here, too; empty = none")
	f.Var(&governance, "governance", "a JSON object; null = none")
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		d := d
		d.Namespace, d.Parent, d.Governance = args[0], parent.value, client.Raw(governance.or())
		s, err := c.SetStandard(ctx, d, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{s, func(w io.Writer) error {
			return fields(w, [][2]string{
				{"namespace", s.Namespace}, {"standard", s.ID}, {"parent", s.Parent}, {"result", "set, durable on " + count(s.Acks, "node")}, {"token", s.Token},
			})
		}}, nil
	})
}

func newClearStandard() *cobra.Command {
	v := newVerb("clear NAMESPACE", "Take the standard of a namespace away; its memory stays", cobra.ExactArgs(1))
	var opt client.WriteOptions
	v.writes(&opt)
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		s, err := c.ClearStandard(ctx, args[0], opt)
		if err != nil {
			return answer{}, err
		}
		return answer{s, func(w io.Writer) error {
			result := "it had none"
			if s.Cleared {
				result = "cleared, durable on " + count(s.Acks, "node")
			}
			return fields(w, [][2]string{{"namespace", s.Namespace}, {"result", result}, {"token", s.Token}})
		}}, nil
	})
}

func newAgents() *cobra.Command {
	v := newVerb("agents", "List the registered agents", cobra.NoArgs)
	var opt client.ReadOptions
	v.after(&opt)
	v.watchable()
	cmd := v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		list, err := c.Agents(ctx, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{append([]client.Agent{}, list...), func(w io.Writer) error {
			rows := [][]string{{"AGENT", "TYPE", "REGISTERED", "SEEN", "CAPABILITIES"}}
			for i := range list {
				a := &list[i]
				rows = append(rows, []string{a.AgentID, a.AgentType, stamp(&a.RegisteredAt), stamp(&a.LastSeenAt), strings.Join(a.Capabilities, ", ")})
			}
			return table(w, rows)
		}}, nil
	})
	cmd.AddCommand(newRegister())
	return cmd
}

func newRegister() *cobra.Command {
	v := newVerb("register AGENT_ID", "Register an agent, or what it says of itself now", cobra.ExactArgs(1))
	var opt client.WriteOptions
	var r client.Registration
	v.writes(&opt)
	v.cmd.Flags().StringVar(&r.AgentType, "type", "", "human, system or ai:NAME")
	v.cmd.Flags().StringSliceVar(&r.Capabilities, "capabilities", nil, "what it can do, separated by commas")
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		r := r
		r.AgentID = args[0]
		a, err := c.RegisterAgent(ctx, r, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{a, func(w io.Writer) error {
			return fields(w, [][2]string{
				{"agent", a.AgentID}, {"type", a.AgentType}, {"result", "registered, durable on " + count(a.Acks, "node")}, {"token", a.Token},
			})
		}}, nil
	})
}

func newCapabilities() *cobra.Command {
	v := newVerb("capabilities", "Say what a node can do, as JSON", cobra.NoArgs)
	var schema int
	v.cmd.Flags().IntVar(&schema, "schema", 0, "1, 2 or 3 (default: the node's)")
	return v.do(func(ctx context.Context, c *client.Client, _ []string) (answer, error) {
		if schema < 0 || schema > 3 {
			return answer{}, usagef("--schema must be 1, 2 or 3")
		}
		doc, err := c.Capabilities(ctx, schema)
		if err != nil {
			return answer{}, err
		}
		return answer{doc, func(w io.Writer) error {
			b, err := json.MarshalIndent(doc, "", "  ")
			if err == nil {
				_, err = fmt.Fprintln(w, string(b))
			}
			return err
		}}, nil
	})
}

func newSession() *cobra.Command {
	v := newVerb("session [NAMESPACE]", "Show what to know at the start of a session: standards and the most important memories", cobra.MaximumNArgs(1))
	var opt client.ReadOptions
	var limit int
	v.after(&opt)
	v.cmd.Flags().IntVar(&limit, "limit", 0, "at most so many memories; 0 = what the node does by itself")
	return v.do(func(ctx context.Context, c *client.Client, args []string) (answer, error) {
		namespace := ""
		if len(args) > 0 {
			namespace = args[0]
		}
		s, err := c.SessionStart(ctx, namespace, limit, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{struct {
			ID        string            `json:"session_id"`
			Standards []client.Standard `json:"standards"`
			Memories  []client.Memory   `json:"memories"`
		}{s.ID, append([]client.Standard{}, s.Standards...), append([]client.Memory{}, s.Memories...)}, func(w io.Writer) error {
			for i := range s.Standards {
				if err := showStandard(w, &s.Standards[i]); err != nil {
					return err
				}
				fmt.Fprintln(w)
			}
			return showRows(w, s.Memories, false)
		}}, nil
	})
}
