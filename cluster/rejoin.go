package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	firstRetry    = time.Second // then doubling to the rejoin interval
	perRound      = 8           // targets asked in one round
	atOnce        = 4           // of them at the same time
	perTarget     = 16          // addresses tried of one name
	targetTimeout = 2 * streamTimeout
	// A name is looked up again this many intervals after the last time even if
	// all seems well, to find nodes behind it that never found us.
	lookAgain = 6
	// Broadcasts reach random members and may miss one, and memberlist compares
	// lists only once a minute; so every change is followed, this much later, by
	// a comparison with one random member.
	settleAfter = 2 * time.Second
)

// seed is an address that the user gave.
type seed struct {
	raw, host string
	port      int
	literal   netip.Addr // valid if host is an address

	// of the rejoin goroutine
	ok    bool      // a join through it has succeeded
	at    time.Time // of the last lookup
	addrs []string  // what it gave
}

// target is somebody to ask: a seed, or a member by its last known address.
type target struct {
	key  string
	seed *seed  // or
	addr string // ip:port
}

// attempt is the backoff of one target.
type attempt struct {
	next  time.Time
	wait  time.Duration
	fails int
}

// rejoiner asks those who should be here and are not. While everybody is here
// it sends nothing.
type rejoiner struct {
	c       *Cluster
	seeds   []*seed
	asked   chan struct{} // Rejoin was called
	poked   chan struct{} // look at the state again
	changed chan struct{} // members have changed
	backoff map[string]*attempt
	settle  time.Time // compare lists then; zero = nothing has changed
}

func newRejoiner(c *Cluster, join []string) (*rejoiner, error) {
	r := &rejoiner{c: c, asked: make(chan struct{}, 1), poked: make(chan struct{}, 1),
		changed: make(chan struct{}, 1), backoff: map[string]*attempt{}}
	for _, raw := range join {
		host, port, err := SplitAddr(raw, 7946)
		if err != nil || host == "" || port == 0 {
			return nil, fmt.Errorf("seed %q is not host:port", raw)
		}
		s := &seed{raw: raw, host: host, port: port}
		if ip, err := netip.ParseAddr(host); err == nil {
			s.literal = ip.Unmap()
			s.addrs = []string{hostPort(s.literal, port)}
		}
		r.seeds = append(r.seeds, s)
	}
	return r, nil
}

func hostPort(ip netip.Addr, port int) string {
	return net.JoinHostPort(ip.String(), strconv.Itoa(port))
}

func (r *rejoiner) ask()  { signal(r.asked) }
func (r *rejoiner) poke() { signal(r.poked) }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (r *rejoiner) run(ctx context.Context, ml *memberlist.Memberlist) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	forced := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.poked:
		case <-r.changed:
			if r.settle.IsZero() {
				r.settle = time.Now().Add(jitter(settleAfter))
			}
		case <-r.asked:
			forced = true
		}
		timer.Reset(r.round(ctx, ml, forced))
		forced = false
	}
}

// round asks all who are due and returns when to come back.
func (r *rejoiner) round(ctx context.Context, ml *memberlist.Memberlist, forced bool) time.Duration {
	v := r.view(forced)
	wanted := absent(r.seeds, v)
	r.prune(wanted)
	now := time.Now()
	var due []target
	for _, t := range wanted {
		if a := r.backoff[t.key]; forced || a == nil || !now.Before(a.next) {
			due = append(due, t)
		}
	}
	rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	due = due[:min(len(due), perRound)]
	_, conflict := r.c.Conflict()
	compare := !r.settle.IsZero() && !now.Before(r.settle)
	if forced || conflict {
		due = append(due, some(v.living, 2)...)
	} else if compare {
		due = append(due, some(v.living, 1)...)
	}
	if compare {
		r.settle = time.Time{}
	}
	if answered := r.askAll(ctx, ml, due, v); answered > 0 && conflict {
		r.c.conflictChecked(time.Now())
	}

	wait := jitter(r.c.cfg.RejoinInterval)
	if conflict {
		wait = min(wait, conflictCheck)
	}
	now = time.Now()
	if !r.settle.IsZero() {
		wait = min(wait, r.settle.Sub(now))
	}
	for _, t := range wanted {
		if a := r.backoff[t.key]; a != nil {
			wait = min(wait, a.next.Sub(now))
		}
	}
	return max(wait, 10*time.Millisecond)
}

// view is what absent decides on.
type view struct {
	now      time.Time
	interval time.Duration
	forced   bool
	self     func(addr string) bool
	living   []target          // other members
	at       map[string]bool   // their addresses
	dead     map[string]string // name to address
	known    []Known           // by the caller
}

func (r *rejoiner) view(forced bool) view {
	v := view{now: time.Now(), interval: r.c.cfg.RejoinInterval, forced: forced, self: r.c.isSelf,
		at: map[string]bool{}, dead: map[string]string{}}
	names := map[string]State{}
	for _, m := range r.c.Members() {
		names[m.Name] = m.State
		switch {
		case m.Name == r.c.cfg.Name:
		case m.State == StateAlive:
			v.living = append(v.living, target{key: "living " + m.Name, addr: m.Gossip})
			v.at[m.Gossip] = true
		case m.State == StateDead:
			v.dead[m.Name] = m.Gossip
		}
	}
	if r.c.cfg.Known != nil {
		for _, k := range r.c.cfg.Known() {
			// Who left will come by itself; who is alive is here.
			if state, seen := names[k.Name]; k.Name != r.c.cfg.Name && (!seen || state == StateDead) {
				v.known = append(v.known, k)
			}
		}
	}
	return v
}

// absent lists everybody who should be asked: dead members, known members that
// were never seen, and seeds that no living member accounts for.
func absent(seeds []*seed, v view) []target {
	var ts []target
	for name, addr := range v.dead {
		ts = append(ts, target{key: "member " + name, addr: addr})
	}
	for _, k := range v.known {
		if ap, err := netip.ParseAddrPort(k.Gossip); err == nil && v.dead[k.Name] != k.Gossip && !v.self(k.Gossip) {
			ts = append(ts, target{key: "known " + k.Name, addr: hostPort(ap.Addr().Unmap(), int(ap.Port()))})
		}
	}
	for _, s := range seeds {
		if s.wanted(v) {
			ts = append(ts, target{key: "seed " + s.raw, seed: s})
		}
	}
	return ts
}

func (s *seed) wanted(v view) bool {
	if s.literal.IsValid() && v.self(s.addrs[0]) {
		return false
	}
	if v.forced || len(v.living) == 0 {
		return true
	}
	if !s.literal.IsValid() && v.now.Sub(s.at) >= lookAgain*v.interval {
		return true
	}
	if s.ok {
		return false
	}
	for _, a := range s.addrs {
		if v.at[a] || v.self(a) {
			return false
		}
	}
	return true
}

// some picks up to n targets.
func some(ts []target, n int) []target {
	ts = append([]target(nil), ts...)
	rand.Shuffle(len(ts), func(i, j int) { ts[i], ts[j] = ts[j], ts[i] })
	return ts[:min(len(ts), n)]
}

// prune forgets the backoff of those who are here again.
func (r *rejoiner) prune(wanted []target) {
	keep := map[string]bool{}
	for _, t := range wanted {
		keep[t.key] = true
	}
	for key := range r.backoff {
		if !keep[key] {
			delete(r.backoff, key)
		}
	}
}

// askAll joins the targets, a few at a time, and returns how many answered.
func (r *rejoiner) askAll(ctx context.Context, ml *memberlist.Memberlist, ts []target, v view) int {
	results := make([]error, len(ts))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, t := range ts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i] = r.askOne(ctx, ml, t, v.forced)
		})
	}
	wg.Wait()
	answered := 0
	for i, t := range ts {
		if ctx.Err() != nil {
			return answered
		}
		if results[i] == nil {
			answered++
		}
		r.record(t, results[i])
	}
	return answered
}

func (r *rejoiner) record(t target, err error) {
	a := r.backoff[t.key]
	if a == nil {
		a = &attempt{}
		r.backoff[t.key] = a
	}
	if err == nil {
		if t.seed != nil && a.fails > 0 {
			r.c.log.Info("seed answers", "seed", t.seed.raw)
		}
		// Still wanted after this? Then not before the interval is over.
		*a = attempt{next: time.Now().Add(jitter(r.c.cfg.RejoinInterval))}
		return
	}
	a.fails++
	a.wait = min(max(2*a.wait, firstRetry), r.c.cfg.RejoinInterval)
	a.next = time.Now().Add(jitter(a.wait))
	if t.seed != nil && a.fails == 1 && !errors.Is(err, errNobody) {
		r.c.log.Warn("seed does not answer, trying on", "seed", t.seed.raw, "err", err)
	} else {
		r.c.log.Debug("no answer", "target", t.key, "fails", a.fails, "err", err)
	}
}

// askOne exchanges the member list with one target: with every address behind
// it that no living member has. Nil means that one of them answered, or that
// there is nobody left to ask.
func (r *rejoiner) askOne(ctx context.Context, ml *memberlist.Memberlist, t target, forced bool) error {
	ctx, cancel := context.WithTimeout(ctx, targetTimeout)
	defer cancel()
	addrs := []string{t.addr}
	if t.seed != nil {
		var err error
		if addrs, err = r.lookup(ctx, t.seed); err != nil {
			return err
		}
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	var failed error
	answered, tried := 0, 0
	for _, a := range addrs {
		if ctx.Err() != nil || tried == perTarget {
			break
		}
		if r.c.isSelf(a) {
			continue
		}
		if !forced && t.seed != nil && r.livesAt(a) {
			answered++
			continue
		}
		tried++
		if _, err := ml.Join([]string{a}); err != nil {
			r.c.metrics.joins.WithLabelValues("failed").Inc()
			if one := errors.Unwrap(err); one != nil {
				err = one // out of memberlist's list of errors
			}
			failed = err
			continue
		}
		r.c.metrics.joins.WithLabelValues("ok").Inc()
		answered++
	}
	if answered == 0 && failed == nil {
		failed = errNobody
	}
	if answered > 0 {
		failed = nil
		if t.seed != nil {
			t.seed.ok = true
		}
	}
	return failed
}

var errNobody = errors.New("nobody but this node is there")

// lookup resolves a seed now; what it gave last time may be long gone.
func (r *rejoiner) lookup(ctx context.Context, s *seed) ([]string, error) {
	if s.literal.IsValid() {
		return []string{s.addrs[0]}, nil
	}
	ips, err := r.c.cfg.Resolver(ctx, s.host)
	if err != nil {
		return nil, err
	}
	s.at, s.addrs = time.Now(), nil
	for _, ip := range ips {
		s.addrs = append(s.addrs, hostPort(ip.Unmap(), s.port))
	}
	return append([]string(nil), s.addrs...), nil
}

func (r *rejoiner) livesAt(addr string) bool {
	for _, m := range r.c.Members() {
		if m.State == StateAlive && m.Gossip == addr {
			return true
		}
	}
	return false
}

// isSelf reports whether an address leads back to this node.
func (c *Cluster) isSelf(addr string) bool {
	if addr == c.addr {
		return true
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || c.sockets == nil || int(ap.Port()) != c.sockets.port() {
		return false
	}
	bound := c.sockets.tcp.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	ip := ap.Addr().Unmap()
	if !bound.IsUnspecified() {
		return ip == bound
	}
	if ip.IsLoopback() {
		return true
	}
	locals, err := localAddrs()
	if err != nil {
		return false
	}
	return slices.Contains(locals, ip)
}

// jitter spreads a duration over 0.8 to 1.2 of itself.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) // #nosec G404 -- spreads load, keeps no secret
}
