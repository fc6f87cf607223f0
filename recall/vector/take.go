package vector

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/memd/memd/embed"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/recall"
)

const (
	// maxText is how many bytes of a memory are computed: what models look at, about.
	maxText = 8000
	// A text that is refused is tried again with a quarter of it, down to leastText.
	leastText = 256
	// giveUp is how often the shortest is tried, while the embedder takes another text.
	giveUp = 3
	// computeTimeout is for one call of the embedder, which may compute on a slow machine.
	computeTimeout = time.Minute
	// probe is the text that tells whether the embedder or another text is to blame.
	probe = "memd"
	// compactFrom is the size of a file that may be written anew when half of it is dead.
	compactFrom = 4 << 20
)

// textOf is what of a memory is computed.
func textOf(m *memory.Memory) string {
	return cut(strings.Join(append([]string{m.Title, m.Content}, m.Tags...), "\n"), maxText)
}

// cut shortens a text, between two characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

func sumOf(text string) (s sum) {
	h := memory.HashOf(text)
	copy(s[:], h[:])
	return s
}

// wanted is a memory whose vector is to be computed.
type wanted struct {
	put
	text string
}

// take applies changes. First what needs no embedder: who is gone, has moved or says something
// else now; then the vectors, a call at a time, so that a failure costs one call.
func (x *Index) take(ctx context.Context, changes []recall.Change, mark []byte) error {
	s := x.current()
	var now []put
	var want []wanted
	for _, c := range changes {
		if c.ID == "" {
			continue
		}
		held, had := s.get(c.ID)
		gone := put{id: c.ID}
		if c.Doc == nil {
			if had {
				now = append(now, gone)
			}
			continue
		}
		text := textOf(c.Doc)
		switch next := (put{id: c.ID, place: placeOf(c.Doc), sum: sumOf(text)}); {
		case !had:
			want = append(want, wanted{next, text})
		case held.sum != next.sum:
			now, want = append(now, gone), append(want, wanted{next, text})
		case held.place != next.place:
			next.Point = held.Point
			now = append(now, next)
		}
	}
	done := batch{seq: changes[len(changes)-1].Seq, mark: mark, puts: now}
	for part := range slices.Chunk(want, embed.MaxInputs) {
		if len(done.puts) > 0 {
			if err := x.keep(batch{x.seqNow(), x.mark, done.puts}); err != nil {
				return err
			}
		}
		var err error
		if done.puts, err = x.points(ctx, part); err != nil {
			return err
		}
	}
	return x.keep(done)
}

// points computes the vectors of some memories.
func (x *Index) points(ctx context.Context, part []wanted) ([]put, error) {
	s := x.current()
	if s.bytes() > x.cfg.MaxBytes {
		x.metrics.failures.WithLabelValues(useIndex, reasonFull).Add(float64(len(part)))
		x.log.Warn("there is no room for more vectors: recall finds what follows by its words alone", "bytes", s.bytes())
		return nil, nil
	}
	texts := make([]string, len(part))
	for i := range part {
		texts[i] = part[i].text
	}
	vectors, err := x.compute(ctx, texts, s.dims)
	if err != nil {
		return nil, err
	}
	out := make([]put, 0, len(part))
	for i, v := range vectors {
		if v == nil {
			x.metrics.failures.WithLabelValues(useIndex, reasonSkipped).Inc()
			x.log.Warn("the endpoint takes this memory not even shortened: it has no vector", "id", part[i].id)
			continue
		}
		p := part[i].put
		p.Point = quantise(v)
		out = append(out, p)
	}
	x.metrics.computed.Add(float64(len(out)))
	return out, nil
}

// keep writes a batch and makes it seen.
func (x *Index) keep(b batch) error {
	if err := x.file.append(&b); err != nil {
		return err
	}
	s := x.current()
	s.apply(b.puts)
	x.mark = b.mark
	x.mu.Lock()
	x.seq = b.seq
	x.mu.Unlock()
	live := int64(s.len()) * int64(s.dims+rowBytes)
	if x.file.size < max(2*live, compactFrom) {
		return nil
	}
	f, err := makeFile(x.cfg.File, x.cfg.Model, s, batch{seq: b.seq, mark: b.mark})
	if err != nil {
		return err
	}
	x.use(f, s, batch{seq: b.seq, mark: b.mark})
	return nil
}

// compute returns a vector for each text, nil for one that the embedder does not take although
// it takes others. It tries for as long as the embedder fails; its only error is that of ctx.
func (x *Index) compute(ctx context.Context, texts []string, dims int) ([][]float32, error) {
	refused := 0
	for wait := x.cfg.Retry; ; {
		out, err := x.ask(ctx, texts, dims)
		if err == nil {
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if r := embed.ReasonOf(err); dims != 0 && (r == embed.Input || r == embed.Invalid) {
			if _, err := x.ask(ctx, []string{probe}, dims); err == nil {
				// It is the texts: those that are good must not wait for the one that is not.
				if n := len(texts); n > 1 {
					return x.apart(ctx, texts[:n/2], texts[n/2:], dims)
				}
				if shorter := len(texts[0]) / 4; shorter >= leastText {
					texts = []string{cut(texts[0], shorter)}
					continue
				}
				// Unless it fails again, it was the embedder that was just getting well.
				if refused++; refused == giveUp {
					return [][]float32{nil}, nil
				}
			}
		}
		x.log.Warn("the endpoint for embeddings does not answer as it should: recall goes by words until it does", "err", err, "again_in", wait)
		if !pause(ctx, wait) {
			return nil, ctx.Err()
		}
		wait = min(2*wait, maxWait)
	}
}

func (x *Index) apart(ctx context.Context, one, two []string, dims int) ([][]float32, error) {
	a, err := x.compute(ctx, one, dims)
	if err != nil {
		return nil, err
	}
	b, err := x.compute(ctx, two, dims)
	return append(a, b...), err
}

// ask calls the embedder once. dims 0 takes vectors of any length.
func (x *Index) ask(ctx context.Context, texts []string, dims int) ([][]float32, error) {
	within, cancel := context.WithTimeout(ctx, computeTimeout)
	defer cancel()
	out, err := x.cfg.Embedder.Embed(within, texts)
	if err == nil && dims != 0 && len(out[0]) != dims {
		err = &embed.Error{Reason: embed.Dimensions}
	}
	if ctx.Err() == nil && (err != nil || dims != 0) { // a first answer is good once it is known to fit
		x.heard(useIndex, err)
	}
	return out, err
}

// heard notes how the embedder does.
func (x *Index) heard(use string, err error) {
	if err != nil {
		x.metrics.failures.WithLabelValues(use, string(embed.ReasonOf(err))).Inc()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ready = err == nil
}
