package catchup

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever asks for the first page while another one is asking waits, but for the hedge.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		enter := func(fixed bool) *turn {
			tn, err := g.enter(t.Context(), 15*time.Millisecond, fixed)
			if err != nil {
				t.Fatal(err)
			}
			return tn
		}
		began := time.Now()
		after := func(want time.Duration) {
			t.Helper()
			if got := time.Since(began); got != want {
				t.Errorf("after %v, want %v", got, want)
			}
		}
		var gone [4]error
		ask := func(tn *turn, i int) { tn.ask(func(err error) { gone[i] = err }) }
		a := enter(false)
		ask(a, 0)
		after(0)
		b := enter(true)
		ask(b, 1)
		after(15 * time.Millisecond) // a was silent
		c := enter(false)
		after(30 * time.Millisecond)
		c.answer() // overtakes a, which is not fixed, and not b, which is
		ask(c, 2)
		if !errors.Is(gone[0], errOvertaken) || gone[1] != nil || gone[2] != nil {
			t.Errorf("overtaken: %v", gone)
		}
		a.leave()
		b.leave()
		d := enter(false)
		after(30*time.Millisecond + stall) // c answers, and takes its time
		ask(d, 3)
		c.leave()
		c.leave()
		d.answer()
		d.leave()
		if gone[3] != nil {
			t.Error("d was overtaken by nobody")
		}
		e := enter(false)
		f := make(chan error)
		go func() {
			tn, err := g.enter(t.Context(), time.Hour, false)
			if err == nil {
				tn.leave()
			}
			f <- err
		}()
		synctest.Wait()
		e.leave()
		if err := <-f; err != nil {
			t.Error(err)
		}
		if len(g.asking)+len(g.waiting) != 0 {
			t.Error("someone is left")
		}
	})
}
