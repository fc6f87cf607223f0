package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memd/memd/client"
)

// benchLoad is the clients of one bench and what they have done.
type benchLoad struct {
	cfg     *benchConfig
	run     string           // in every title: what is removed is what this run wrote
	doors   []*client.Client // one for each server as the first to be asked
	clients []*benchClient
	next    atomic.Int64 // title
	written atomic.Int64 // memories that are there, or may be

	mu   sync.Mutex
	puts []benchMemory
}

// benchMemory is one that can be asked for.
type benchMemory struct{ id, token, text string }

// benchClient does one thing after the other.
type benchClient struct {
	door   *client.Client
	rnd    *mrand.Rand
	took   map[string][]int32 // microseconds, by kind
	failed map[benchFail]int
}

// benchFirst memories are there before the clock starts, for gets and recalls to find.
const benchFirst = 64

func (c *benchConfig) load() (*benchLoad, error) {
	l := &benchLoad{cfg: c, run: strings.ToLower(rand.Text()[:8])}
	servers := compact(c.conn.servers)
	if len(servers) == 0 {
		return nil, usagef("--server: want at least one")
	}
	agent := c.conn.writer(c.agent)
	for i := range servers {
		c.conn.servers = append(append([]string(nil), servers[i:]...), servers[:i]...)
		door, err := c.conn.open(agent)
		if err != nil {
			l.close()
			return nil, err
		}
		l.doors = append(l.doors, door)
	}
	c.conn.servers = servers
	for i := range c.clients {
		l.clients = append(l.clients, &benchClient{
			door: l.doors[i%len(l.doors)], rnd: mrand.New(mrand.NewPCG(mrand.Uint64(), uint64(i))), // #nosec G404 -- texts of a load, no secret
			took: map[string][]int32{}, failed: map[benchFail]int{},
		})
	}
	return l, nil
}

func (l *benchLoad) close() {
	for _, d := range l.doors {
		d.Close()
	}
}

// claim makes sure that nobody else's memories are where this writes.
func (l *benchLoad) claim(ctx context.Context) error {
	for _, d := range l.doors {
		found, err := d.List(ctx, client.Filter{Namespace: l.cfg.namespace, Limit: 1}, client.ReadOptions{})
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return usagef("--namespace %s has memories: a bench writes only where there are none", l.cfg.namespace)
		}
	}
	return nil
}

// play is the load itself. It ends early, and well, when ctx does.
func (l *benchLoad) play(ctx context.Context, stderr io.Writer) (time.Duration, error) {
	for range benchFirst {
		c := &benchClient{door: l.doors[0], rnd: mrand.New(mrand.NewPCG(mrand.Uint64(), 0))} // #nosec G404 -- texts of a load, no secret
		if err := l.put(ctx, c); err != nil {
			return 0, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.duration)
	defer cancel()
	began := time.Now()
	turns := l.turns(ctx, began)
	var all sync.WaitGroup
	for _, c := range l.clients {
		all.Go(func() {
			for range turns {
				l.one(ctx, c)
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); all.Wait() }()
	p := newProgress(stderr, "done")
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for said := int64(0); ; {
		select {
		case <-done:
			p.leave()
			return time.Since(began), nil
		case <-tick.C:
			now := l.written.Load()
			p.add(now-said, (now-said)*int64(l.cfg.size))
			said = now
		}
	}
}

// turns lets a client go for each thing that it receives: at once, or at the rate.
func (l *benchLoad) turns(ctx context.Context, began time.Time) <-chan struct{} {
	turns := make(chan struct{})
	go func() {
		defer close(turns)
		for i := 0; ; i++ {
			if l.cfg.rate > 0 {
				due := began.Add(time.Duration(float64(i) / l.cfg.rate * float64(time.Second)))
				select {
				case <-time.After(time.Until(due)):
				case <-ctx.Done():
					return
				}
			}
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return turns
}

// one does one operation and notes how long it took. What the end of the bench cut off is
// not counted.
func (l *benchLoad) one(ctx context.Context, c *benchClient) {
	kind := l.choose(c.rnd)
	began := time.Now()
	var err error
	switch kind {
	case benchPut:
		err = l.put(ctx, c)
	case benchGet:
		err = l.get(ctx, c)
	case benchRecall:
		err = l.recall(ctx, c)
	}
	took := time.Since(began)
	switch {
	case err == nil:
		c.took[kind] = append(c.took[kind], int32(min(took.Microseconds(), 1<<31-1)))
	case ctx.Err() == nil:
		c.failed[benchFail{Op: kind, Error: benchError(err)}]++
	}
}

// benchError leaves out what differs from one time to the next.
func benchError(err error) string {
	for _, known := range []error{client.ErrInvalid, client.ErrNotFound, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	text := oneLine(err.Error())
	return text[:min(len(text), 200)]
}

func (l *benchLoad) choose(rnd *mrand.Rand) string {
	sum := 0
	for _, w := range l.cfg.weights {
		sum += w
	}
	n := rnd.IntN(sum)
	for _, kind := range benchKinds {
		if n -= l.cfg.weights[kind]; n < 0 {
			return kind
		}
	}
	return benchGet // not reached
}

func (l *benchLoad) title(n int64) string { return fmt.Sprintf("bench %s %08d", l.run, n) }

func (l *benchLoad) put(ctx context.Context, c *benchClient) error {
	title, text := l.title(l.next.Add(1)), benchText(c.rnd, l.cfg.size)
	l.written.Add(1)
	s, err := c.door.Store(ctx, client.Draft{Title: title, Content: text, Namespace: l.cfg.namespace, Tier: "short", Source: "cli"}, client.WriteOptions{W: l.cfg.w})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.puts = append(l.puts, benchMemory{s.ID, s.Token, text[:min(len(text), 60)]})
	return nil
}

// any of what was put.
func (l *benchLoad) any(rnd *mrand.Rand) benchMemory {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.puts[rnd.IntN(len(l.puts))]
}

func (l *benchLoad) get(ctx context.Context, c *benchClient) error {
	m := l.any(c.rnd)
	_, err := c.door.Get(ctx, m.id, client.ReadOptions{After: m.token})
	return err
}

// recall asks for three words of a memory.
func (l *benchLoad) recall(ctx context.Context, c *benchClient) error {
	words := strings.Fields(l.any(c.rnd).text)
	at := c.rnd.IntN(max(len(words)-3, 1))
	q := client.Query{Text: strings.Join(words[at:min(at+3, len(words))], " "), Filter: client.Filter{Namespace: l.cfg.namespace}}
	_, err := c.door.Recall(ctx, q, client.ReadOptions{})
	return err
}

// benchText is words out of some 4,000 that a language could have, of about so many bytes.
func benchText(rnd *mrand.Rand, size int) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	var b strings.Builder
	for b.Len() < size {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		for range 2 {
			b.WriteByte(consonants[rnd.IntN(len(consonants))])
			b.WriteByte(vowels[rnd.IntN(len(vowels))])
		}
	}
	return strings.TrimSpace(b.String()[:size])
}

// remove deletes what this run wrote, and nothing else: also what a write left behind that
// was not acknowledged.
func (l *benchLoad) remove(ctx context.Context) (removed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute+2*l.cfg.duration)
	defer cancel()
	l.mu.Lock()
	ids := make(map[string]bool, len(l.puts))
	after := ""
	for _, m := range l.puts {
		ids[m.id], after = true, m.token
	}
	l.mu.Unlock()
	var count atomic.Int64
	for pass := 0; ; pass++ {
		left, err := l.listed(ctx, after)
		if err != nil {
			return int(count.Load()), err
		}
		if pass == 0 {
			for id := range ids {
				left[id] = true
			}
		}
		if len(left) == 0 {
			return int(count.Load()), nil
		}
		if pass == 3 {
			return int(count.Load()), fmt.Errorf("%s are still there", countMemories(len(left)))
		}
		todo := make(chan string)
		var all sync.WaitGroup
		for i := range min(len(left), 16) {
			door := l.doors[i%len(l.doors)]
			all.Go(func() {
				for id := range todo {
					// What fails is found by the next look.
					d, err := door.Delete(ctx, id, client.WriteOptions{})
					if err == nil {
						count.Add(1)
						l.mu.Lock()
						after = d.Token
						l.mu.Unlock()
					}
				}
			})
		}
		for id := range left {
			todo <- id
		}
		close(todo)
		all.Wait()
	}
}

// listed are the memories of this run that a list of the namespace shows.
func (l *benchLoad) listed(ctx context.Context, after string) (map[string]bool, error) {
	const page = 1000
	found := map[string]bool{}
	for offset := 0; ; offset += page {
		list, err := l.doors[0].List(ctx, client.Filter{Namespace: l.cfg.namespace, Limit: page, Offset: offset}, client.ReadOptions{After: after})
		if err != nil {
			return nil, err
		}
		for i := range list {
			if strings.HasPrefix(list[i].Title, "bench "+l.run+" ") {
				found[list[i].ID] = true
			}
		}
		if len(list) < page {
			return found, nil
		}
	}
}
