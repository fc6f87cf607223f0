package storage_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// shm is a directory in memory, where the simulation keeps its stores.
func shm(b *testing.B) string {
	dir, err := os.MkdirTemp("/dev/shm", "memd-storage-")
	if err != nil {
		b.Skip("no /dev/shm")
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// cpu reports the processor time per operation: on a busy machine the only number that
// means something for work that waits for nothing.
func cpu(b *testing.B) {
	from := cpuTime()
	b.Cleanup(func() { b.ReportMetric(float64(cpuTime()-from)/1e3/float64(b.N), "cpu-us/op") })
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkSimOpenNew(b *testing.B) {
	dir := shm(b)
	cpu(b)
	for i := range b.N {
		s, err := storage.Open(storage.Config{Dir: filepath.Join(dir, fmt.Sprint(i%64)), NoSync: true})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
		b.StopTimer()
		os.RemoveAll(filepath.Join(dir, fmt.Sprint(i%64)))
		b.StartTimer()
	}
}

func BenchmarkSimReopen(b *testing.B) {
	dir := shm(b)
	cpu(b)
	for range b.N {
		s, err := storage.Open(storage.Config{Dir: dir, NoSync: true})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// BenchmarkSimCommit writes as a schedule of the simulation does: few records, few writes
// to each, then the next store.
func BenchmarkSimCommit(b *testing.B) {
	dir := shm(b)
	value := doc("ns", "title", "content")
	var s *storage.Store
	cpu(b)
	for i := range b.N {
		if i%100 == 0 {
			b.StopTimer()
			var err error
			if s != nil {
				storagetest.Verify(b, s)
				s.Close()
			}
			os.RemoveAll(dir)
			if s, err = storage.Open(storage.Config{Dir: dir, NoSync: true}); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		k := key(fmt.Sprint(i % 20))
		if err := s.Submit(storage.Op{Fn: func(tx *storage.Tx) error {
			_, err := tx.Put(k, value, storage.PutOptions{})
			return err
		}}); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Step(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	s.Close()
}

// incomingRows are n rows of about 1 KiB from one origin under derived ids.
func incomingRows(n int) (rows [][]byte) {
	filler := strings.Repeat("All work and no play makes a dull memory. ", 20)
	for i := range n {
		title := fmt.Sprintf("title of memory %d", i)
		k := derived("bench", title, 0)
		at := start.Add(time.Duration(i) * time.Millisecond)
		value := doc("bench", title, filler[:760], func(m *memory.Memory) {
			m.CreatedAt, m.UpdatedAt, m.ExpiresAt = at, at, at.Add(168*time.Hour)
			m.Tags = []string{"bench"}
			m.Metadata = memory.Raw(`{"agent_id":"ai:bench"}`)
		})
		v := memory.Version{Dot: clock.Dot{Origin: 0xabcdef0123456789, Counter: uint64(i + 1)}, Stamp: clock.NewStamp(at.UnixMilli(), 0), Agent: "ai:bench", Value: value, Content: memory.HashOf(title)}
		rows = append(rows, memory.Record{Key: k, Versions: []memory.Version{v}}.Append(nil))
	}
	return rows
}

// pages cuts rows as pulls do.
func pages(rows [][]byte, limit int) (out [][][]byte) {
	size := 0
	for i, r := range rows {
		if i == 0 || size+len(r) > limit {
			out, size = append(out, nil), 0
		}
		out[len(out)-1] = append(out[len(out)-1], r)
		size += len(r)
	}
	return out
}

// BenchmarkCatchUp applies 20,000 rows of 1 KiB in pages of 1 MiB and puts the same rows
// into plain bbolt in the same batches, in turns, so that a busy machine hits both alike:
// the ratio of the medians is what the issue bounds. "serial" waits for a page before it
// hands over the next one; "ahead" keeps one waiting, as a puller does that asks for the
// next page while this one is being written.
func BenchmarkCatchUp(b *testing.B) {
	const n = 20_000
	rows := incomingRows(n)
	batches := pages(rows, 1<<20)
	for _, mode := range []struct {
		name  string
		ahead int
	}{{"serial", 1}, {"ahead", 2}, {"ahead3", 4}} {
		b.Run(mode.name, func(b *testing.B) {
			var ours, bolts []float64
			var oursCPU, boltsCPU time.Duration
			for b.Loop() {
				start := cpuTime()
				plain, err := storagetest.PlainBolt(b.TempDir(), batches)
				if err != nil {
					b.Fatal(err)
				}
				bolts = append(bolts, plain.Seconds())
				mid := cpuTime()
				ours = append(ours, catchUp(b, batches, mode.ahead).Seconds())
				boltsCPU += mid - start
				oursCPU += cpuTime() - mid
			}
			slices.Sort(ours)
			slices.Sort(bolts)
			us, them := ours[len(ours)/2], bolts[len(bolts)/2]
			b.ReportMetric(n/us, "rows/s")
			b.ReportMetric(n/them, "bbolt-rows/s")
			b.ReportMetric(100*them/us, "%of-bbolt")
			b.ReportMetric(float64(oursCPU.Microseconds())/n/float64(b.N), "cpu-us/row")
			b.ReportMetric(float64(boltsCPU.Microseconds())/n/float64(b.N), "bbolt-cpu-us/row")
		})
	}
}

func catchUp(b *testing.B, batches [][][]byte, ahead int) time.Duration {
	s := storagetest.Open(b, func(c *storage.Config) { c.NoSync = false })
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	from := time.Now()
	slots := make(chan struct{}, ahead)
	for _, batch := range batches {
		slots <- struct{}{}
		s.SubmitApply(storage.Batch{From: "bench", Rows: batch}, func(a storage.Applied, err error) {
			if err != nil || a.New != len(batch) {
				b.Error(a, err)
			}
			<-slots
		})
	}
	for range ahead {
		slots <- struct{}{}
	}
	took := time.Since(from)
	cancel()
	wg.Wait()
	s.Close()
	return took
}

// BenchmarkPut64 is 64 callers that put 300 bytes each and wait for the disk.
func BenchmarkPut64(b *testing.B) {
	transactions := 0
	s := storagetest.Open(b, func(c *storage.Config) {
		c.NoSync = false
		c.Fail = func(p string) error {
			if p == "before-commit" {
				transactions++
			}
			return nil
		}
	})
	storagetest.Run(b, s)
	content := strings.Repeat("x", 200)
	var next atomic.Int64
	cpu(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				title := fmt.Sprint("memory ", i)
				value := doc("bench", title, content)
				_, err := s.Commit(context.Background(), func(tx *storage.Tx) error {
					if keys, err := tx.ByTitle("bench", title); err != nil || len(keys) > 0 {
						return fmt.Errorf("title taken by %v: %w", keys, err)
					}
					_, err := tx.Put(derived("bench", title, 0), value, storage.PutOptions{Agent: "ai:bench", Content: memory.HashOf(title)})
					return err
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)/float64(max(transactions, 1)), "rows/commit")
}

// BenchmarkSince builds the pages of a catch-up of 20,000 rows.
func BenchmarkSince(b *testing.B) {
	rows := incomingRows(20_000)
	s := storagetest.Open(b)
	for _, batch := range pages(rows, 1<<20) {
		if _, err := storagetest.Apply(b, s, storage.Batch{Rows: batch}); err != nil {
			b.Fatal(err)
		}
	}
	cpu(b)
	n := 0
	for b.Loop() {
		var cursor clock.Clock
		for {
			p, err := s.Since(storage.SinceRequest{Cursor: cursor})
			if err != nil {
				b.Fatal(err)
			}
			n += len(p.Rows)
			cursor.Union(p.Covers)
			if p.Complete {
				break
			}
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkSinceNothing is the question of an idle cluster.
func BenchmarkSinceNothing(b *testing.B) {
	s := storagetest.Open(b)
	put(b, s, key("a"), doc("ns", "a", "a"))
	r := storage.SinceRequest{Cursor: s.Clock()}
	b.ReportAllocs()
	for b.Loop() {
		if p, err := s.Since(r); err != nil || !p.NotModified {
			b.Fatal(err)
		}
	}
}

// BenchmarkExpired is the whole walk of a sweep that finds nothing, 20,000 entries a look;
// longest is the longest look, as long as which a transaction is held.
func BenchmarkExpired(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := storage.Open(storage.Config{Dir: shm(b), NoSync: true})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			ends := start.Add(time.Hour)
			for at := 0; at < n; at += 1000 {
				if err := s.Submit(storage.Op{Fn: func(tx *storage.Tx) error {
					for i := at; i < at+1000; i++ {
						value := doc(fmt.Sprint("ns", i%50), fmt.Sprint(i), "c", func(m *memory.Memory) { m.ExpiresAt = ends })
						if _, err := tx.Put(key(fmt.Sprint(i)), value, storage.PutOptions{}); err != nil {
							return err
						}
					}
					return nil
				}}); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Step(); err != nil {
					b.Fatal(err)
				}
			}
			var longest time.Duration
			for b.Loop() {
				for from, more := []byte(nil), true; more; more = from != nil {
					began := time.Now()
					if err := s.View(func(tx *storage.Tx) error {
						keys, next, err := tx.Expired(start, from, 20_000)
						if from = next; len(keys) > 0 {
							b.Error(len(keys))
						}
						return err
					}); err != nil {
						b.Fatal(err)
					}
					longest = max(longest, time.Since(began))
				}
			}
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest")
		})
	}
}
