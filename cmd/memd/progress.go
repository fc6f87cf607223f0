package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress tells how far long work is: on a terminal in one line that is written over,
// otherwise in a line now and then.
type progress struct {
	w          io.Writer
	verb       string
	onTerminal bool
	every      time.Duration

	began, said time.Time
	n, bytes    int64
	open        bool // the cursor stands in the line that is written over
}

func newProgress(w io.Writer, verb string) *progress {
	p := &progress{w: w, verb: verb, every: 10 * time.Second, began: time.Now()}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.onTerminal, p.every = true, 200*time.Millisecond
	}
	p.said = p.began
	return p
}

// add counts records and their bytes.
func (p *progress) add(n, bytes int64) {
	p.n += n
	p.bytes += bytes
	if time.Since(p.said) >= p.every {
		p.line()
	}
}

func (p *progress) line() {
	p.said = time.Now()
	took := max(p.said.Sub(p.began), time.Millisecond)
	text := fmt.Sprintf("%s %d, %.1f MiB, %.0f/s, %s", p.verb, p.n, float64(p.bytes)/(1<<20), float64(p.n)/took.Seconds(), took.Round(time.Second))
	if p.onTerminal {
		fmt.Fprintf(p.w, "\r%s\x1b[K", text)
		p.open = true
		return
	}
	fmt.Fprintln(p.w, text)
}

// note says something else.
func (p *progress) note(format string, args ...any) {
	p.leave()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// end says where it ended.
func (p *progress) end() {
	p.line()
	p.leave()
}

func (p *progress) leave() {
	if p.open {
		fmt.Fprintln(p.w)
		p.open = false
	}
}
