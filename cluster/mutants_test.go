package cluster

import (
	"testing"

	"github.com/memd/memd/internal/mutant"
)

// TestFatDigestIsNoticed: memberlist would never send what does not fit into a packet, and
// nobody would hear of it. packet is what it leaves for such messages.
func TestFatDigestIsNoticed(t *testing.T) {
	const overhead, packet = 3, 1300
	for m, want := range map[mutant.Set]int{0: 1, mutant.FatDigest: 0} {
		q := newQueue(m)
		q.spread(numbered{Seq: 1, Digest: Digest{Boot: 1}})
		if got := q.take(overhead, packet, func() int { return 3 }); len(got) != want {
			t.Errorf("%s: %d digests in the packet, want %d", m, len(got), want)
		}
	}
}
