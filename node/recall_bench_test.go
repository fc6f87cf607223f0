package node

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/memory"
)

// benchMemories is how many memories the benchmarks of recall have.
const benchMemories = 100_000

// startFull runs a node that holds the memories of the questions among noise.
func startFull(b *testing.B) (*Node, []memory.Draft, []question) {
	memories, questions := readQuestions(b)
	n := startOne(b, func(c *Config) { c.Recall = true })
	storeAll(b, n, memories)
	g := newNoise()
	for i := 0; i < benchMemories; i += 10_000 {
		noise := make([]memory.Draft, 10_000)
		for j := range noise {
			noise[j] = g.plain(i + j)
		}
		storeAll(b, n, noise)
	}
	return n, memories, questions
}

// BenchmarkRecall is a recall at the service over 100,000 memories: two to five words of
// one question, in the namespace of its answer; and three very common words, without one.
func BenchmarkRecall(b *testing.B) {
	n, memories, questions := startFull(b)
	rnd := rand.New(rand.NewPCG(3, 4))
	b.Run("question+namespace", func(b *testing.B) {
		recallFor(b, n, func() httpapi.Query {
			for {
				q := questions[rnd.IntN(len(questions))]
				words := strings.Fields(q.text)
				if len(words) < 2 {
					continue
				}
				count := min(len(words), 2+rnd.IntN(4))
				from := rnd.IntN(len(words) - count + 1)
				text := strings.Join(words[from:from+count], " ")
				return httpapi.Query{Text: text, Filter: memory.Filter{Namespace: *memories[q.answer].Namespace, Limit: 10}}
			}
		})
	})
	b.Run("common", func(b *testing.B) {
		common := make([]string, 12) // the commonest of the vocabulary
		for i := range common {
			common[i] = coined(uint64(i))
		}
		recallFor(b, n, func() httpapi.Query {
			rnd.Shuffle(len(common), func(i, j int) { common[i], common[j] = common[j], common[i] })
			return httpapi.Query{Text: strings.Join(common[:3], " "), Filter: memory.Filter{Limit: 10}}
		})
	})
}

// recallFor reports the quantiles of one recall after the other.
func recallFor(b *testing.B, n *Node, next func() httpapi.Query) {
	var took []time.Duration
	cpu := cpuTime()
	for b.Loop() {
		q := next()
		began := time.Now()
		if _, err := n.Recall(context.Background(), q, httpapi.ReadOptions{}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	reportQuantiles(b, took)
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(len(took))/1000, "cpu-ms/recall")
}

// reportQuantiles reports p50 and p99 in milliseconds.
func reportQuantiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}
