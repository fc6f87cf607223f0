package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/memd/memd/auth"
	"github.com/memd/memd/cluster"
	"github.com/memd/memd/httpapi"
)

// drainTimeout bounds how long requests in flight are waited for when the node stops.
const drainTimeout = 10 * time.Second

// Run serves until ctx ends, then stops in order: take no more requests and finish those
// in flight, end the loops (which drains pushes), leave the gossip, end the store's
// writer, close the store. It returns the first error of a part, which ends the others
// too; a commit error is one. Run can be called once.
func (n *Node) Run(ctx context.Context) error {
	ctx = auth.With(ctx, nil) // what this node does by itself it may do
	g, ctx := errgroup.WithContext(ctx)
	// The stages outlive ctx: each ends when the one before it has.
	stage := func(parts ...func(context.Context) error) (stop func()) {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{}, len(parts))
		for _, run := range parts {
			g.Go(func() error {
				defer func() { done <- struct{}{} }()
				return run(own)
			})
		}
		return func() {
			cancel()
			for range parts {
				<-done
			}
		}
	}
	stopStore := stage(n.store.Run)
	stopGossip := stage(n.gossip.Run)
	stopLoops := stage(n.push.Run, n.pull.Run, n.watch, n.runMembers, n.runFormation, n.runRecall, n.runSweep, n.watchFiles)
	stopDoor := stage(n.serve, n.serveAdmin)
	about := []any{"http", n.HTTPAddr(), "gossip", n.GossipAddr()}
	if id := n.store.Cluster(); !id.IsZero() { // else the cluster is yet to be formed or found
		about = append(about, "cluster", id)
	}
	n.log.Info("node serves", about...)

	g.Go(func() error {
		<-ctx.Done()
		n.stopping.Store(true)
		stopDoor()
		stopLoops()
		stopGossip()
		stopStore()
		return nil
	})
	err := g.Wait()
	if closeErr := n.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		n.log.Error("node stopped", "err", err)
		return err
	}
	n.log.Info("node stopped")
	return nil
}

// Close frees what New took. After Run there is nothing left to do.
func (n *Node) Close() error {
	var errs []error
	if n.client != nil {
		n.client.Close()
	}
	if n.gossip != nil {
		errs = append(errs, n.gossip.Close())
	}
	if n.adminListener != nil {
		_ = n.adminListener.Close()
	}
	if n.listener != nil {
		_ = n.listener.Close() // closed already if it was served
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}

// serve runs the front door until ctx ends and what was in flight is answered.
func (n *Node) serve(ctx context.Context) error {
	n.server = n.newServer()
	failed := make(chan error, 1)
	listener := httpapi.Limited(n.listener, httpapi.ListenLimits{Max: n.cfg.MaxConns, Peer: n.isPeer, Refused: n.door.Refused})
	go func() { failed <- n.server.Serve(httpapi.Listener(listener, n.serverTLS(), n.door.Handshake)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	n.door.Close()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := n.server.Shutdown(drain); err != nil {
		n.log.Warn("requests were cut off", "err", err)
		_ = n.server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// watch follows the store's change feed with the digest that tells peers how far this node
// is. It looks at most every watchInterval, however many commits there are.
func (n *Node) watch(ctx context.Context) error {
	for {
		changed := n.store.Changed()
		own := n.store.Origin()
		n.gossip.Announce(cluster.Digest{Origin: uint64(own), Counter: n.store.Clock().Max(own), ClockHash: n.store.ClockHash()})
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-time.After(watchInterval):
		case <-ctx.Done():
			return nil
		}
	}
}

const watchInterval = 50 * time.Millisecond

func (n *Node) newServer() *http.Server {
	return httpapi.NewServer(httpapi.ServerConfig{Handler: n.door, Log: n.log})
}
