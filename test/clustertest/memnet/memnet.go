// Package memnet is a network in memory for tests that run whole nodes in one
// process: hosts with addresses, streams, packets, names, and a switch that
// cuts it into parts.
//
// It promises that nothing in it needs real time or a real socket, that packets
// never block their sender (a full receiver loses them, as UDP does), that
// streams have buffers and deadlines as TCP has, and that it starts no
// goroutine; so it works inside a testing/synctest bubble.
//
// It does not model latency, bandwidth, reordering or loss of single packets.
package memnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Mode says what happens to streams across a cut.
type Mode int

const (
	// Blackhole swallows everything without a word: writers fill their socket
	// buffer, readers wait, dials wait. What was buffered arrives after Heal.
	Blackhole Mode = iota
	// Reset ends streams with ECONNRESET and refuses dials at once.
	Reset
)

// Linger is how long goroutines of memberlist may outlive its Shutdown (probes
// of a peer that does not answer). The clock of a synctest bubble stops with its
// main function, so that function has to sleep this long at its end.
const Linger = 10 * time.Second

// GossipPort is the port on which every host's Transport listens.
const GossipPort = 7946

// Network is a set of hosts. All methods are safe for concurrent use.
type Network struct {
	mu      sync.Mutex
	hosts   map[string]*Host
	byIP    map[netip.Addr]*Host
	names   map[string][]netip.Addr
	pairs   map[*pair]struct{}
	group   map[string]int  // part of each host while partitioned; 0 = the unnamed rest
	mode    Mode            // of the partition
	alone   map[string]Mode // isolated hosts
	changed chan struct{}   // closed and renewed whenever reachability changes
}

// New returns an empty network, all of it connected.
func New() *Network {
	return &Network{
		hosts: map[string]*Host{}, byIP: map[netip.Addr]*Host{}, names: map[string][]netip.Addr{},
		pairs: map[*pair]struct{}{}, group: map[string]int{}, alone: map[string]Mode{},
		changed: make(chan struct{}),
	}
}

// Host returns the host of that name, made on first use with the next address
// of 10.0.0.0/8.
func (n *Network) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[name]; h != nil {
		return h
	}
	i := len(n.hosts) + 1
	h := &Host{net: n, name: name, ip: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}),
		listeners: map[int]*listener{}, transports: map[int]*transport{}}
	n.hosts[name], n.byIP[h.ip] = h, h
	return h
}

// SetDNS makes Lookup answer name with the addresses of the given hosts; with
// none, the name does not exist.
func (n *Network) SetDNS(name string, hosts ...string) {
	addrs := []netip.Addr{}
	for _, h := range hosts {
		addrs = append(addrs, n.Host(h).ip)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[name] = addrs
}

// Lookup resolves a name given to SetDNS, or a host's name.
func (n *Network) Lookup(_ context.Context, name string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addrs := n.names[name]; len(addrs) > 0 {
		return append([]netip.Addr(nil), addrs...), nil
	}
	if h := n.hosts[name]; h != nil && n.names[name] == nil {
		return []netip.Addr{h.ip}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// Partition cuts the network into the given groups; hosts in none of them form
// one more. It replaces an earlier partition.
func (n *Network) Partition(mode Mode, groups ...[]string) {
	n.change(func() {
		n.mode, n.group = mode, map[string]int{}
		for i, g := range groups {
			for _, name := range g {
				n.group[name] = i + 1
			}
		}
	})
}

// Isolate cuts one host off from all others.
func (n *Network) Isolate(mode Mode, name string) {
	n.change(func() { n.alone[name] = mode })
}

// Heal undoes Partition and Isolate. Killed hosts stay dead.
func (n *Network) Heal() {
	n.change(func() { n.group, n.alone = map[string]int{}, map[string]Mode{} })
}

// Kill ends everything that the host has open, as kill -9 would: its streams
// are reset, its listeners and transports stop. What the test runs on that
// host goes on until the test stops it, but can reach nobody.
func (n *Network) Kill(name string) {
	var open []interface{ shut() }
	n.change(func() {
		h := n.hosts[name]
		if h == nil {
			panic(fmt.Sprintf("memnet: no host %q", name))
		}
		h.down = true
		for _, l := range h.listeners {
			open = append(open, l)
		}
		for _, t := range h.transports {
			open = append(open, t)
		}
		h.listeners, h.transports = map[int]*listener{}, map[int]*transport{}
	})
	for _, o := range open {
		o.shut()
	}
}

// Revive lets a killed host listen and dial again.
func (n *Network) Revive(name string) {
	n.change(func() {
		if h := n.hosts[name]; h != nil {
			h.down = false
		}
	})
}

// change applies f and lets every stream and waiting dial see the result.
func (n *Network) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	for p := range n.pairs {
		switch n.link(p.ends[0].host, p.ends[1].host) {
		case linkUp:
			p.setCut(false)
		case linkDark:
			p.setCut(true)
		case linkReset:
			p.reset()
			delete(n.pairs, p)
		}
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

type link int

const (
	linkUp link = iota
	linkDark
	linkReset
)

// link needs n.mu.
func (n *Network) link(a, b *Host) link {
	if a.down || b.down {
		return linkReset
	}
	if a == b {
		return linkUp
	}
	of := func(m Mode) link {
		if m == Reset {
			return linkReset
		}
		return linkDark
	}
	if m, ok := n.alone[a.name]; ok {
		return of(m)
	}
	if m, ok := n.alone[b.name]; ok {
		return of(m)
	}
	if n.group[a.name] != n.group[b.name] {
		return of(n.mode)
	}
	return linkUp
}
