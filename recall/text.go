package recall

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/char/asciifolding"
	"github.com/blevesearch/bleve/v2/analysis/lang/cjk"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	"github.com/blevesearch/bleve/v2/analysis/token/porter"
	"github.com/blevesearch/bleve/v2/analysis/token/stop"
	"github.com/blevesearch/bleve/v2/analysis/token/unicodenorm"
	unicodetokens "github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
)

var (
	// words cuts a text into words as they are.
	words     = &analysis.DefaultAnalyzer{Tokenizer: tokenizer, TokenFilters: filters}
	tokenizer = unicodetokens.NewUnicodeTokenizer()
	filters   = newFilters()
)

// newFilters are what is done with the words of a text. But for the bigrams of adjacent
// ideographs each is treated by itself, which a cutter relies on.
func newFilters() []analysis.TokenFilter {
	common := analysis.NewTokenMap()
	if err := common.LoadBytes(en.EnglishStopWords); err != nil {
		panic(err)
	}
	return []analysis.TokenFilter{
		unicodenorm.MustNewUnicodeNormalizeFilter(unicodenorm.NFKC),
		partsFilter{},
		lowercase.NewLowerCaseFilter(),
		foldFilter{asciifolding.New()},
		en.NewPossessiveFilter(),
		stop.NewStopTokensFilter(common),
		cjk.NewCJKBigramFilter(false),
		lengthFilter{},
	}
}

// maxWord is the longest word that is kept, in bytes: what is longer is no word, and
// nobody would ask for it.
const maxWord = 64

// foldFilter takes accents off: who asks may not have them on the keyboard.
type foldFilter struct{ fold analysis.CharFilter }

func (f foldFilter) Filter(in analysis.TokenStream) analysis.TokenStream {
	for _, t := range in {
		if !ascii(t.Term) {
			t.Term = f.fold.Filter(t.Term)
		}
	}
	return in
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

var stemmer = porter.NewPorterStemmer()

// stem is that of a word, which has to be an English one: what has anything but letters is its
// own. Other languages are found by their words.
func stem(word string) string {
	for _, c := range []byte(word) {
		if c < 'a' || c > 'z' {
			return word
		}
	}
	return string(stemmer.Filter(analysis.TokenStream{{Term: []byte(word)}})[0].Term)
}

type lengthFilter struct{}

func (lengthFilter) Filter(in analysis.TokenStream) analysis.TokenStream {
	out := in[:0]
	for _, t := range in {
		if len(t.Term) <= maxWord {
			out = append(out, t)
		}
	}
	return out
}

// partsFilter adds the parts of identifiers behind the whole, since agents store them and
// ask for either: of pkg.NewServer_v2 pkg, NewServer_v2, New, Server, v2, v and 2.
type partsFilter struct{}

func (partsFilter) Filter(in analysis.TokenStream) analysis.TokenStream {
	out := make(analysis.TokenStream, 0, len(in)+8)
	for _, t := range in {
		if len(t.Term) > maxWord {
			continue // an encoding of something; its parts are accidents
		}
		out = append(out, t)
		if t.Type != analysis.AlphaNumeric && t.Type != analysis.Numeric {
			continue
		}
		whole := span{0, len(t.Term)}
		add := func(s span) {
			p := *t
			p.Term, p.Start, p.End = t.Term[s.from:s.to:s.to], t.Start+s.from, t.Start+s.to
			out = append(out, &p)
		}
		for _, piece := range split(t.Term, whole, atPunctuation) {
			if piece != whole {
				add(piece)
			}
			for _, part := range split(t.Term, piece, atHump) {
				if part != piece {
					add(part)
				}
			}
		}
	}
	return out
}

type span struct{ from, to int }

type class int

const (
	other class = iota
	lower
	upper
	digit
)

func classOf(r rune) class {
	switch {
	case unicode.IsUpper(r):
		return upper
	case unicode.IsLetter(r), unicode.IsMark(r):
		return lower
	case unicode.IsDigit(r):
		return digit
	}
	return other
}

// atPunctuation ends a piece before what is neither letter nor digit, an underscore aside.
func atPunctuation(_, this, _ class, r rune) (ends, belongs bool) {
	return this == other && r != '_', this != other || r == '_'
}

// atHump ends a part before what is neither letter nor digit, between letters and digits,
// at the hump of camelCase and before the last capital of HTTPServer.
func atHump(last, this, next class, _ rune) (ends, belongs bool) {
	hump := this == upper && (last == lower || last == upper && next == lower)
	return this == other || hump || (this == digit) != (last == digit), this != other
}

// split cuts a span of a word. rule tells, from the classes of the letter before, this one
// and the next, whether a part ends before this letter, and whether it belongs to a part.
func split(word []byte, in span, rule func(last, this, next class, r rune) (ends, belongs bool)) []span {
	var out []span
	from, last := -1, other
	for i := in.from; i < in.to; {
		r, size := utf8.DecodeRune(word[i:in.to])
		this, next := classOf(r), other
		if i+size < in.to {
			n, _ := utf8.DecodeRune(word[i+size : in.to])
			next = classOf(n)
		}
		ends, belongs := rule(last, this, next, r)
		if from >= 0 && ends {
			out = append(out, span{from, i})
			from = -1
		}
		if belongs && from < 0 {
			from = i
		}
		last = this
		i += size
	}
	if from >= 0 {
		out = append(out, span{from, in.to})
	}
	return out
}

// terms are the distinct tokens of a text, in their order.
func terms(a analysis.Analyzer, text string) []string {
	var out []string
	seen := make(map[string]bool)
	for _, t := range a.Analyze([]byte(text)) {
		if s := string(t.Term); !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// token is a word of a query, and how much it counts.
type token struct {
	text   string
	weight float64
}

// tokens are the words of a query. Who gives an identifier means that one: it counts more
// than its parts, which others may be made of.
func tokens(text string) []token {
	stream := words.Analyze([]byte(text))
	var out []token
	seen := make(map[string]bool)
	for i, t := range stream {
		weight := 1.0
		switch {
		case i+1 < len(stream) && within(stream[i+1], t):
			weight = boostWhole
		case slices.ContainsFunc(stream[:i], func(w *analysis.Token) bool { return within(t, w) }):
			weight = boostPart
		}
		if s := string(t.Term); !seen[s] {
			seen[s] = true
			out = append(out, token{s, weight})
		}
	}
	return out
}

// within tells whether a token is a part of another one.
func within(part, whole *analysis.Token) bool {
	return part != whole && part.Start >= whole.Start && part.End <= whole.End && part.End-part.Start < whole.End-whole.Start
}
