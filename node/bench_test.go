package node

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

// BenchmarkPut is the whole road of a create: 64 clients over HTTP, three nodes on
// loopback with real disks, W = 2 of 3. All of it shares this process's cores, so only a
// ratio to another run on the same machine means anything; -cpuprofile shows where a put
// goes.
func BenchmarkPut(b *testing.B) {
	nodes := startMesh(b, 3)
	content := strings.Repeat("abcdefghij", 30)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	var wg sync.WaitGroup
	for c := range 64 {
		wg.Go(func() {
			url := "http://" + nodes[c%3].HTTPAddr() + "/api/v1/memories"
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				body := fmt.Appendf(nil, `{"title":"k%012d","content":"%s","namespace":"bench","tier":"long"}`, i, content)
				resp, err := client.Post(url, "application/json", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusCreated {
					b.Errorf("status %d", resp.StatusCode)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	rows, commits, seconds := batches(b, nodes)
	b.ReportMetric(rows/commits, "rows/commit")
	b.ReportMetric(1000*seconds/commits, "ms/commit")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/put")
}

// batches sums what the stores count of their group commits.
func batches(b *testing.B, nodes []*Node) (rows, commits, seconds float64) {
	for _, n := range nodes {
		families, err := n.cfg.Registry.Gather()
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range families {
			switch f.GetName() {
			case "memd_storage_commit_seconds":
				commits += float64(f.GetMetric()[0].GetHistogram().GetSampleCount())
				seconds += f.GetMetric()[0].GetHistogram().GetSampleSum()
			case "memd_storage_local_writes_total":
				rows += f.GetMetric()[0].GetCounter().GetValue()
			case "memd_storage_applied_rows_total":
				for _, m := range f.GetMetric() {
					rows += m.GetCounter().GetValue()
				}
			}
		}
	}
	return rows, commits, seconds
}

// BenchmarkCatchUp is a node that comes back to 20,000 rows of 1 KiB. It reports the rows
// per second of the pull, end to end over HTTP, and as a ratio to what bbolt alone takes
// of the same row bytes in transactions of 1 MiB, in the same run on the same disk.
func BenchmarkCatchUp(b *testing.B) {
	const rows = 20_000
	for range b.N {
		start := pair(b)
		full, stopFull := start(0)
		away, stopAway := start(1)
		waitFor(b, "two members", func() bool {
			a, _ := full.Ready()
			c, _ := away.Ready()
			return a && c
		})
		stopAway()
		content := strings.Repeat("abcdefgh", 128)
		for i := 0; i < rows; i += memory.MaxBulk {
			createMany(b, full, i, memory.MaxBulk, content)
		}

		before := residentBytes()
		began := time.Now()
		back, stopBack := start(1)
		waitFor(b, "the rows", func() bool { return back.store.Clock().Covers(full.store.Clock()) })
		took := time.Since(began)
		grown := residentBytes() - before

		raw := plainBolt(b, full)
		stopBack()
		stopFull()
		b.ReportMetric(rows/took.Seconds(), "rows/s")
		b.ReportMetric(raw.Seconds()/took.Seconds(), "x-bbolt")
		b.ReportMetric(float64(grown)/(1<<20), "MiB-grown")
	}
}

// plainBolt writes the rows that n would send into an empty bbolt file, a page of 1 MiB
// in each transaction, and returns how long that took.
func plainBolt(b *testing.B, n *Node) time.Duration {
	var pages [][][]byte
	var cursor clock.Clock
	for {
		p, err := n.store.Since(storage.SinceRequest{Cursor: cursor})
		if err != nil {
			b.Fatal(err)
		}
		if p.NotModified {
			break
		}
		pages = append(pages, p.Rows)
		cursor.Union(p.Covers)
	}
	took, err := storagetest.PlainBolt(b.TempDir(), pages)
	if err != nil {
		b.Fatal(err)
	}
	return took
}

// cpuTime is what this process has used, clients and all nodes: the figure that moves
// least with what else the machine does.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func residentBytes() int64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var total, resident int64
	_, _ = fmt.Sscan(string(raw), &total, &resident)
	return resident * int64(os.Getpagesize())
}
