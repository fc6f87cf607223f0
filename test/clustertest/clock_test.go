package clustertest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/node"
	"github.com/memd/memd/test/clustertest"
)

// One wall clock of three is far off. Its node finds out and stamps nothing, and the
// others, who are right, go on: what they write wins over nothing by mistake.
func TestWrongClock(t *testing.T) {
	for _, offset := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		t.Run(fmt.Sprint(offset), func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) {
				c := clustertest.New(t, 3)
				c.Excuse("memd_hlc_future_rows_total") // to a clock that is late, all is in the future
				n3 := c.Node(3)
				w := n3.Store("before", "content", clustertest.W("3")).Want(201)
				n3.Restart(func(cfg *node.Config) { cfg.ClockOffset = offset })
				t.Logf("noticed after %v", c.Within(time.Minute, "n3 knows", func() bool {
					return strings.Contains(n3.Reasons(), "off its peers'")
				}))
				refused(t, n3, "clock_offset")
				if a := n3.Store("alone", "content", clustertest.W("1")).Want(503); a.Committed != false {
					t.Error(a)
				}
				n3.Get(w.ID).Want(200)
				// Time for all to have heard each other's clocks.
				for i := range 10 {
					time.Sleep(30 * time.Second)
					for _, n := range []*clustertest.Node{c.Node(1), c.Node(2)} {
						n.Store(fmt.Sprintf("%s is right %d", n.Label, i), "content", clustertest.W("3")).Want(201)
						if why := n.Reasons(); why != "" {
							t.Errorf("%s: %s", n.Label, why)
						}
					}
				}
				refused(t, n3, "clock_offset")
				n3.Restart(func(cfg *node.Config) { cfg.ClockOffset = 0 })
				c.WaitReady()
				n3.Update(w.ID, "after").Want(200)
				c.WaitEqual()
			})
		})
	}
}
