package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// screen is what the terminal shows; render is a pure function of it.
type screen struct {
	greeting []string
	views    []nodeView
	selected int
	busy     []bool // by node: an act is under way
	events   []event
	colour   bool
}

type event struct {
	at   time.Time
	text string
}

const keysLine = "1-9 select   s stop   c continue   k kill -9   r restart   w write 20 to the others   q quit"

// shownEvents is how many of the last events are kept in sight.
const shownEvents = 12

// SGR codes of the terminal.
const (
	plainText = "0"
	bold      = "1"
	red       = "31"
	green     = "32"
	yellow    = "33"
)

// render returns the lines of the screen, none wider than width.
func (s *screen) render(width int) []string {
	var lines []string
	add := func(style, text string) { lines = append(lines, s.style(style, cut(text, width))) }
	// Not cut: a command that is to be copied has to be whole.
	lines = append(lines, s.greeting...)
	lines = append(lines, "")
	rows := s.rows()
	wide := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			wide[i] = max(wide[i], utf8.RuneCountInString(cell))
		}
	}
	for i, r := range rows {
		var b strings.Builder
		for j, cell := range r {
			b.WriteString(cell)
			b.WriteString(strings.Repeat(" ", wide[j]-utf8.RuneCountInString(cell)+2))
		}
		add(s.rowStyle(i-1), strings.TrimRight(b.String(), " "))
	}
	lines = append(lines, "")
	add(bold, keysLine)
	lines = append(lines, "")
	for _, e := range s.events[max(0, len(s.events)-shownEvents):] {
		for i, part := range strings.Split(e.text, "\n") {
			prefix := e.at.Format("15:04:05.000  ")
			if i > 0 {
				prefix = strings.Repeat(" ", len(prefix))
			}
			add(plainText, prefix+part)
		}
	}
	return lines
}

func (s *screen) rows() [][]string {
	rows := [][]string{{" ", "NODE", "URL", "PID", "STATE", "MEMORIES", "LAG", "SECONDS", "DIGEST", "CLOCK"}}
	for i, v := range s.views {
		mark := " "
		if i == s.selected {
			mark = ">"
		}
		state := v.word()
		if s.busy[i] {
			state += " …"
		}
		seconds := "-"
		if v.LagDots > 0 {
			seconds = fmt.Sprintf("%.1f", v.LagSeconds)
		}
		rows = append(rows, []string{mark, v.Name, v.URL, fmt.Sprint(v.PID), state, fmt.Sprint(v.Memories),
			fmt.Sprint(v.LagDots), seconds, short(v.Digest), orDash(v.Clock)})
	}
	return rows
}

// rowStyle is the colour of a row: green is well and level with the others.
func (s *screen) rowStyle(i int) string {
	switch {
	case i < 0:
		return bold
	case s.views[i].State == stateKilled || s.views[i].State == stateExited:
		return red
	case s.views[i].State != stateRunning || !s.views[i].Ready || s.views[i].LagDots > 0:
		return yellow
	}
	return green
}

func (s *screen) style(code, text string) string {
	if !s.colour || code == plainText || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// cut shortens text to width runes; 0 is no limit.
func cut(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// add keeps an event and lets go of the oldest.
func (s *screen) add(at time.Time, text string) {
	s.events = append(s.events, event{at, text})
	s.events = s.events[max(0, len(s.events)-shownEvents):]
}

func newScreen(m *mesh) *screen {
	s := &screen{greeting: m.greeting(), busy: make([]bool, len(m.nodes)), selected: len(m.nodes) - 1, colour: os.Getenv("NO_COLOR") == ""}
	s.views = newViewer(m).views
	return s
}
