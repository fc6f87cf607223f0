package recall

import "github.com/blevesearch/bleve/v2/analysis"

// cutter takes texts apart as words does, and remembers what becomes of a word: most have come
// before. It is not safe for concurrent use.
type cutter struct {
	known map[string][]cutWord
	size  int // words that are remembered
}

// cutWord is one word of a text, and its stem.
type cutWord struct{ text, stem string }

// maxKnown words are remembered, some 5 MiB; then it begins anew.
const maxKnown = 50_000

func newCutter() *cutter { return &cutter{known: make(map[string][]cutWord)} }

// cut returns the words of a text in their order, those that one of its own stands for together.
// They are not to be changed.
func (c *cutter) cut(text string) [][]cutWord {
	stream := tokenizer.Tokenize([]byte(text))
	out := make([][]cutWord, 0, len(stream))
	for i := 0; i < len(stream); {
		if t := stream[i]; t.Type != analysis.Ideographic {
			out = append(out, c.word(t))
			i++
			continue
		}
		from := i
		for i < len(stream) && stream[i].Type == analysis.Ideographic {
			i++
		}
		out = append(out, filter(stream[from:i:i]))
	}
	return out
}

func (c *cutter) word(t *analysis.Token) []cutWord {
	if len(t.Term) > maxWord {
		return filter(analysis.TokenStream{t})
	}
	if ws, ok := c.known[string(t.Term)]; ok {
		return ws
	}
	text := string(t.Term) // a filter changes it
	ws := filter(analysis.TokenStream{t})
	if c.size += len(ws) + 1; c.size > maxKnown {
		clear(c.known)
		c.size = len(ws) + 1
	}
	c.known[text] = ws
	return ws
}

func filter(stream analysis.TokenStream) []cutWord {
	for _, f := range filters {
		stream = f.Filter(stream)
	}
	out := make([]cutWord, len(stream))
	for i, t := range stream {
		text := string(t.Term)
		out[i] = cutWord{text, stem(text)}
	}
	return out
}
