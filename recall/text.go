package recall

import (
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/lang/cjk"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	"github.com/blevesearch/bleve/v2/analysis/token/porter"
	"github.com/blevesearch/bleve/v2/analysis/token/stop"
	"github.com/blevesearch/bleve/v2/analysis/token/unicodenorm"
	unicodetokens "github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
	"github.com/blevesearch/bleve/v2/registry"
)

// Names of the analyzers: words as they are, and stems of English ones. Other languages
// are found by their words.
const (
	wordAnalyzer = "memd_word"
	stemAnalyzer = "memd_stem"
)

var words, stems = newAnalyzer(false), newAnalyzer(true)

func init() {
	for name, a := range map[string]analysis.Analyzer{wordAnalyzer: words, stemAnalyzer: stems} {
		if err := registry.RegisterAnalyzer(name, func(map[string]any, *registry.Cache) (analysis.Analyzer, error) { return a, nil }); err != nil {
			panic(err)
		}
	}
}

func newAnalyzer(stem bool) analysis.Analyzer {
	common := analysis.NewTokenMap()
	if err := common.LoadBytes(en.EnglishStopWords); err != nil {
		panic(err)
	}
	filters := []analysis.TokenFilter{
		unicodenorm.MustNewUnicodeNormalizeFilter(unicodenorm.NFKC),
		partsFilter{},
		lowercase.NewLowerCaseFilter(),
		en.NewPossessiveFilter(),
		stop.NewStopTokensFilter(common),
		cjk.NewCJKBigramFilter(false),
		lengthFilter{},
	}
	if stem {
		filters = append(filters, porter.NewPorterStemmer())
	}
	return &analysis.DefaultAnalyzer{Tokenizer: unicodetokens.NewUnicodeTokenizer(), TokenFilters: filters}
}

// maxWord is the longest word that is kept, in bytes: what is longer is no word, and
// nobody would ask for it.
const maxWord = 64

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

// partsFilter adds the parts of identifiers (snake_case, camelCase, pkg.Func, v2) behind
// the whole: agents store them, and ask for either.
type partsFilter struct{}

func (partsFilter) Filter(in analysis.TokenStream) analysis.TokenStream {
	out := make(analysis.TokenStream, 0, len(in)+8)
	for _, t := range in {
		out = append(out, t)
		if t.Type != analysis.AlphaNumeric && t.Type != analysis.Numeric {
			continue
		}
		parts(t.Term, func(from, to int) {
			p := *t
			p.Term, p.Start, p.End = t.Term[from:to:to], t.Start+from, t.Start+to
			out = append(out, &p)
		})
	}
	return out
}

// parts yields the parts of a word that has more than one.
func parts(word []byte, yield func(from, to int)) {
	type class int
	const (
		other class = iota
		lower
		upper
		digit
	)
	kind := func(r rune) class {
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
	type span struct{ from, to int }
	var found []span
	from, last := -1, other
	for i := 0; i < len(word); {
		r, size := utf8.DecodeRune(word[i:])
		k := kind(r)
		next := other
		if i+size < len(word) {
			n, _ := utf8.DecodeRune(word[i+size:])
			next = kind(n)
		}
		// A part ends before what is no letter, between letters and digits, at a hump, and
		// before the last capital of HTTPServer.
		hump := k == upper && (last == lower || last == upper && next == lower)
		if from >= 0 && (k == other || hump || (k == digit) != (last == digit)) {
			found = append(found, span{from, i})
			from = -1
		}
		if k != other && from < 0 {
			from = i
		}
		last = k
		i += size
	}
	if from >= 0 {
		found = append(found, span{from, len(word)})
	}
	if len(found) == 0 || len(found) == 1 && found[0] == (span{0, len(word)}) {
		return
	}
	for _, s := range found {
		yield(s.from, s.to)
	}
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
