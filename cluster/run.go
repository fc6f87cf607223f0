package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
)

// gossipConfig sets memberlist up for few nodes that idle cheaply.
func gossipConfig(c *Cluster) (*memberlist.Config, error) {
	conf := memberlist.DefaultLANConfig()
	conf.Name = c.cfg.Name
	conf.Label = c.cfg.Label
	if len(conf.Label) > memberlist.LabelMaxSize {
		return nil, fmt.Errorf("label of %d bytes is too long", len(conf.Label))
	}
	conf.LogOutput, conf.Logger = nil, newLogger(c.log, &c.drops)
	if len(c.cfg.Keys) > 0 {
		ring, err := memberlist.NewKeyring(c.cfg.Keys, c.cfg.Keys[0])
		if err != nil {
			return nil, fmt.Errorf("gossip keys: %w", err)
		}
		conf.Keyring = ring
	}
	conf.ProbeInterval, conf.ProbeTimeout = c.cfg.ProbeInterval, c.cfg.ProbeTimeout
	conf.GossipInterval, conf.GossipNodes = c.cfg.GossipInterval, gossipNodes
	conf.PushPullInterval = c.cfg.PushPullInterval
	conf.TCPTimeout = streamTimeout
	conf.DeadNodeReclaimTime = reclaimAfter
	// Packets are small; compressing them costs more than it saves.
	conf.EnableCompression = false
	// Only a failed UDP ping tries TCP too, so an idle cluster pays nothing, and
	// a network that loses UDP but carries TCP, as our data does, keeps its
	// members instead of seeing them flap.
	conf.DisableTcpPings = false
	h := &hooks{c}
	conf.Delegate, conf.Events, conf.Conflict, conf.Merge, conf.Alive = h, h, h, h, h
	return conf, nil
}

// Run gossips until the context ends, then says goodbye and returns when its
// goroutines are done. A probe that memberlist has in flight may outlive it by
// a few seconds; it does nothing any more. Run can be called once.
func (c *Cluster) Run(ctx context.Context) error {
	if !c.started.CompareAndSwap(false, true) {
		return errors.New("cluster: ran already")
	}
	ml, err := memberlist.Create(c.conf)
	if err != nil {
		_ = c.guard.Shutdown()
		return fmt.Errorf("cluster: %w", err)
	}
	c.mu.Lock()
	c.ml = ml
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.ml = nil
		c.mu.Unlock()
	}()
	// Not before memberlist knows this node itself: a peer that asked earlier
	// would get a list without us, and so without our cluster.
	c.guard.start()
	joining, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.rejoiner.run(joining, ml)
	}()

	c.loop(ctx, ml)

	stop()
	c.guard.hangUp() // ends a join in flight
	<-done
	c.leave(ml)
	err = ml.Shutdown()
	c.guard.wait(time.Second)
	if err != nil {
		return fmt.Errorf("cluster: shutdown: %w", err)
	}
	return nil
}

// leave tells the others. The goodbye travels in the packets of memberlist's
// own message, which does not tell its receivers that the death was wanted.
// One round of gossip reaches enough peers to spread it.
func (c *Cluster) leave(ml *memberlist.Memberlist) {
	c.sayGoodbye(c.cfg.Meta.Boot)
	start := time.Now()
	if err := ml.Leave(c.cfg.GossipInterval * 3 / 2); err != nil {
		c.log.Debug("leaving: not every copy was sent", "err", err, "took", time.Since(start))
	}
}

// loop does what callbacks must not: talk, log and call the user.
func (c *Cluster) loop(ctx context.Context, ml *memberlist.Memberlist) {
	seen := map[string]Member{}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := c.announceDue()
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-c.kick:
			c.handle(ml, seen)
		}
	}
}

// announceDue queues the pending digest, or says when it may go.
func (c *Cluster) announceDue() time.Duration {
	d, ok, wait := c.digests.due(time.Now())
	if ok {
		c.queue.spread(d)
		c.metrics.digests.WithLabelValues("sent").Inc()
	}
	return wait
}

func (c *Cluster) handle(ml *memberlist.Memberlist, seen map[string]Member) {
	c.mu.Lock()
	in := c.inbox
	c.inbox = inbox{}
	c.mu.Unlock()

	if in.metaDirty {
		// The timeout only ends the wait for the message to be sent, which is of
		// no interest here; it is queued in any case.
		_ = ml.UpdateNode(time.Nanosecond)
	}
	for _, r := range in.refusals {
		c.logRefusal(r)
	}
	for _, r := range in.conflicts {
		c.conflicted(ml, r)
	}
	if in.changed {
		c.changed(seen)
		signal(c.rejoiner.changed)
		if c.cfg.OnChange != nil {
			c.cfg.OnChange()
		}
	}
	for _, d := range c.digests.take() {
		if name, ok := c.table.nameOf(d.Boot); ok && c.cfg.OnDigest != nil {
			c.cfg.OnDigest(name, d)
		}
	}
}

// changed logs what is new among the members and forgets digests of processes
// that are gone.
func (c *Cluster) changed(seen map[string]Member) {
	living := map[uint64]bool{}
	now := c.table.snapshot()
	names := map[string]bool{}
	for _, m := range now {
		names[m.Name] = true
		if m.State == StateAlive {
			living[m.Boot] = true
		}
		old, known := seen[m.Name]
		if m.Name != c.cfg.Name && (!known || old.State != m.State || old.Boot != m.Boot || old.Gossip != m.Gossip) {
			c.log.Info("member is "+m.State.String(), "peer", m.Name, "gossip", m.Gossip, "http", m.HTTP, "version", m.Version)
		}
		seen[m.Name] = m
	}
	for name := range seen {
		if !names[name] {
			delete(seen, name)
		}
	}
	c.digests.forget(living)
}
