package vector

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/recall"
)

// Near is a memory that was found.
type Near struct {
	ID    string
	Score float32 // cosine of the angle between it and the question, about
}

// place is what of a memory is looked at before its vector: memories have few different ones.
type place struct{ namespace, scope, tier string }

func placeOf(m *memory.Memory) place { return place{m.Namespace, m.Scope(), m.Tier} }

// sum tells whether a memory has still the text that its vector is of.
type sum [8]byte

// set is the vectors in RAM. A row keeps its number until it is removed, so that a search,
// which lets writers in between two blocks, meets each once.
type set struct {
	dims int

	mu     sync.RWMutex
	blocks [][]int8 // of blockRows vectors each
	rows   []row
	free   []int32
	byID   map[string]int32

	places    []placeCount
	byPlace   map[place]int32
	freePlace []int32
	moved     int // counts changes of what a number of a place means
}

type row struct {
	id    string // "" = free
	place int32
	scale float32
	sum   sum
}

type placeCount struct {
	place
	count int
}

const (
	blockRows = 1024
	// rowBytes is about what a row costs beside its numbers.
	rowBytes = 160
)

func newSet(dims int) *set {
	return &set{dims: dims, byID: make(map[string]int32), byPlace: make(map[place]int32)}
}

// len is how many vectors there are, bytes about what they cost.
func (s *set) len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.byID)
}

func (s *set) bytes() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return int64(len(s.blocks)) * int64(blockRows) * int64(s.dims+rowBytes)
}

func (s *set) numbers(i int32) []int8 {
	at := int(i) % blockRows * s.dims
	return s.blocks[int(i)/blockRows][at : at+s.dims : at+s.dims]
}

// get returns what is held of a memory. The numbers stay as they are until the next change.
func (s *set) get(id string) (put, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, ok := s.byID[id]
	if !ok {
		return put{}, false
	}
	return s.at(i), true
}

func (s *set) at(i int32) put {
	r := &s.rows[i]
	return put{id: r.id, place: s.places[r.place].place, sum: r.sum, Point: Point{r.scale, s.numbers(i)}}
}

// apply takes changes, in order.
func (s *set) apply(ops []put) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range ops {
		i, had := s.byID[op.id]
		if op.numbers == nil {
			if had {
				s.remove(i)
			}
			continue
		}
		if !had {
			i = s.newRow()
			s.byID[op.id] = i
		}
		where := s.enter(op.place)
		if had {
			s.leave(s.rows[i].place)
		}
		s.rows[i] = row{op.id, where, op.scale, op.sum}
		copy(s.numbers(i), op.numbers)
	}
}

func (s *set) newRow() int32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	if len(s.rows)%blockRows == 0 {
		s.blocks = append(s.blocks, make([]int8, blockRows*s.dims))
	}
	s.rows = append(s.rows, row{})
	return int32(len(s.rows) - 1)
}

func (s *set) remove(i int32) {
	delete(s.byID, s.rows[i].id)
	s.leave(s.rows[i].place)
	s.rows[i] = row{}
	s.free = append(s.free, i)
}

func (s *set) enter(p place) int32 {
	i, ok := s.byPlace[p]
	if !ok {
		s.moved++
		if n := len(s.freePlace); n > 0 {
			i = s.freePlace[n-1]
			s.freePlace = s.freePlace[:n-1]
		} else {
			i = int32(len(s.places))
			s.places = append(s.places, placeCount{})
		}
		s.places[i], s.byPlace[p] = placeCount{place: p}, i
	}
	s.places[i].count++
	return i
}

func (s *set) leave(i int32) {
	p := &s.places[i]
	if p.count--; p.count == 0 {
		s.moved++
		delete(s.byPlace, p.place)
		*p = placeCount{}
		s.freePlace = append(s.freePlace, i)
	}
}

// nearest returns the k rows that lie nearest to q, the nearest first, of those in places that
// are allowed.
func (s *set) nearest(ctx context.Context, q Point, k int, allowed func(place) bool) ([]Near, error) {
	w := search{q: q, k: k, allowed: allowed}
	for b := 0; ; b++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !w.block(s, b) {
			break
		}
	}
	slices.SortFunc(w.best, func(a, b Near) int { return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.ID, b.ID)) })
	return w.best, nil
}

// search is one search on its way.
type search struct {
	q       Point
	k       int
	allowed func(place) bool
	best    nearHeap

	asked []int8 // of each place: 1 allowed, -1 not, 0 not asked yet
	moved int
}

// block looks at one block of the set and tells whether there was one.
func (w *search) block(s *set, b int) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b >= len(s.blocks) {
		return false
	}
	if w.asked == nil || w.moved != s.moved {
		w.asked, w.moved = make([]int8, len(s.places)), s.moved
	}
	rows := s.rows[b*blockRows : min((b+1)*blockRows, len(s.rows))]
	for i := range rows {
		r := &rows[i]
		if r.id == "" || !w.in(s, r.place) {
			continue
		}
		at := i * s.dims
		score := float32(dot(w.q.numbers, s.blocks[b][at:at+s.dims])) * w.q.scale * r.scale
		switch {
		case len(w.best) < w.k:
			heap.Push(&w.best, Near{r.id, score})
		case worse(w.best[0], Near{r.id, score}):
			w.best[0] = Near{r.id, score}
			heap.Fix(&w.best, 0)
		}
	}
	return true
}

func (w *search) in(s *set, p int32) bool {
	if w.asked[p] == 0 {
		w.asked[p] = -1
		if w.allowed(s.places[p].place) {
			w.asked[p] = 1
		}
	}
	return w.asked[p] > 0
}

// nearHeap has the worst on top.
type nearHeap []Near

func worse(a, b Near) bool {
	return a.Score < b.Score || a.Score == b.Score && a.ID > b.ID
}

func (h nearHeap) Len() int           { return len(h) }
func (h nearHeap) Less(i, j int) bool { return worse(h[i], h[j]) }
func (h nearHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *nearHeap) Push(x any)        { *h = append(*h, x.(Near)) }
func (h *nearHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// allows makes of a restriction what the places can say of it. The rest is for who reads the
// memories.
func allows(r *recall.Restriction) func(place) bool {
	return func(p place) bool {
		if len(r.Namespaces) > 0 && !slices.Contains(r.Namespaces, p.namespace) || r.Tier != "" && p.tier != r.Tier {
			return false
		}
		return recall.VisibleIn(p.namespace, p.scope, r.As)
	}
}

// each hands over all that is held, in parts. Nobody may change the set meanwhile.
func (s *set) each(yield func([]put) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for from := 0; from < len(s.rows); from += blockRows {
		var part []put
		for i := from; i < min(from+blockRows, len(s.rows)); i++ {
			if s.rows[i].id != "" {
				part = append(part, s.at(int32(i)))
			}
		}
		if len(part) == 0 {
			continue
		}
		if err := yield(part); err != nil {
			return err
		}
	}
	return nil
}
