package node

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memd/memd/httpapi"
)

// BenchmarkRecallElsewhere stores through one node of three and recalls through another one
// with the token, both over HTTP; the time is that of the recall.
func BenchmarkRecallElsewhere(b *testing.B) {
	nodes := startMeshWith(b, 3, func(_ int, c *Config) { c.Recall = true })
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		word := fmt.Sprintf("quagga%d", i)
		_, created := call(b, nodes[0], "POST", "/api/v1/memories", map[string]any{"title": word, "content": "stripes"})
		path := fmt.Sprintf("/api/v1/recall?context=%s&after=%s", word, url.QueryEscape(created["token"].(string)))
		began := time.Now()
		_, found := call(b, nodes[1], "GET", path, nil)
		took = append(took, time.Since(began))
		if hits := found["memories"].([]any); len(hits) == 0 || hits[0].(map[string]any)["title"] != word {
			b.Fatalf("%s is not found: %v", word, found)
		}
	}
	reportQuantiles(b, took)
}

// BenchmarkIndexLag writes 1,000 memories a second for a minute to one node and looks at the
// index each tenth of a second: how many changes it is behind, every five seconds with what
// the heap holds after a collection. Run it with -benchtime 1x.
func BenchmarkIndexLag(b *testing.B) {
	const rate, seconds = 1000, 60
	n := startOne(b, func(c *Config) { c.Recall = true })
	g := newNoise()
	var mu sync.Mutex
	var wrote, failed atomic.Int64
	heap := func() float64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return float64(s.HeapAlloc) / (1 << 20)
	}
	for range b.N {
		var lag lagSamples
		watching := lag.watch(n)
		var heaps []float64
		began := time.Now()
		var wg sync.WaitGroup
		next := make(chan int)
		for range 32 {
			wg.Go(func() {
				for i := range next {
					mu.Lock()
					d := g.plain(i)
					mu.Unlock()
					if _, err := n.Create(context.Background(), d, httpapi.WriteOptions{Agent: "ai:bench"}); err != nil {
						failed.Add(1)
					}
					wrote.Add(1)
				}
			})
		}
		tick := time.NewTicker(10 * time.Millisecond)
		sent := 0
		for time.Since(began) < seconds*time.Second {
			<-tick.C
			for due := int(time.Since(began).Seconds() * rate); sent < due; sent++ {
				next <- sent
			}
			if at := time.Since(began); at > time.Duration(len(heaps)+1)*5*time.Second {
				heaps = append(heaps, heap())
				s := n.index.Status()
				b.Logf("%2.0f s: %5d behind, heap %3.0f MiB, %5.1f MiB on disk", at.Seconds(), s.Last-min(s.Seq, s.Last), heaps[len(heaps)-1], onDisk(b, n))
			}
		}
		tick.Stop()
		close(next)
		wg.Wait()
		end := time.Now()
		watching()
		patience, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		if !n.index.WaitFor(patience, n.store.Seq()) {
			b.Errorf("the index is at %+v, 5 minutes later", n.index.Status())
		}
		cancel()
		b.ReportMetric(float64(time.Since(end).Milliseconds()), "ms-to-catch-up")
		b.ReportMetric(float64(wrote.Load())/end.Sub(began).Seconds(), "writes/s")
		b.ReportMetric(float64(failed.Load()), "failed")
		b.ReportMetric(float64(lag.sum)/float64(max(lag.count, 1)), "behind-mean")
		b.ReportMetric(float64(lag.worst), "behind-max")
		b.ReportMetric(heaps[len(heaps)/2], "MiB-at-30s")
		b.ReportMetric(heaps[len(heaps)-1], "MiB-at-55s")
	}
}

// onDisk is the size of the index in MiB.
func onDisk(b *testing.B, n *Node) (size float64) {
	err := filepath.WalkDir(filepath.Join(n.cfg.DataDir, recallDir), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() { // the library removes files while we look
			return nil //nolint:nilerr // see above
		}
		if info, err := d.Info(); err == nil {
			size += float64(info.Size()) / (1 << 20)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}

// lagSamples is how many changes an index was behind, each tenth of a second.
type lagSamples struct{ worst, sum, count uint64 }

// watch samples until it is told to stop.
func (l *lagSamples) watch(n *Node) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			s := n.index.Status()
			behind := s.Last - min(s.Seq, s.Last)
			l.worst, l.sum, l.count = max(l.worst, behind), l.sum+behind, l.count+1
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
