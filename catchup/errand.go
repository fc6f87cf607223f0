package catchup

import "time"

// errand finds a peer that answers: it posts its trigger to the best ones, and to the
// next best when one fails or stays silent for the hedge. It ends with the first
// complete pull that began after it, or when everyone has been asked; from there each
// peer's own backoff carries on.
type errand struct {
	width int // peers to ask at once
	hedge time.Duration
	// all: a complete pull does not end the errand, only rules out its peer, and silent
	// ones are not waited for. For a token, whose dots a peer may not have.
	all   bool
	start uint64 // event number at which the errand began

	launched []launch
	silence  time.Time // when the last one was added
}

type launch struct {
	name string
	at   uint64
}

// step decides on the peers to post to now, as ranked, and when to look again if nothing
// happens before: zero = not by itself.
func (e *errand) step(now time.Time, event uint64, peers []candidate) (post []string, wake time.Time, done bool) {
	active, heard, untried := 0, time.Time{}, peers[:0:0]
	for _, p := range peers {
		l, tried := e.find(p.name)
		switch {
		case p.okStart >= e.start && !e.all:
			return nil, time.Time{}, true
		case !tried:
			untried = append(untried, p)
		case p.okStart < l.at && p.failedAt < l.at:
			active++
			if p.answeredAt >= l.at {
				heard = latest(heard, p.answeredWhen)
			}
		}
	}
	quiet := latest(e.silence.Add(e.patience()), heard.Add(stall))
	// Whoever failed is replaced; silence adds one.
	add := max(0, e.width-active)
	if active > 0 && !now.Before(quiet) {
		add = max(add, 1)
	}
	for _, p := range untried[:min(add, len(untried))] {
		post = append(post, p.name)
		e.launched = append(e.launched, launch{p.name, event})
		active++
		e.silence = now
	}
	if len(post) > 0 {
		quiet = latest(e.silence.Add(e.patience()), heard.Add(stall))
	}
	left := len(untried) > len(post)
	switch {
	case active == 0, e.all && !left && !now.Before(quiet):
		return nil, time.Time{}, true
	case left || e.all:
		return post, quiet, false
	}
	return post, time.Time{}, false
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// patience is the hedge for each peer of the first wave: they are asked one after the
// other if they stay silent, see gate.
func (e *errand) patience() time.Duration {
	if len(e.launched) <= e.width {
		return e.hedge * time.Duration(e.width)
	}
	return e.hedge
}

func (e *errand) find(name string) (launch, bool) {
	for _, l := range e.launched {
		if l.name == name {
			return l, true
		}
	}
	return launch{}, false
}
