package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

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
	var from syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &from)
	b.Cleanup(func() {
		var to syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &to)
		ns := to.Utime.Nano() + to.Stime.Nano() - from.Utime.Nano() - from.Stime.Nano()
		b.ReportMetric(float64(ns)/1e3/float64(b.N), "cpu-us/op")
	})
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

func BenchmarkSimCommit(b *testing.B) {
	s, err := storage.Open(storage.Config{Dir: shm(b), NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	cpu(b)
	value := doc("ns", "title", "content")
	for i := range b.N {
		k := key(fmt.Sprint(i % 100))
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
	storagetest.Verify(b, s)
}
