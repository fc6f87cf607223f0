package recall

import (
	"unicode/utf8"
)

// maxDistance is how many letters a word may differ by.
const maxDistance = 2

// nearby is an automaton over the bytes of a word in UTF-8: it takes those that are at most
// so many letters away from a text. A letter more, less or another is one, and two that have
// changed places are one too, if nothing came between them (optimal string alignment). It
// takes only words that begin with the same letters, which is what keeps a walk through a
// dictionary short: the library's iterator looks at the end of its range when it has found
// something, and not before. And the library's automaton computes every state that any word
// could lead to before the walk begins, of which this one comes to few. It is for one walk
// after another, each depth first: it keeps the states of the word that the walk is at, and no more.
type nearby struct {
	text   []rune
	same   int // letters at the beginning
	most   int // 1 to maxDistance
	states []nearState
}

// nearState is where the beginning of a word has led to: a part of two rows of the table of
// distances, that of the letters so far and the one before it. Column i of a row after n letters
// is about the first n-most+i letters of the text; what is further off is too far.
type nearState struct {
	letters   int
	row, prev [2*maxDistance + 1]uint8
	last      rune
	partial   [utf8.UTFMax]byte // of the next letter
	have      int               // bytes of it
}

const noState = -1

// newNearby wants the text to have more letters than same.
func newNearby(text string, same, most int) *nearby {
	n := &nearby{text: []rune(text), same: same, most: most}
	var s nearState
	for i := range s.row {
		s.row[i], s.prev[i] = n.far(), n.far()
		if at := i - most; at >= 0 && at <= len(n.text) && i <= 2*most {
			s.row[i] = min(uint8(at), n.far()) // #nosec G115 -- below 2*maxDistance
		}
	}
	n.states = append(make([]nearState, 0, 100), s)
	return n
}

func (n *nearby) far() uint8 { return uint8(n.most) + 1 } // #nosec G115 -- maxDistance at most

// Start, IsMatch, CanMatch, WillAlwaysMatch and Accept are what a walk asks of an automaton.
func (n *nearby) Start() int {
	n.states = n.states[:1] // of the walk before
	return 0
}

func (n *nearby) IsMatch(state int) bool {
	if state == noState {
		return false
	}
	s := &n.states[state]
	i := len(n.text) - s.letters + n.most
	return s.have == 0 && s.letters >= n.same && i >= 0 && i <= 2*n.most && int(s.row[i]) <= n.most
}

func (n *nearby) CanMatch(state int) bool { return state != noState }

func (n *nearby) WillAlwaysMatch(int) bool { return false }

func (n *nearby) Accept(state int, b byte) int {
	if state == noState {
		return noState
	}
	next := n.states[state]
	next.partial[next.have] = b
	next.have++
	if part := next.partial[:next.have]; utf8.FullRune(part) {
		letter, _ := utf8.DecodeRune(part)
		next.have = 0
		if !n.step(&next, letter) {
			return noState
		}
	}
	n.states = append(n.states[:state+1], next)
	return len(n.states) - 1
}

// step takes a letter. It reports whether a word can still be near enough.
func (n *nearby) step(s *nearState, letter rune) bool {
	if s.letters < n.same && letter != n.text[s.letters] {
		return false
	}
	far, width := n.far(), 2*n.most+1
	var row [2*maxDistance + 1]uint8
	s.letters++
	alive := false
	for i := range row {
		row[i] = far
		at := s.letters - n.most + i // letters of the text
		if i >= width || at < 0 || at > len(n.text) {
			continue
		}
		if i+1 < width {
			row[i] = min(row[i], s.row[i+1]+1) // the letter is one more
		}
		if i > 0 {
			row[i] = min(row[i], row[i-1]+1) // one of the text is missing
		}
		if at > 0 {
			other := s.row[i]
			if n.text[at-1] != letter {
				other++
			}
			row[i] = min(row[i], other)
			if at > 1 && n.text[at-1] == s.last && n.text[at-2] == letter {
				row[i] = min(row[i], s.prev[i]+1) // the two have changed places
			}
		}
		alive = alive || row[i] < far
	}
	s.prev, s.row, s.last = s.row, row, letter
	return alive
}
