package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/hashicorp/memberlist"
)

// Reach is how gossip gets to one address. An error is why it does not.
type Reach struct {
	UDP error // a ping of gossip was not answered in its time
	TCP error // no connection
}

// Probe tries the ways to a member now: one ping in a packet and one connection. memberlist
// takes either for a sign of life, so a filtered UDP is not seen elsewhere. A member with
// other gossip keys answers no ping, and takes the connection.
func (c *Cluster) Probe(ctx context.Context, name, addr string) Reach {
	c.mu.Lock()
	ml := c.ml
	c.mu.Unlock()
	if ml == nil {
		err := errors.New("gossip does not run")
		return Reach{err, err}
	}
	pinged := make(chan error, 1)
	go func() { pinged <- ping(ml, name, addr) }() // ends by itself after ProbeTimeout
	var r Reach
	conn, err := c.guard.DialAddressTimeout(memberlist.Address{Addr: addr, Name: name}, c.cfg.ProbeTimeout)
	if r.TCP = err; err == nil {
		_ = conn.Close()
	}
	select {
	case r.UDP = <-pinged:
	case <-ctx.Done():
		r.UDP = errors.Join(ctx.Err(), <-pinged)
	}
	return r
}

func ping(ml *memberlist.Memberlist, name, addr string) error {
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return err
	}
	for range pings { // one packet may be lost
		if _, err = ml.Ping(name, to); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%d pings were not answered: %w", pings, err)
}

const pings = 2
