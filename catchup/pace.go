package catchup

import (
	"slices"
	"time"
)

// pace is the timer behind all triggers: one peer per tick, everyone once per round,
// rarer while nothing changes.
type pace struct {
	base, now time.Duration
	order     []string // of visits
	news      int      // how many at its front were never visited
}

func newPace(interval time.Duration) pace { return pace{base: interval, now: interval} }

// wait returns the time to the next tick: 0.5 to 1.5 times the interval, so that nodes
// do not tick together.
func (p *pace) wait(random func(n int64) int64) time.Duration {
	return p.now/2 + time.Duration(random(int64(p.now)+1))
}

// quiet notes that a tick found nothing new.
func (p *pace) quiet() { p.now = max(p.base, min(2*p.now, maxInterval)) }

// changed notes that something did change, and reports whether the next tick should
// come sooner for it. If not it stays where it is: changes that never end must not put
// it off for ever.
func (p *pace) changed() bool {
	slow := p.now > p.base
	p.now = p.base
	return slow
}

// pick returns the peer to visit, "" if there is none. The order is random and stays, so
// that everyone is visited within as many ticks as there are peers; newcomers go first.
func (p *pace) pick(peers []string, random func(n int64) int64) string {
	p.order = slices.DeleteFunc(p.order, func(name string) bool { return !slices.Contains(peers, name) })
	p.news = min(p.news, len(p.order))
	for _, name := range peers {
		if !slices.Contains(p.order, name) {
			p.fresh(name, random)
		}
	}
	if len(p.order) == 0 {
		return ""
	}
	name := p.order[0]
	p.order = append(p.order[1:], name)
	p.news = max(0, p.news-1)
	return name
}

// fresh puts a newcomer at a random place among those not visited yet.
func (p *pace) fresh(name string, random func(n int64) int64) {
	p.order = slices.Insert(p.order, int(random(int64(p.news+1))), name)
	p.news++
}
