package cluster

import (
	"time"

	"github.com/hashicorp/memberlist"
)

// Conflict is another process that uses this node's name: a clone, a copied
// configuration, or an earlier life that the others still believe alive. It
// lasts until a few exchanges with peers have not shown it again.
type Conflict struct {
	Started      time.Time // of this process
	OtherStarted time.Time
	OtherBoot    uint64 // equal to ours: one memory image, resumed twice
	Other        string // host:port of its gossip
}

// conflictReport is what a node learns when two addresses claim a name.
type conflictReport struct {
	name, existing string // who is believed to have the name
	addr           string // of the other one
	meta           Meta
	raw            []byte // meta as it came
}

type conflictState struct {
	Conflict
	active bool
	last   time.Time // it was reported
}

const (
	conflictCheck = 5 * time.Second  // how often peers are asked while it lasts
	conflictQuiet = 12 * time.Second // over after so long without a report
)

func (c *Cluster) noteConflict(r conflictReport) {
	c.note(func(in *inbox) {
		if len(in.conflicts) < 16 {
			in.conflicts = append(in.conflicts, r)
		}
	})
}

// conflicted acts on a report: about us, or about two others, of whom the one
// that came first may never hear of it, because its peers refuse the second.
func (c *Cluster) conflicted(ml *memberlist.Memberlist, r conflictReport) {
	if r.name != c.cfg.Name {
		if c.once("conflict\x00" + r.name + "\x00" + r.addr) {
			c.log.Warn("two processes use one name", "peer", r.name, "gossip", r.existing, "other", r.addr)
		}
		msg := append(r.appendTo([]byte{msgConflict}), r.raw...)
		_ = ml.SendToAddress(memberlist.Address{Addr: r.existing, Name: r.name}, msg)
		return
	}
	if r.addr == c.addr {
		return
	}
	c.mu.Lock()
	s := &c.conflict
	news := !s.active || s.Other != r.addr || s.OtherBoot != r.meta.Boot
	s.active, s.last = true, time.Now()
	s.Conflict = Conflict{Started: c.cfg.Meta.Started, OtherStarted: r.meta.Started, OtherBoot: r.meta.Boot, Other: r.addr}
	now := s.Conflict
	c.mu.Unlock()
	if !news {
		return
	}
	c.log.Error("another process uses the name of this node", "other", now.Other, "started", now.Started, "other_started", now.OtherStarted)
	if c.cfg.OnConflict != nil {
		c.cfg.OnConflict(now)
	}
	c.rejoiner.poke()
}

func (r conflictReport) appendTo(b []byte) []byte {
	b = append(b, byte(len(r.name)))
	b = append(b, r.name...)
	b = append(b, byte(len(r.addr)))
	return append(b, r.addr...)
}

func decodeConflict(b []byte) (r conflictReport, ok bool) {
	if r.name, b, ok = cutString(b); !ok {
		return r, false
	}
	if r.addr, b, ok = cutString(b); !ok || !printable(r.addr) {
		return r, false
	}
	var err error
	r.meta, err = decodeMeta(b)
	return r, err == nil
}

// Conflict returns the process that uses this node's name, if there is one.
func (c *Cluster) Conflict() (Conflict, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conflict.Conflict, c.conflict.active
}

// conflictChecked notes that a peer was asked; it ends a conflict of which
// nothing was heard for long enough.
func (c *Cluster) conflictChecked(now time.Time) {
	c.mu.Lock()
	s := &c.conflict
	over := s.active && now.Sub(s.last) >= conflictQuiet
	other := s.Other
	if over {
		s.active = false
		c.inbox.changed = true
	}
	c.mu.Unlock()
	if over {
		c.log.Info("the name of this node is its own again", "other", other)
		c.wake()
	}
}
