package cluster

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/memd/memd/internal/mutant"
)

// Digest is a hint: the process Boot has issued dots up to Counter under Origin
// (0: none yet), and its clock hashes to ClockHash. A peer whose own state
// differs asks over the data channel. Digests may be lost, and nothing may
// depend on them.
type Digest struct {
	Boot      uint64
	Origin    uint64
	Counter   uint64
	ClockHash uint64
}

// numbered is a Digest with its place among those of its process. Without it a
// late copy could pass for news, and nodes that relay would keep old and new
// circling for ever.
type numbered struct {
	Digest
	Seq uint32
}

// Messages that ride on gossip; the first byte is the kind. Longer ones than
// this build knows are read as far as it knows them, unknown kinds are ignored.
const (
	msgDigest   = 1 // seq 4, boot 8, origin 8, counter 8, clock hash 8
	msgGoodbye  = 2 // boot 8: this process leaves
	msgConflict = 3 // name and address with a length byte each, then meta: another process uses your name

	digestLen = 36
)

func (d numbered) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, d.Seq)
	b = binary.BigEndian.AppendUint64(b, d.Boot)
	b = binary.BigEndian.AppendUint64(b, d.Origin)
	b = binary.BigEndian.AppendUint64(b, d.Counter)
	return binary.BigEndian.AppendUint64(b, d.ClockHash)
}

func decodeDigest(b []byte) (numbered, bool) {
	if len(b) < digestLen {
		return numbered{}, false
	}
	return numbered{Seq: binary.BigEndian.Uint32(b), Digest: Digest{
		Boot:      binary.BigEndian.Uint64(b[4:]),
		Origin:    binary.BigEndian.Uint64(b[12:]),
		Counter:   binary.BigEndian.Uint64(b[20:]),
		ClockHash: binary.BigEndian.Uint64(b[28:]),
	}}, true
}

// The state that rides on push/pull: format, count, digests.
const (
	stateFormat     = 1
	maxStateDigests = 64
)

func encodeState(ds []numbered) []byte {
	ds = ds[:min(len(ds), maxStateDigests)]
	b := make([]byte, 0, 2+digestLen*len(ds))
	b = append(b, stateFormat, byte(len(ds)))
	for _, d := range ds {
		b = d.append(b)
	}
	return b
}

func decodeState(b []byte) ([]numbered, error) {
	if len(b) < 2 || b[0] != stateFormat {
		return nil, fmt.Errorf("push/pull state of %d bytes is not of format %d", len(b), stateFormat)
	}
	n := int(b[1])
	if n > maxStateDigests || len(b)-2 < n*digestLen {
		return nil, fmt.Errorf("push/pull state of %d bytes claims %d digests", len(b), n)
	}
	ds := make([]numbered, n)
	for i := range ds {
		ds[i], _ = decodeDigest(b[2+i*digestLen:])
	}
	return ds, nil
}

// digestEvery is the shortest time between two announcements.
const digestEvery = 200 * time.Millisecond

// digests keeps what this node announces and what it heard.
type digests struct {
	mu      sync.Mutex
	own     numbered // the last one announced; Seq 0 = none yet
	pending *Digest  // the newest one not yet announced
	sentAt  time.Time
	heard   map[uint64]numbered // the newest of each living process
	fresh   map[uint64]numbered // heard, not yet handed to OnDigest
}

func newDigests() *digests {
	return &digests{heard: map[uint64]numbered{}, fresh: map[uint64]numbered{}}
}

// announce notes what to say next; false means that nothing has changed.
func (s *digests) announce(d Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own.Seq > 0 && s.own.Digest == d {
		s.pending = nil
		return false
	}
	if s.pending != nil && *s.pending == d {
		return false
	}
	s.pending = &d
	return true
}

// again makes the last announcement news once more, for peers that were out of
// reach.
func (s *digests) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil && s.own.Seq > 0 {
		d := s.own.Digest
		s.pending = &d
	}
}

// due returns the digest to announce now, or how long to wait for it (0: there
// is none).
func (s *digests) due(now time.Time) (d numbered, ok bool, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		return numbered{}, false, 0
	}
	if wait := digestEvery - now.Sub(s.sentAt); s.own.Seq > 0 && wait > 0 {
		return numbered{}, false, wait
	}
	s.own = numbered{Digest: *s.pending, Seq: s.own.Seq + 1}
	s.pending, s.sentAt = nil, now
	return s.own, true, 0
}

// hear takes a digest in; false means that it is no news.
func (s *digests) hear(d numbered) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.heard[d.Boot]; ok && d.Seq <= last.Seq {
		return false
	}
	s.heard[d.Boot] = d
	s.fresh[d.Boot] = d
	return true
}

// take returns what was heard since the last call.
func (s *digests) take() []Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fresh) == 0 {
		return nil
	}
	ds := make([]Digest, 0, len(s.fresh))
	for _, d := range s.fresh {
		ds = append(ds, d.Digest)
	}
	clear(s.fresh)
	return ds
}

// known returns what push/pull tells a peer: the own digest first.
func (s *digests) known() []numbered {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ds []numbered
	if s.own.Seq > 0 {
		ds = append(ds, s.own)
	}
	for _, d := range s.heard {
		ds = append(ds, d)
	}
	return ds
}

// forget drops processes that are no living members any more, so that the map
// is bounded by them.
func (s *digests) forget(living map[uint64]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for boot := range s.heard {
		if !living[boot] {
			delete(s.heard, boot)
		}
	}
}

// spread queues a digest; a newer one of the same process takes its place.
func (q *queue) spread(d numbered) {
	msg := d.append([]byte{msgDigest})
	if q.mutants.Has(mutant.FatDigest) {
		msg = append(msg, make([]byte, 1400)...)
	}
	q.add(fmt.Sprintf("digest %016x", d.Boot), msg)
}
