package recall

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/memd/memd/memory"
)

// modelDoc is a memory as the model keeps it: how often it has which words and stems.
type modelDoc struct {
	m      memory.Memory
	word   map[string]int
	stem   map[string]int
	length int
}

func newModelDoc(m memory.Memory) modelDoc {
	d := modelDoc{m: m, word: map[string]int{}, stem: map[string]int{}}
	add := func(text string, n int) {
		for _, t := range words.Analyze([]byte(text)) {
			w := string(t.Term)
			d.word[w] += n
			d.stem[stem(w)] += n
			d.length += n
		}
	}
	add(m.Title, 2)
	add(m.Content, 1)
	for _, t := range m.Tags {
		add(t, 1)
	}
	return d
}

// modelForm is a form of a word of a query.
type modelForm struct {
	stem   bool
	text   string
	weight float64
}

func (d modelDoc) tf(f modelForm) int {
	if f.stem {
		return d.stem[f.text]
	}
	return d.word[f.text]
}

func modelCount(docs map[string]modelDoc, f modelForm) (n int) {
	for _, d := range docs {
		if d.tf(f) > 0 {
			n++
		}
	}
	return n
}

func modelForms(docs map[string]modelDoc, w string, weight float64) (out []modelForm, most int) {
	for _, f := range []modelForm{{true, stem(w), weight * boostStem}, {false, w, weight * boostWord}} {
		if !f.stem && stem(w) == w {
			continue
		}
		if n := modelCount(docs, f); n > 0 {
			out = append(out, f)
			most = max(most, n)
		}
	}
	return out, most
}

// modelWord are all forms of a word that some memory has, and how many have it at least.
func modelWord(docs map[string]modelDoc, tok token, exact, typing bool, strangers *int) (out []modelForm, n int) {
	out, n = modelForms(docs, tok.text, tok.weight)
	if exact {
		return out, n
	}
	live := map[string]uint64{}
	for _, d := range docs {
		for w := range d.word {
			live[w]++
		}
	}
	top := func(k int, ok func(string) bool) []string {
		var list []found
		for w, n := range live {
			if ok(w) {
				list = append(list, found{w, n})
			}
		}
		slices.SortFunc(list, func(a, b found) int { return cmp.Or(cmp.Compare(b.count, a.count), strings.Compare(a.text, b.text)) })
		var s []string
		for _, f := range list[:min(k, len(list))] {
			s = append(s, f.text)
		}
		return s
	}
	if typing && utf8.RuneCountInString(tok.text) >= 2 {
		for _, w := range top(6, func(w string) bool { return strings.HasPrefix(w, tok.text) && w != tok.text }) {
			f := modelForm{false, w, tok.weight * boostPrefix}
			out = append(out, f)
			n = max(n, modelCount(docs, f))
		}
	}
	runes := []rune(tok.text)
	if n > 0 || *strangers == maxTerms {
		return out, n
	}
	if *strangers++; len(runes) < 4 {
		return out, n
	}
	for dist := 1; dist <= 2 && (dist == 1 || len(runes) >= 5); dist++ {
		list := top(3, func(w string) bool {
			return strings.HasPrefix(w, string(runes[:dist])) && osa([]rune(w), runes) <= dist
		})
		for _, w := range list {
			fs, most := modelForms(docs, w, tok.weight*boostNear)
			out, n = append(out, fs...), max(n, most)
		}
		if len(list) > 0 {
			break
		}
	}
	return out, n
}

// modelSearch looks into each memory for all that a query wants, and scores it.
func modelSearch(docs map[string]modelDoc, q Query) map[string]float64 {
	all := tokens(q.Text)
	all = all[:min(len(all), 4*maxTerms)]
	typing := len(all) - 1
	if last, _ := utf8.DecodeLastRuneInString(q.Text); strings.ContainsRune(" .?!\"\n", last) {
		typing = -1
	}
	type modelled struct {
		forms []modelForm
		count int
	}
	var most []modelled
	strangers := 0
	for i, t := range all {
		fs, n := modelWord(docs, t, q.All, i == typing, &strangers)
		most = append(most, modelled{fs, n})
	}
	if len(most) > maxTerms { // the rarest, those that nobody has aside
		slices.SortStableFunc(most, func(a, b modelled) int {
			if (a.count == 0) != (b.count == 0) {
				return b.count - a.count
			}
			return a.count - b.count
		})
		most = most[:maxTerms]
	}
	var ws [][]modelForm
	for _, w := range most {
		switch {
		case len(w.forms) > 0:
			ws = append(ws, w.forms)
		case q.All:
			return nil
		}
	}
	out := map[string]float64{}
docs:
	for id, d := range docs {
		m := &d.m
		if !passes(m, &q.Restriction) {
			continue
		}
		for _, p := range Phrases(q.Text) {
			for _, t := range terms(words, p) {
				if d.word[t] == 0 {
					continue docs
				}
			}
		}
		have, sum := 0, 0.0
		for _, fs := range ws {
			has := false
			for _, f := range fs {
				tf := math.Sqrt(float64(d.tf(f)))
				if tf == 0 {
					continue
				}
				has = true
				n := float64(modelCount(docs, f))
				rarity := math.Log1p((float64(len(docs)) - n + 0.5) / (n + 0.5))
				sum += f.weight * rarity * tf * bm25K / (tf + bm25K*(1-bm25B+bm25B*float64(d.length)/usualSize))
			}
			if has {
				have++
			}
		}
		if have == 0 || q.All && have < len(ws) {
			continue
		}
		out[id] = sum * float64(have) / float64(len(ws))
	}
	return out
}

// passes is a restriction, memory by memory.
func passes(m *memory.Memory, r *Restriction) bool {
	if len(r.Namespaces) > 0 && !slices.Contains(r.Namespaces, m.Namespace) {
		return false
	}
	if r.Tag != "" && !slices.ContainsFunc(m.Tags, func(t string) bool { return strings.EqualFold(t, r.Tag) }) {
		return false
	}
	if r.Tier != "" && m.Tier != r.Tier || r.Agent != "" && m.Agent() != r.Agent || m.Priority < r.MinPriority {
		return false
	}
	if !r.Since.IsZero() && day(m.CreatedAt) < day(r.Since) || !r.Until.IsZero() && day(m.CreatedAt) > day(r.Until) {
		return false
	}
	return Visible(m, r.As)
}

var modelVocabulary = []string{"ship", "ships", "shipping", "shipped", "shop", "shops", "deploy", "deploys", "deployment", "deployed", "config", "configure", "configuration", "databases", "databas", "database", "generalization", "generalize",
	"東京都", "東京", "カタカナ5", "tense", "tens", "rock's's", "pkg.NewServer_v2", "NewServer", "server", "the", "us", "use", "using", "status", "statuses", "über", "uber", "K8s", "k8s", "x", "naïve", "naive", "don't", "conf", "confx", "confused", "a\x00b", "\xffship", "sh\xffip", "Release-Train", "release", "training", "trains", "train"}

// TestModel: whatever is stored, changed and removed, in however many segments, a query finds
// those memories that a look into each of them finds, with the same scores.
func TestModel(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		f := newFeed("a")
		r := start(t, filepath.Join(dir, fmt.Sprint(run)), f)
		defer r.stop()
		word := rapid.SampledFrom(modelVocabulary)
		text := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(word, 0, 8).Draw(t, "ws"), " ") })
		nss := rapid.SampledFrom([]string{"org", "org/unit", "org/unit/team", "org/unit/team/a", "org/unit/team/b", "org/other", "x", "orgx/unit"})
		docs := map[string]modelDoc{}
		steps := rapid.IntRange(1, 4).Draw(rt, "steps")
		for range steps {
			for range rapid.IntRange(1, 12).Draw(rt, "n") {
				id := fmt.Sprint("id", rapid.IntRange(0, 25).Draw(rt, "id"))
				if rapid.IntRange(0, 4).Draw(rt, "remove") == 0 {
					f.remove(id)
					delete(docs, id)
					continue
				}
				m := doc(id, text.Draw(rt, "title"), text.Draw(rt, "content"))
				m.Tags = rapid.SliceOfN(word, 0, 2).Draw(rt, "tags")
				m.Namespace = nss.Draw(rt, "ns")
				m.Tier = rapid.SampledFrom([]string{"short", "mid", "long"}).Draw(rt, "tier")
				m.Priority = rapid.IntRange(1, 10).Draw(rt, "prio")
				m.CreatedAt = testNow.AddDate(0, 0, rapid.IntRange(-5, 5).Draw(rt, "day"))
				m.Metadata = []byte(fmt.Sprintf(`{"agent_id":%q,"scope":%q}`, rapid.SampledFrom([]string{"", "ai", "bob"}).Draw(rt, "agent"), rapid.SampledFrom([]string{"private", "team", "unit", "org", "collective"}).Draw(rt, "scope")))
				f.put(m)
				docs[id] = newModelDoc(m)
			}
			r.settled()
			if rapid.IntRange(0, 3).Draw(rt, "merge") == 0 {
				must(t, r.waitStored(t.Context(), f.Seq(), nil))
				r.merge()
			}
		}
		queryWord := rapid.OneOf(word, rapid.Custom(func(t *rapid.T) string {
			w := []rune(word.Draw(t, "w"))
			if len(w) > 2 {
				i := rapid.IntRange(1, len(w)-1).Draw(t, "i")
				switch rapid.IntRange(0, 3).Draw(t, "how") {
				case 0:
					w = append(w[:i:i], w[i+1:]...)
				case 1:
					w[i] = 'q'
				case 2:
					w = w[:i]
				default:
					w[i], w[i-1] = w[i-1], w[i]
				}
			}
			return string(w)
		}))
		for range 12 {
			q := Query{Text: strings.Join(rapid.SliceOfN(queryWord, 1, rapid.SampledFrom([]int{4, 4, 4, 30}).Draw(rt, "words")).Draw(rt, "q"), " "), All: rapid.Bool().Draw(rt, "all")}
			if rapid.IntRange(0, 4).Draw(rt, "quoted") == 0 {
				q.Text += ` "` + word.Draw(rt, "p") + `"`
			}
			if rapid.Bool().Draw(rt, "end") {
				q.Text += " "
			}
			some := func(name string, f func()) {
				if rapid.IntRange(0, 5).Draw(rt, name) == 0 {
					f()
				}
			}
			some("rns", func() { q.Namespaces = rapid.SliceOfN(nss, 1, 3).Draw(rt, "nss") })
			some("rtag", func() { q.Tag = strings.ToUpper(word.Draw(rt, "tag")) })
			some("rtier", func() { q.Tier = "mid" })
			some("ragent", func() { q.Agent = "bob" })
			some("rprio", func() { q.MinPriority = rapid.IntRange(0, 11).Draw(rt, "min") })
			some("since", func() { q.Since = testNow.AddDate(0, 0, rapid.IntRange(-6, 6).Draw(rt, "s")) })
			some("until", func() { q.Until = testNow.AddDate(0, 0, rapid.IntRange(-6, 6).Draw(rt, "u")) })
			some("as", func() { q.As = nss.Draw(rt, "asns") })
			want := modelSearch(docs, q)
			got := map[string]float64{}
			for _, h := range r.all(q) {
				if _, twice := got[h.ID]; twice {
					rt.Fatalf("%+v: %s twice", q, h.ID)
				}
				got[h.ID] = h.Score
			}
			for id, s := range want {
				if g, ok := got[id]; !ok || math.Abs(g-s) > 1e-5 {
					rt.Fatalf("%+v: %s scores %v %t, want %v: %+v", q, id, g, ok, s, docs[id])
				}
			}
			for id, s := range got {
				if _, ok := want[id]; !ok {
					rt.Fatalf("%+v: %s is found (%v): %+v", q, id, s, docs[id])
				}
			}
		}
	})
}
