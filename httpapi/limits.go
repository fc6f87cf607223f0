package httpapi

import (
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/memd/memd/auth"
)

// Limits of requests. They keep one caller from taking everything from the others; what a
// node can do at all is bounded by its queues.
type Limits struct {
	// Rate is how many requests a second one principal, and one address beyond this
	// machine, may send, with bursts of twice as many; 0 = 5000, below 0 = any number.
	// Calls of peers are not counted.
	Rate float64
	// BadKeys is how many wrong keys one address may try at once; one more every second.
	// 0 = 30.
	BadKeys int
}

func (l Limits) withDefaults() Limits {
	if l.Rate == 0 {
		l.Rate = 5000
	}
	if l.BadKeys <= 0 {
		l.BadKeys = 30
	}
	return l
}

// tableSize bounds how many callers are remembered, about; who has not called for long is
// forgotten first.
const tableSize = 8192

type limits struct {
	principals, addresses, guesses *buckets // nil = any number
}

func newLimits(l Limits) *limits {
	out := &limits{guesses: newBuckets(1, l.BadKeys)}
	if l.Rate > 0 {
		burst := int(min(2*l.Rate, math.MaxInt32))
		out.principals, out.addresses = newBuckets(rate.Limit(l.Rate), max(burst, 1)), newBuckets(rate.Limit(l.Rate), max(burst, 1))
	}
	return out
}

// admit counts a request.
func (l *limits) admit(c *call) error {
	if l.principals == nil {
		return nil
	}
	if p := c.who; p != nil {
		if wait := l.principals.take("p:"+p.ID+p.Name, 1); wait > 0 {
			return c.door.refuse("rate_principal", tooMany(wait, "too many requests with this key"))
		}
	}
	if !local(c.r) {
		if wait := l.addresses.take(caller(c.r), 1); wait > 0 {
			return c.door.refuse("rate_address", tooMany(wait, "too many requests from this address"))
		}
	}
	return nil
}

// guessing counts a wrong key of an address, or only asks how long it has to wait.
func (l *limits) guessing(at string, wrong bool) time.Duration {
	n := 0
	if wrong {
		n = 1
	}
	return l.guesses.take(at, n)
}

func tooMany(wait time.Duration, text string) *problem {
	return &problem{
		Status: http.StatusTooManyRequests, Code: "TOO_MANY_REQUESTS", Text: text,
		RetryAfter: int(math.Ceil(min(wait, time.Hour).Seconds())),
	}
}

// buckets are token buckets by caller, at most twice tableSize of them: of two tables the
// older is dropped when the younger is full, and who calls is moved to the younger.
type buckets struct {
	limit rate.Limit
	burst int

	mu         sync.Mutex
	young, old map[string]*rate.Limiter
}

func newBuckets(limit rate.Limit, burst int) *buckets {
	return &buckets{limit: limit, burst: burst, young: make(map[string]*rate.Limiter)}
}

// take takes n tokens of a caller, and returns how long it has to wait if they are not
// there; then nothing is taken. Without n it waits for one.
func (b *buckets) take(caller string, n int) time.Duration {
	now := time.Now()
	l := b.of(caller, n > 0)
	if l == nil {
		return 0
	}
	r := l.ReserveN(now, max(n, 1))
	wait := r.DelayFrom(now)
	if wait > 0 || n == 0 {
		r.CancelAt(now)
	}
	return wait
}

// of finds the bucket of a caller; without make only one that is there.
func (b *buckets) of(caller string, create bool) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.young[caller]; l != nil {
		return l
	}
	l := b.old[caller]
	if l == nil {
		if !create {
			return nil
		}
		l = rate.NewLimiter(b.limit, b.burst)
	}
	if len(b.young) >= tableSize {
		b.old, b.young = b.young, make(map[string]*rate.Limiter)
	}
	b.young[caller] = l
	return l
}

var _ Keyring = (*auth.Keys)(nil)
