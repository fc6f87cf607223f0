package recall

import "github.com/memd/memd/memory"

// Words are the distinct words of a text as recall sees them: lower case, without those
// that every text has. None if there is nothing to look for.
func Words(text string) []string { return terms(words, text) }

// HasWords tells whether a memory has all of the words in its title, content and tags. It
// reads the memory itself and needs no index.
func HasWords(m *memory.Memory, want []string) bool {
	missing := make(map[string]struct{}, len(want))
	for _, w := range want {
		missing[w] = struct{}{}
	}
	for _, text := range append([]string{m.Title, m.Content}, m.Tags...) {
		if len(missing) == 0 {
			break
		}
		for _, t := range words.Analyze([]byte(text)) {
			delete(missing, string(t.Term))
		}
	}
	return len(missing) == 0
}
