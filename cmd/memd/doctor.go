package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
	"github.com/memd/memd/node"
)

// doctorTimeout bounds one node's look at itself and its peers.
const doctorTimeout = 15 * time.Second

func newDoctor() *cobra.Command {
	var conn connFlags
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with a mesh, and what to do about it",
		Long: "Say what is wrong with a mesh, and what to do about it.\n\n" +
			"Every node of the mesh is asked, by the addresses that the one of --server knows, to look at its clock,\n" +
			"certificate, disk and fsync, at its quorum, and at the ways to its peers: TCP, UDP, keys, versions. Then what\n" +
			"they say is compared. With --data-dir a store on this machine is looked at, too, whether its node runs or\n" +
			"not. The exit code is 1 if anything was found.",
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	conn.register(f, defaultServers, doctorTimeout)
	f.StringVar(&dir, "data-dir", "", "a store on this machine")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var found []finding
		if dir != "" {
			for _, l := range node.DiagnoseDir(dir) {
				found = append(found, finding{Finding: client.Finding(l)})
			}
		}
		m, err := askAll(cmd.Context(), &conn)
		if err != nil && dir == "" {
			return err
		}
		if err != nil { // the store alone has something to say
			found = append(found, unreachable("", "", conn.servers[0], err))
		}
		return printDiagnosis(cmd.OutOrStdout(), append(found, m.compare()...), len(m.nodes), asJSON)
	}
	return cmd
}

// finding is one of a node's, or of the doctor's own if Node is "".
type finding struct {
	Node string `json:"node,omitempty"`
	client.Finding
}

// examined is what came of asking every node.
type examined struct {
	nodes    []*client.Diagnosis
	statuses []*client.ClusterStatus
	silent   []finding // nodes that gave no answer
}

// askAll asks the nodes of --server, then all members that the first one knows.
func askAll(ctx context.Context, conn *connFlags) (examined, error) {
	var m examined
	c, err := conn.open("")
	if err != nil {
		return m, err
	}
	defer c.Close()
	first, err := c.Cluster(ctx)
	if err != nil {
		return m, asUsage(err)
	}
	var mu sync.Mutex
	var asking sync.WaitGroup
	scheme := ""
	if u, err := url.Parse(conn.servers[0]); err == nil && u.Host != "" {
		scheme = u.Scheme + "://"
	}
	for _, member := range first.Members {
		one := *conn
		one.servers = []string{scheme + member.Addr}
		asking.Go(func() {
			d, s, err := ask(ctx, &one)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				m.silent = append(m.silent, unreachable(first.Name, member.Name, member.Addr, err))
				return
			}
			m.nodes, m.statuses = append(m.nodes, d), append(m.statuses, s)
		})
	}
	asking.Wait()
	slices.SortFunc(m.nodes, func(a, b *client.Diagnosis) int { return strings.Compare(a.Node, b.Node) })
	slices.SortFunc(m.silent, func(a, b finding) int { return strings.Compare(a.About, b.About) })
	return m, ctx.Err()
}

func ask(ctx context.Context, conn *connFlags) (*client.Diagnosis, *client.ClusterStatus, error) {
	c, err := conn.open("")
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	d, err := c.Doctor(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := c.Cluster(ctx)
	return d, s, err
}

// unreachable says why a node gave no answer.
func unreachable(from, name, addr string, err error) finding {
	f := client.Finding{Severity: "error", Check: "tcp", About: name, Problem: "no answer from here: " + err.Error(),
		Remedy: "is it running, and its port open? Lost for good: memd members remove NAME"}
	if from == name {
		f.About = ""
	}
	switch text := err.Error(); {
	case errors.Is(err, client.ErrForbidden):
		f.Check, f.Problem = "key", addr+" refuses this key: "+text
		f.Remedy = "give --api-key-file a key that this node knows, with the scope admin (memd keys list, memd keys add)"
	case strings.Contains(text, "certificate") || strings.Contains(text, "tls:") || strings.Contains(text, "HTTP response to HTTPS"):
		f.Check, f.Problem = "certificate", addr+": "+text
		f.Remedy = "trust its authority (--tls-ca), or issue it a new certificate with its name: memd ca issue NAME"
	}
	return finding{name, f}
}

// compare puts together what the nodes say, and adds what no single one can see.
func (m *examined) compare() []finding {
	var all []finding
	for _, d := range m.nodes {
		for _, f := range d.Findings {
			all = append(all, finding{d.Node, f})
		}
	}
	all = append(all, m.silent...)
	for i, a := range m.statuses {
		for _, b := range m.statuses[:i] {
			if a.ClockHash == b.ClockHash && a.Digest != b.Digest {
				all = append(all, finding{"", client.Finding{Severity: "error", Check: "content", About: a.Name + ", " + b.Name,
					Problem: "both have seen the same writes and hold something else", Remedy: "keep both data directories and report it; stop one node, memd verify"}})
			}
			if a.ClusterID != b.ClusterID {
				all = append(all, finding{"", client.Finding{Severity: "error", Check: "member", About: a.Name + ", " + b.Name,
					Problem: "they belong to two clusters", Remedy: "start one of them with an empty data directory"}})
			}
		}
	}
	return all
}

func printDiagnosis(out io.Writer, found []finding, asked int, asJSON bool) error {
	var err error
	if asJSON {
		err = printJSON(out, map[string]any{"nodes": asked, "findings": append([]finding{}, found...)})
	} else {
		for _, f := range found {
			who := f.Node
			if f.About != "" && f.About != f.Node {
				who = strings.TrimPrefix(who+" about "+f.About, " ")
			}
			if who != "" {
				who += ": "
			}
			if _, err = fmt.Fprintf(out, "%s %s: %s%s\n    %s\n", f.Severity, f.Check, who, f.Problem, f.Remedy); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(out, "%s asked, %s\n", count(asked, "node"), count(len(found), "finding"))
	}
	if err == nil && len(found) > 0 {
		err = &exitError{exitFailed}
	}
	return err
}
