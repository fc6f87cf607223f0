package cluster

import (
	"fmt"
	"testing"
)

func TestQueue(t *testing.T) {
	five := func() int { return 5 }
	q := newQueue(0)
	for i := range 10 {
		q.add(fmt.Sprint(i), []byte{byte(i), 0})
	}
	q.add("3", []byte{3, 1})
	got := map[byte]int{}
	packets := 0
	for {
		msgs := q.take(3, 12, five) // room for two
		if len(msgs) == 0 {
			break
		}
		if packets++; len(msgs) > 2 {
			t.Fatalf("%d messages in a packet for 2", len(msgs))
		}
		for _, m := range msgs {
			if m[0] == 3 && m[1] != 1 {
				t.Fatal("an old message was sent")
			}
			got[m[0]]++
		}
	}
	if len(got) != 10 || packets != 10*retransmit/2 {
		t.Fatalf("%d packets: %v", packets, got)
	}
	q.add("too long", make([]byte, 100))
	if q.take(3, 50, five) != nil {
		t.Fatal("more than the limit")
	}
}
