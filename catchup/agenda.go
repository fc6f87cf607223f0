package catchup

import (
	"time"

	"github.com/memd/memd/clock"
)

// agenda is the mailbox of one peer: why and when to pull it next. Triggers coalesce;
// what comes while a pull is under way asks for another one after it, since the peer
// may have read its answer before the trigger's cause.
//
// It is a plain value that decides; puller acts on it under the manager's mutex.
type agenda struct {
	posted  [numTriggers]time.Time // when each trigger is due; zero = not posted
	news    bool                   // one of them came after the last failure
	backoff backoff
	gap     gapWatch
	digest  digestWatch
}

// post asks for a pull at the given time or soon after it.
func (a *agenda) post(t Trigger, at time.Time) {
	if p := &a.posted[t.rank()]; p.IsZero() || at.Before(*p) {
		*p = at
	}
	a.news = a.news || t.news()
}

// next decides: pull now, for this trigger, or look again at wake (zero = when something
// is posted). Nothing is taken out of the mailbox yet, see begin.
func (a *agenda) next(now time.Time, mine, leased clock.Clock) (t Trigger, pull bool, wake time.Time) {
	if !a.gap.at.IsZero() && !now.Before(a.gap.at) && a.gap.due(now, mine, leased) {
		a.post(TriggerGap, now)
	}
	pull, wake = a.digest.judge(now, mine)
	if pull {
		a.post(TriggerDigest, now)
	}
	wake = earliest(wake, a.gap.at)
	first := -1
	for i, at := range a.posted {
		switch {
		case at.IsZero():
		case now.Before(at):
			wake = earliest(wake, at)
		case first < 0:
			first = i
		}
	}
	if first < 0 {
		return "", false, wake
	}
	if ok, until := a.backoff.ready(now, a.news); !ok {
		return "", false, earliest(wake, until)
	}
	return triggers[first], true, time.Time{}
}

// begin takes out what is due, since the pull that starts now serves it, and returns the
// most urgent of it.
func (a *agenda) begin(now time.Time) Trigger {
	first := numTriggers - 1
	for i := numTriggers - 1; i >= 0; i-- {
		if at := a.posted[i]; !at.IsZero() && !now.Before(at) {
			a.posted[i], first = time.Time{}, i
		}
	}
	a.backoff.begin(now)
	a.news = false
	return triggers[first]
}

// fail keeps the pull wanted, after the backoff.
func (a *agenda) fail(t Trigger, now time.Time, retryAfter time.Duration, random func(n int64) int64) {
	a.backoff.fail(now, retryAfter, random)
	news := a.news // a retry is none, but what came during the pull is
	a.post(t, now)
	a.news = news
}

// earliest returns the earlier time; zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
