package recall

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/memory"
)

// TestWords: what a text is found by.
func TestWords(t *testing.T) {
	f := newFeed("a")
	f.put(
		doc("deploy", "Deploy day", "We are shipping on Tuesdays. The régime is Ängström-safe."),
		doc("func", "Where the handler is", "httpapi.NewServer calls parseRequestBody and reads MAX_BODY_BYTES of pkg/server_v2"),
		doc("http", "HTTPServer2 crash", "error E1042 in worker-7"),
		doc("cjk", "会议记录", "我们星期二发布"),
		doc("german", "Straßenbahn", "Die Übergabe erfolgt montags"),
		tagged(doc("tagged", "Notes", "Nothing to see"), "Release-Train", "ops"),
	)
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	r.settled()
	for _, c := range []struct {
		text string
		want string
	}{
		{"tuesday", "deploy"},
		{"ship", "deploy"},
		{"DEPLOYS", "deploy"},
		{"re\u0301gime", "deploy"}, // another normal form
		{"parseRequestBody", "func"},
		{"parse request", "func"},
		{"request_body", "func"},
		{"httpapi.NewServer", "func"},
		{"newserver", "func"},
		{"MAX_BODY_BYTES", "func"},
		{"max body bytes", "func"},
		{"pkg/server_v2", "func"},
		{"HTTPServer2", "http"},
		{"http server", "http func"}, // the second for one word
		{"E1042", "http"},
		{"e1042 ", "http"},
		{"worker-7", "http"},
		{"星期二", "cjk"},
		{"会议", "cjk"},
		{"straßenbahn", "german"},
		{"ubergabe", "german"}, // a letter off
		{"übergabe", "german"},
		{"release-train", "tagged"},
		{"RELEASE-TRAIN", "tagged"},
		{"tusdays", "deploy"},         // typing errors
		{"shippign", "deploy"},        // two letters swapped
		{"depl", "deploy"},            // still typing
		{"tuesd", "deploy"},           // the same
		{"parseReq", "func"},          // an identifier
		{"depl ", ""},                 // a word, and there is none such
		{"the of and", ""},            // says nothing
		{"zzyzx", ""},                 //
		{"", ""},                      //
		{"?!…", ""},                   //
		{strings.Repeat("x", 70), ""}, // no word
	} {
		got := r.find(c.text)
		for id := range strings.FieldsSeq(c.want) {
			if !slices.Contains(got, id) {
				t.Errorf("%q finds %q, want %s", c.text, got, id)
			}
		}
		if c.want == "" && len(got) > 0 {
			t.Errorf("%q finds %q, want nothing", c.text, got)
		}
	}
}

func tagged(m memory.Memory, tags ...string) memory.Memory {
	m.Tags = tags
	return m
}

// TestStemThatIsAWord: a word that happens to be the stem of others is not one of them.
func TestStemThatIsAWord(t *testing.T) {
	f := newFeed("a")
	f.put(doc("tense", "Plan", "A tense day"), doc("tens", "Plan", "Tens of days"), doc("both", "Plan", "Tens of tense days"))
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	r.settled()
	same(t, "tense", r.search("tense"), "tense", "both")
	same(t, "tens", r.search("tens"), "tens", "both")
}

// TestAllWords: a search wants every word, each in any of its forms.
func TestAllWords(t *testing.T) {
	f := newFeed("a")
	f.put(
		doc("both", "Deploy day", "Tuesday"), doc("one", "Deploy night", "Friday"), doc("other", "Lunch", "Tuesday"),
	)
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	r.settled()
	same(t, "both words", r.search("deploy tuesdays"), "both")
	same(t, "one word", r.search("deploying"), "both", "one")
	same(t, "a word that nobody has", r.search("deploy zebra"))
	same(t, "any word", r.find("deploy tuesdays"), "both", "one", "other")
	same(t, "a misspelt word", r.search("deploy tuesdxy"))
	same(t, "the beginning of a word", r.search("depl"))
	same(t, "only common words", r.search("the and"))
}

// TestPhrases: what is quoted has to be there, word for word.
func TestPhrases(t *testing.T) {
	f := newFeed("a")
	f.put(doc("yes", "Plan", "We ship on Tuesdays"), doc("no", "Plan", "On Tuesdays the ship leaves"), doc("half", "Plan", "We ship"))
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	r.settled()
	same(t, "index", r.find(`"ship on tuesdays"`), "yes", "no") // the rest is HasPhrases
	for _, c := range []struct {
		text, query string
		want        bool
	}{
		{"We ship on Tuesdays", `"ship on tuesdays"`, true},
		{"On Tuesdays the ship leaves", `"ship on tuesdays"`, false},
		{"We ship\n on   Tuesdays", `when "Ship  on Tuesdays" now`, true},
		{"We ship", `"ship`, true}, // never closed: no phrase
		{"a b c", `"a b" "b c"`, true},
		{"a b d", `"a b" "b c"`, false},
		{"anything", `""`, true},
	} {
		m := doc("x", "", c.text)
		if got := HasPhrases(&m, Phrases(c.query)); got != c.want {
			t.Errorf("%q has %s: %t", c.text, c.query, got)
		}
	}
}

// TestRestrictions holds each restriction against what the memory itself says.
func TestRestrictions(t *testing.T) {
	f := newFeed("a")
	mk := func(id string, change func(*memory.Memory)) memory.Memory {
		m := doc(id, "Deploy "+id, "ship it")
		change(&m)
		return m
	}
	f.put(
		mk("ns", func(m *memory.Memory) { m.Namespace = "acme/ops" }),
		mk("tier", func(m *memory.Memory) { m.Tier = memory.TierLong }),
		mk("tag", func(m *memory.Memory) { m.Tags = []string{"Ops", "deploy"} }),
		mk("agent", func(m *memory.Memory) { m.Metadata = memory.Raw(`{"agent_id":"ai:bob"}`) }),
		mk("prio", func(m *memory.Memory) { m.Priority = 9 }),
		mk("old", func(m *memory.Memory) { m.CreatedAt = testNow.AddDate(-3, 0, 0) }),
		mk("plain", func(*memory.Memory) {}),
	)
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	r.settled()
	for _, c := range []struct {
		name string
		by   Restriction
		want []string
	}{
		{"none", Restriction{}, []string{"ns", "tier", "tag", "agent", "prio", "old", "plain"}},
		{"namespace", Restriction{Namespaces: []string{"acme/ops"}}, []string{"ns"}},
		{"namespaces", Restriction{Namespaces: []string{"acme/ops", "acme", "global"}}, []string{"ns", "tier", "tag", "agent", "prio", "old", "plain"}},
		{"no such namespace", Restriction{Namespaces: []string{"acme"}}, nil},
		{"tier", Restriction{Tier: memory.TierLong}, []string{"tier"}},
		{"tag", Restriction{Tag: "Ops"}, []string{"tag"}},
		{"agent", Restriction{Agent: "ai:bob"}, []string{"agent"}},
		{"priority", Restriction{MinPriority: 6}, []string{"prio"}},
		{"priority above all", Restriction{MinPriority: 11}, nil},
		{"since", Restriction{Since: testNow}, []string{"ns", "tier", "tag", "agent", "prio", "plain"}},
		{"until", Restriction{Until: testNow.AddDate(-1, 0, 0)}, []string{"old"}},
		{"between", Restriction{Since: testNow.AddDate(-2, 0, 0), Until: testNow.AddDate(-1, 0, 0)}, nil},
		{"two", Restriction{Tier: memory.TierLong, Tag: "ops"}, nil},
	} {
		same(t, c.name, ids(r.all(Query{Text: "deploy", Restriction: c.by})), c.want...)
		same(t, c.name+", all", ids(r.all(Query{Text: "deploy ship", All: true, Restriction: c.by})), c.want...)
	}
}

// TestVisible is contract 1.3, by hand, and holds the index against it.
func TestVisible(t *testing.T) {
	scopes := []string{"", "private", "team", "unit", "org", "collective", "nonsense"}
	places := []string{"acme", "acme/eng", "acme/eng/api", "acme/eng/api/v2", "acme/eng/web", "acme/ops", "acme2", "other", "other/eng"}
	f := newFeed("a")
	var all []memory.Memory
	for _, scope := range scopes {
		for _, ns := range places {
			m := doc(scope+"@"+ns, "Deploy", "ship it")
			m.Namespace = ns
			if scope != "" {
				m.Metadata = memory.Raw(`{"scope":"` + scope + `"}`)
			}
			all = append(all, m)
		}
	}
	f.put(all...)
	r := start(t, filepath.Join(t.TempDir(), "index"), f)
	r.settled()
	for _, c := range []struct {
		scope, as string
		want      string // places that are seen
	}{
		{"private", "acme/eng/api", "acme/eng/api"},
		{"", "acme/eng/api", "acme/eng/api"},
		{"nonsense", "acme/eng/api", "acme/eng/api"},
		{"team", "acme/eng/api", "acme/eng acme/eng/api acme/eng/api/v2 acme/eng/web"},
		{"unit", "acme/eng/api", "acme acme/eng acme/eng/api acme/eng/api/v2 acme/eng/web acme/ops"},
		{"org", "acme/eng/api/v2", "acme acme/eng acme/eng/api acme/eng/api/v2 acme/eng/web acme/ops"},
		{"unit", "acme/eng/api/v2", "acme/eng acme/eng/api acme/eng/api/v2 acme/eng/web"},
		{"team", "acme", "acme acme/eng acme/eng/api acme/eng/api/v2 acme/eng/web acme/ops"}, // the top is its own ancestor
		{"team", "other/eng", "other other/eng"},
		{"collective", "nobody", strings.Join(places, " ")},
		{"private", "nobody", ""},
	} {
		var got []string
		for i := range all {
			if m := &all[i]; strings.HasPrefix(m.ID, c.scope+"@") && Visible(m, c.as) {
				got = append(got, m.Namespace)
			}
		}
		same(t, c.scope+" for "+c.as, got, strings.Fields(c.want)...)
	}
	for _, as := range append(places, "nobody", "acme/eng/api/v2/x", "") {
		var want []string
		for i := range all {
			if Visible(&all[i], as) {
				want = append(want, all[i].ID)
			}
		}
		same(t, "index for "+as, ids(r.all(Query{Text: "deploy", Restriction: Restriction{As: as}})), want...)
	}
}

func TestChain(t *testing.T) {
	for _, c := range []struct{ ns, want string }{{"", ""}, {"a", "a"}, {"a/b/c", "a/b/c a/b a"}} {
		if got := strings.Join(Chain(c.ns), " "); got != c.want {
			t.Errorf("%q: %q", c.ns, got)
		}
	}
}

// TestRank: what counts beside the words, one thing at a time.
func TestRank(t *testing.T) {
	now := testNow
	base := doc("x", "Deploy day", "Tuesday")
	score := func(change func(*memory.Memory), text string, distance int) float64 {
		m := base
		change(&m)
		return Rank(1, &m, text, distance, now)
	}
	plain := score(func(*memory.Memory) {}, "deploy", 0)
	for _, c := range []struct {
		name   string
		better float64
	}{
		{"its title", score(func(*memory.Memory) {}, " deploy DAY", 0) / plain},
		{"priority", score(func(m *memory.Memory) { m.Priority = 10 }, "deploy", 0) / plain},
		{"tier", score(func(m *memory.Memory) { m.Tier = memory.TierLong }, "deploy", 0) / plain},
		{"age", plain / score(func(m *memory.Memory) { m.UpdatedAt = now.AddDate(-1, 0, 0) }, "deploy", 0)},
		{"distance", plain / score(func(*memory.Memory) {}, "deploy", 1)},
		{"confidence", plain / score(func(m *memory.Memory) { m.Confidence = 0 }, "deploy", 0)},
		{"short tier", plain / score(func(m *memory.Memory) { m.Tier = memory.TierShort }, "deploy", 0)},
	} {
		if c.better <= 1 || c.better > 1.6 {
			t.Errorf("%s counts %.3f times: want more than 1, and no more than a better fit would", c.name, c.better)
		}
	}
	if got := plain / score(func(*memory.Memory) {}, "deploy", 2); got < 1.59 || got > 1.61 {
		t.Errorf("two levels up: 1/%.3f, want 1/1.6 (contract 1.3)", got)
	}
	if future := score(func(m *memory.Memory) { m.UpdatedAt = now.Add(time.Hour) }, "deploy", 0); future != plain {
		t.Errorf("from the future: %f, now: %f", future, plain)
	}
}
