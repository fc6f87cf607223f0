package cluster

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDigestsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDigests()
		if _, ok, wait := s.due(time.Now()); ok || wait != 0 {
			t.Fatal("something is due before anything was announced")
		}
		var sent []numbered
		start := time.Now()
		for i := range uint64(995) { // 10 s, one each 10 ms
			s.announce(Digest{Boot: 1, Counter: i, ClockHash: i * 3})
			if d, ok, _ := s.due(time.Now()); ok {
				sent = append(sent, d)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(sent); n < 45 || n > 51 {
			t.Fatalf("%d announcements in %v", n, time.Since(start))
		}
		_, ok, wait := s.due(time.Now())
		if ok || wait <= 0 {
			t.Fatal("the last one has no time set")
		}
		time.Sleep(wait)
		d, ok, _ := s.due(time.Now())
		if !ok || d.Counter != 994 {
			t.Fatalf("the newest was lost: %+v %v", d, ok)
		}
		time.Sleep(time.Second)
		if s.announce(Digest{Boot: 1, Counter: 994, ClockHash: 994 * 3}) {
			t.Fatal("an unchanged digest is news")
		}
		if _, ok, wait := s.due(time.Now()); ok || wait != 0 {
			t.Fatal("an unchanged digest is sent")
		}
		s.again()
		if again, ok, _ := s.due(time.Now()); !ok || again.Seq != d.Seq+1 || again.Digest != d.Digest {
			t.Fatalf("again gave %+v, %v", again, ok)
		}
	})
}

// A late copy is no news, or two relays would keep each other busy for ever.
func TestDigestsOrder(t *testing.T) {
	s := newDigests()
	old := numbered{Digest: Digest{Boot: 7, Counter: 5, ClockHash: 1}, Seq: 1}
	now := numbered{Digest: Digest{Boot: 7, Counter: 5, ClockHash: 2}, Seq: 2}
	if !s.hear(now) || s.hear(old) || s.hear(now) {
		t.Fatal("order")
	}
	if got := s.take(); len(got) != 1 || got[0] != now.Digest {
		t.Fatalf("took %v", got)
	}
	if got := s.take(); got != nil {
		t.Fatalf("took twice: %v", got)
	}
	s.forget(map[uint64]bool{8: true})
	if len(s.known()) != 0 {
		t.Fatal("not forgotten")
	}
}

func TestMessageSizes(t *testing.T) {
	q := newQueue(0)
	q.spread(numbered{Seq: 1<<32 - 1, Digest: Digest{1 << 63, 1 << 63, 1 << 63, 1 << 63}})
	if msgs := q.take(3, 200, func() int { return 3 }); len(msgs) != 1 || len(msgs[0]) != 37 {
		t.Fatalf("a digest is %x", msgs)
	}
	all := make([]numbered, 1000)
	if n := len(encodeState(all)); n > 2500 {
		t.Fatalf("push/pull state takes %d bytes", n)
	}
}
