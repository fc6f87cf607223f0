package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/memd/memd/client"
	"github.com/memd/memd/mcpserver"
	"github.com/memd/memd/node"
)

// mcpConfig are the values of `memd mcp`, named as the flags are.
type mcpConfig struct {
	conn      connFlags
	agent     string
	tools     string
	dataDir   string
	logLevel  string
	logFormat string
}

func newMCP() *cobra.Command {
	c := new(mcpConfig)
	cmd := &cobra.Command{
		Use:   "mcp",
		Short: "Speak MCP on standard input and output, for an agent that starts its servers",
		Long: "Speak MCP on standard input and output, for an agent that starts its servers.\n\n" +
			"With --server it hands every call to a node of a mesh, and to the next one if that does not\n" +
			"answer. Without it keeps a store of its own, a node alone, in --data-dir: for one agent at a\n" +
			"time; several share a memory through `memd serve` and --server.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := mcpserver.ValidTools(c.tools); err != nil {
				return usagef("--mcp-tools %w", err)
			}
			// Standard output is the protocol's: whatever there is to say goes to the other one.
			log, err := newLog(cmd.ErrOrStderr(), c.logLevel, c.logFormat)
			if err != nil {
				return &usageError{err}
			}
			if len(compact(c.conn.servers)) > 0 {
				return c.proxy(cmd.Context(), log, os.Stdin, cmd.OutOrStdout())
			}
			return c.embed(cmd.Context(), log, os.Stdin, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	c.conn.register(f, nil, proxyTimeout)
	f.StringVar(&c.agent, "agent-id", "", "who writes (default: what the client calls itself, this host and process)")
	f.StringVar(&c.tools, "mcp-tools", mcpserver.ToolsDefault, "tools that the agent is given: default or all")
	f.StringVar(&c.dataDir, "data-dir", defaultDataDir(), "store, without --server; created with mode 0700, locked while open")
	f.StringVar(&c.logLevel, "log-level", "warn", "debug, info, warn or error")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
	return cmd
}

// proxyTimeout bounds one try at one server: above what a node takes to miss a quorum or
// to wait for a token, below what agents wait for a tool.
const proxyTimeout = 10 * time.Second

// proxy serves the verbs of other nodes.
func (c *mcpConfig) proxy(ctx context.Context, log *slog.Logger, in io.ReadCloser, out io.Writer) error {
	remoteNodes, err := c.conn.open("") // the call says who writes
	if err != nil {
		return err
	}
	defer remoteNodes.Close()
	return mcpserver.New(mcpserver.Config{
		Service: remote{remoteNodes}, Tools: c.tools, Version: version(), Agent: c.agent, Place: place(), Log: log,
	}).Serve(ctx, in, unclosed{out})
}

// embed serves a node of its own. It listens on loopback, on ports that nobody is told.
func (c *mcpConfig) embed(ctx context.Context, log *slog.Logger, in io.ReadCloser, out io.Writer) error {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "memd"
	}
	n, err := node.New(node.Config{
		Name: host, DataDir: c.dataDir, Version: version(), MCPTools: c.tools, Recall: true, Log: log,
		HTTPAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1:0",
	})
	switch {
	case errors.Is(err, node.ErrLocked):
		return fmt.Errorf("%w: to share its memory, run `memd serve` on it and give --server (such as %s) to every agent", err, client.DefaultServer)
	case errors.Is(err, node.ErrConfig):
		return &usageError{err}
	case err != nil:
		return err
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- n.Run(run)
		stop() // a node that has failed ends the conversation
	}()
	err = c.converse(run, n, in, out)
	stop()
	return errors.Join(err, <-ended)
}

func (c *mcpConfig) converse(ctx context.Context, n *node.Node, in io.ReadCloser, out io.Writer) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ok, _ := n.Ready(); !ok; ok, _ = n.Ready() {
		if s, err := n.Cluster(ctx); err == nil && s.Quorum.N > 1 {
			return fmt.Errorf("%s belongs to a node of a mesh of %d: run `memd serve` on it and give its address as --server", c.dataDir, s.Quorum.N)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return n.MCP(c.agent, place()).Serve(ctx, in, unclosed{out})
}

// place tells this process's agent from others of the same name (contract 1.4).
func place() string {
	return fmt.Sprintf("@%s:pid-%d", hostLabel(), os.Getpid())
}

// unclosed keeps standard output open for whoever writes last.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }
