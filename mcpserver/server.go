package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/memory"
)

// Which tools a server lists.
const (
	ToolsDefault = "default" // the eight that agents need
	ToolsAll     = "all"     // and those that keep house
)

// Config of a Server. Service must be given.
type Config struct {
	Service Service
	Tools   string // ToolsDefault or ToolsAll; "" = ToolsDefault
	Version string // of the program, as clients are told

	// Agent is who writes when neither the call nor its HTTP header says; "" = what the
	// client calls itself, followed by Place.
	Agent string
	// Place tells this process's clients from others of the same name, such as
	// "@host:pid-7"; "" for a server of many clients.
	Place string

	Log *slog.Logger     // nil = discard
	Now func() time.Time // for "3d ago"; nil = time.Now
}

// Server is one set of tools on one service. It is safe for concurrent use and keeps
// nothing between calls.
type Server struct {
	service Service
	agent   string
	place   string
	log     *slog.Logger
	now     func() time.Time
	tools   []*tool
	mcp     *mcp.Server
}

// ValidTools reports whether a Config would take the name.
func ValidTools(name string) error {
	switch name {
	case "", ToolsDefault, ToolsAll:
		return nil
	}
	return fmt.Errorf("%q: want %s or %s", name, ToolsDefault, ToolsAll)
}

func toolsOf(set string) []*tool {
	if set == ToolsAll {
		return append(defaultTools(), moreTools()...)
	}
	return defaultTools()
}

// ToolNames are the names of the tools of a set, in the order in which they are listed.
func ToolNames(set string) []string {
	tools := toolsOf(set)
	names := make([]string, len(tools))
	for i, t := range tools {
		names[i] = t.name
	}
	return names
}

// New panics if the configuration has no service or an unknown set of tools.
func New(c Config) *Server {
	if c.Service == nil {
		panic("mcpserver: no service")
	}
	if err := ValidTools(c.Tools); err != nil {
		panic("mcpserver: tools " + err.Error())
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Server{service: c.Service, agent: c.Agent, place: c.Place, log: c.Log, now: c.Now, tools: toolsOf(c.Tools)}
	s.mcp = mcp.NewServer(
		&mcp.Implementation{Name: "memd", Title: "memd, memory shared by agents", Version: c.Version},
		&mcp.ServerOptions{
			Instructions: instructions,
			// What is here does not change while the server runs, so nobody is told of
			// changes. Logging is deprecated and never offered.
			Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}, Prompts: &mcp.PromptCapabilities{}, Resources: &mcp.ResourceCapabilities{}},
			SetCacheable: cacheable,
		})
	for _, t := range s.tools {
		s.mcp.AddTool(t.declare(), s.handler(t))
	}
	s.addPrompt()
	s.addResources()
	return s
}

// listTTL is how long a client may keep what a server lists: it changes with the program.
const listTTL = 5 * time.Minute

func cacheable(_ context.Context, req mcp.Request, c *mcp.Cacheable) {
	if _, reads := req.(*mcp.ReadResourceRequest); reads {
		c.TTLMs, c.CacheScope = 0, "private"
		return
	}
	c.TTLMs, c.CacheScope = int(listTTL.Milliseconds()), "public"
}

// Handler serves streamable HTTP: stateless, one JSON answer for each request, so any node
// of a mesh may be asked the next time. Host and Origin, the time that a request may take
// and the size of its body are checked by the door in front of it.
func (s *Server) Handler() http.Handler {
	return inForm(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s.mcp }, &mcp.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, PropagateRequestCancellation: true,
		// The door knows the allowed hosts; the SDK's own guard knows only loopback, and
		// would refuse what an operator has allowed behind a proxy.
		DisableLocalhostProtection: true,
	}))
}

// Serve speaks MCP on in and out, a message a line, until in ends or ctx does; neither is
// an error. Nothing else may write to out.
func (s *Server) Serve(ctx context.Context, in io.ReadCloser, out io.WriteCloser) error {
	told := &shared{WriteCloser: out}
	err := s.mcp.Run(ctx, drained{&mcp.IOTransport{Reader: newLines(in, told), Writer: told}})
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// handler is the road of every tool: read the arguments, do it, write down what came back.
func (s *Server) handler(t *tool) mcp.ToolHandler {
	return func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		// In the older revisions the SDK's context outlives the request.
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		res, err := s.call(ctx, t, req)
		if err == nil {
			return res, nil
		}
		text, known := advise(err)
		if !known {
			s.log.Error("mcp tool failed", "tool", t.name, "err", err)
		}
		return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
	}
}

// callTimeout bounds one call; it is above what any verb waits for.
const callTimeout = 30 * time.Second

// call runs on a goroutine of the SDK, where a panic would end the process.
func (s *Server) call(ctx context.Context, t *tool, req *mcp.CallToolRequest) (_ *mcp.CallToolResult, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("mcp tool panicked", "tool", t.name, "err", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if p, known := auth.From(ctx); known && !p.May(t.scope()) {
		return nil, memory.ErrForbidden
	}
	a, err := readArgs(req.Params.Arguments, t)
	if err != nil {
		return nil, err
	}
	out, err := t.run(s, ctx, &request{args: a, ctx: ctx, req: req})
	if err != nil {
		return nil, err
	}
	return out.result()
}

// request is one call on its way.
type request struct {
	*args
	ctx context.Context //nolint:containedctx // lives as long as the call
	req *mcp.CallToolRequest
}

// writes reads the options of a changing tool and settles who writes.
func (s *Server) writes(r *request) WriteOptions {
	opt := r.writeOptions()
	if err := s.identify(r.ctx, r.req, &opt); err != nil {
		r.fail(err)
	}
	return opt
}
