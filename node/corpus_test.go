package node

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/memd/memd/memory"
)

// A question and the memory that answers it.
type question struct {
	class  string // w words, p paraphrase, i identifier, t typing errors
	text   string
	answer int // index of the memory
}

// readQuestions reads testdata/questions.txt, which describes itself.
func readQuestions(t testing.TB) (memories []memory.Draft, questions []question) {
	t.Helper()
	f, err := os.Open("testdata/questions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "#", "":
		case "=":
			part := strings.Split(rest, " | ")
			if len(part) != 3 {
				t.Fatalf("a memory needs namespace, title and tags: %s", line)
			}
			memories = append(memories, memory.Draft{
				Namespace: &part[0], Title: &part[1], Tags: strings.Split(part[2], ","), Content: new(string), Tier: new(memory.TierLong),
			})
		case "w:", "p:", "i:", "t:":
			questions = append(questions, question{kind[:1], rest, len(memories) - 1})
		default:
			content := memories[len(memories)-1].Content
			*content = strings.TrimSpace(*content + " " + line)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return memories, questions
}

// noise makes memories that answer none of the questions and have most of their words: of
// the same namespaces, about the same things.
type noise struct {
	rnd  *rand.Rand
	zipf *rand.Zipf // over vocabulary words
}

const vocabulary = 40_000

func newNoise() *noise {
	rnd := rand.New(rand.NewPCG(1, 2))
	return &noise{rnd, rand.NewZipf(rnd, 1.07, 4, vocabulary-1)}
}

func (g *noise) of(list string) string {
	words := strings.Fields(list)
	// Some words are much commoner than others.
	return words[min(g.rnd.IntN(len(words)), g.rnd.IntN(len(words)))]
}

const (
	noisePlaces = "acme/ops acme/db acme/api acme/web acme/go acme/ci acme/security acme/billing acme/support acme/product acme/research acme/infra " +
		"incidents people/anna people/ben people/chen home travel acme global projects/atlas projects/borealis"
	noiseServices = "gateway checkout ledger search mailer catalog pricing inventory identity reports importer scheduler billing payments gateway-edge " +
		"session-store image-proxy notifier exporter recommender feature-store audit-log webhook-relay tax-service cart profile feed"
	noiseThings = "deploy release query migration index certificate backup alert dashboard cache queue endpoint invoice customer report test build " +
		"branch flag schema replica cluster node pod token key password login redirect page form bundle component timeout retry webhook " +
		"pipeline runner artifact label ticket refund export archive calendar meeting budget experiment model cluster tram hotel flight heating bread bicycle clock"
	noiseVerbs = "moved renamed checked reviewed discussed measured restarted postponed planned split merged documented cleaned copied compared listed " +
		"deployed shipped rolled retried rotated renewed drained kept removed answered stored paid charged"
	noiseWho    = "Anna Ben Chen Priya Okafor Lena Tom Maria Yusuf Ines Pavel Noor Karl Aiko"
	noiseWhen   = "Monday Tuesday Wednesday Thursday Friday yesterday tonight March May June August Berlin morning evening"
	noiseFiller = "the a of for with before after when while because until only also again still never always about from into over and or but so that this " +
		"team plan day week hours minutes number large small new old first last next same other most long short"
	noiseEnds = "id name at count ms total flag key list url v2 v3 ok rate"
)

func (g *noise) words(n int) string {
	var b strings.Builder
	for range n {
		switch g.rnd.IntN(9) {
		case 0, 1:
			b.WriteString(g.of(noiseThings))
		case 2:
			b.WriteString(g.of(noiseVerbs))
		case 3:
			b.WriteString(g.of(noiseServices))
		case 4:
			b.WriteString(g.of(noiseWhen))
		default:
			b.WriteString(g.of(noiseFiller))
		}
		b.WriteByte(' ')
	}
	return strings.TrimSpace(b.String())
}

func (g *noise) identifier() string {
	join := []string{"_", ".", "-"}[g.rnd.IntN(3)]
	return strings.ReplaceAll(g.of(noiseServices), "-", join) + join + g.of(noiseThings) + join + g.of(noiseEnds)
}

// next is the memory number i.
func (g *noise) next(i int) memory.Draft {
	thing, service := g.of(noiseThings), g.of(noiseServices)
	title := fmt.Sprintf("%s of %s %d", strings.ToUpper(thing[:1])+thing[1:], service, i)
	content := fmt.Sprintf("%s %s the %s of %s on %s: %s. See %s, %d %s. %s.", g.of(noiseWho), g.of(noiseVerbs), thing, service, g.of(noiseWhen),
		g.words(8+g.rnd.IntN(25)), g.identifier(), g.rnd.IntN(5000), g.of(noiseEnds), g.words(5+g.rnd.IntN(15)))
	return memory.Draft{Namespace: new(g.of(noisePlaces)), Title: &title, Content: &content, Tags: []string{thing}, Tier: new(memory.TierLong)}
}

// plain is a memory of some 300 bytes as a large store has it: every tenth word is of the
// questions' things, the others are drawn from a vocabulary of 40,000 as in any language, a
// few very common and most of them rare.
func (g *noise) plain(i int) memory.Draft {
	words := make([]string, 0, 48)
	for range 30 + g.rnd.IntN(18) {
		if g.rnd.IntN(10) == 0 {
			words = append(words, g.words(1))
		} else {
			words = append(words, coined(g.zipf.Uint64()))
		}
	}
	title := fmt.Sprintf("%s %s %d", words[0], words[1], i)
	return memory.Draft{Namespace: new(g.of(noisePlaces)), Title: &title, Content: new(strings.Join(words[2:], " ")), Tags: words[2:3], Tier: new(memory.TierLong)}
}

// coined is word number n of a language of our own.
func coined(n uint64) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	var b []byte
	for n += 70; n > 0; n /= 70 {
		b = append(b, consonants[n%70/5], vowels[n%5])
	}
	return string(b)
}
