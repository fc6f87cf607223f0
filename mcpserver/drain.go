package mcpserver

import (
	"context"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// drained is a transport that tells the end of its input only when everything that came
// before it has been answered, so that a script may pipe its requests in and go. The SDK
// gives up what it is doing when the input ends.
type drained struct{ mcp.Transport }

// drainTimeout bounds the wait: a request that was cancelled may never be answered.
const drainTimeout = 10 * time.Second

func (d drained) Connect(ctx context.Context) (mcp.Connection, error) {
	c, err := d.Transport.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &drainedConn{Connection: c, changed: make(chan struct{}), closed: make(chan struct{})}, nil
}

type drainedConn struct {
	mcp.Connection

	once   sync.Once
	closed chan struct{}

	mu      sync.Mutex
	open    int           // requests read and not yet answered
	changed chan struct{} // closed and replaced when open has become 0
}

func (c *drainedConn) Read(ctx context.Context) (jsonrpc.Message, error) {
	msg, err := c.Connection.Read(ctx)
	if err != nil {
		c.drain(ctx)
		return msg, err
	}
	if r, ok := msg.(*jsonrpc.Request); ok && r.ID.IsValid() {
		c.mu.Lock()
		c.open++
		c.mu.Unlock()
	}
	return msg, nil
}

func (c *drainedConn) Write(ctx context.Context, msg jsonrpc.Message) error {
	err := c.Connection.Write(ctx, msg)
	if _, ok := msg.(*jsonrpc.Response); ok {
		c.mu.Lock()
		if c.open--; c.open <= 0 {
			close(c.changed)
			c.changed = make(chan struct{})
		}
		c.mu.Unlock()
	}
	return err
}

func (c *drainedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Connection.Close()
}

func (c *drainedConn) drain(ctx context.Context) {
	end := time.NewTimer(drainTimeout)
	defer end.Stop()
	for {
		c.mu.Lock()
		open, changed := c.open, c.changed
		c.mu.Unlock()
		if open <= 0 {
			return
		}
		select {
		case <-changed:
		case <-c.closed:
			return
		case <-ctx.Done():
			return
		case <-end.C:
			return
		}
	}
}
