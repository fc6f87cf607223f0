package catchup

import (
	"time"

	"github.com/memd/memd/clock"
)

// holes returns the dots that c lacks below the highest one of the same origin. They
// are pushes under way, or lost, or dead: on no disk at all. Only the claim of a peer
// tells which, so a hole as such is neither lag nor a reason to ask twice.
func holes(c clock.Clock) clock.Clock {
	var out clock.Clock
	for o := range c.Origins() {
		base, above := c.Entry(o)
		for _, iv := range above {
			out.AddRange(o, base+1, iv.Lo-1)
			base = iv.Hi
		}
	}
	return out
}

// gapWatch decides whether the hole that a push showed is worth a pull from its sender.
type gapWatch struct {
	at    time.Time   // when to look again; zero = not watching
	holes clock.Clock // that were there when the watch began
	again bool        // the sender showed a hole while the watch ran
	// unclaimed are holes that a complete pull from this peer left open: it lacks them
	// too, and asking once more would be a loop, since a dead hole stays for ever.
	unclaimed clock.Clock
}

// seen begins a watch if the peer may have what is missing.
func (g *gapWatch) seen(now time.Time, mine clock.Clock) {
	if !g.at.IsZero() {
		g.again = true
		return
	}
	g.again = false
	if g.holes = holes(mine).Minus(g.unclaimed); !g.holes.Empty() {
		g.at = now.Add(gapAge)
	}
}

// due reports, once the watch has run its time, whether to pull: for a hole that is
// still open and that no pull under way has leased.
func (g *gapWatch) due(now time.Time, mine, leased clock.Clock) bool {
	if g.at.IsZero() || now.Before(g.at) {
		return false
	}
	g.at = time.Time{}
	open := g.holes.Minus(mine).Minus(g.unclaimed).Minus(leased)
	g.holes = clock.Clock{}
	if g.again {
		g.seen(now, mine)
	}
	return !open.Empty()
}

// pulled notes that the peer gave all that it has and does not withhold, claims.
func (g *gapWatch) pulled(mine, claims clock.Clock) {
	g.unclaimed = holes(mine).Minus(claims)
}
