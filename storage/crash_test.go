package storage_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/storage/storagetest"
)

// A crash before the commit leaves nothing, one after it everything, and the writer is
// told neither for certain.
func TestCrashPoints(t *testing.T) {
	for _, point := range []string{"before-commit", "after-commit"} {
		t.Run(point, func(t *testing.T) {
			dir := t.TempDir()
			crash := errors.New("crash")
			armed := false
			s := storagetest.Open(t, storagetest.Dir(dir), func(c *storage.Config) {
				c.Fail = func(p string) error {
					if armed && p == point {
						return crash
					}
					return nil
				}
			})
			put(t, s, key("a"), doc("ns", "a", "old"))
			origin, digest := s.Origin(), s.Digest()
			armed = true
			var got []error
			for _, k := range []string{"a", "b"} {
				s.Submit(storage.Op{
					Fn: func(tx *storage.Tx) error {
						_, err := tx.Put(key(k), doc("ns", k, "new"), storage.PutOptions{})
						return err
					},
					Done: func(_ storage.Result, err error) { got = append(got, err) },
				})
			}
			_, err := s.Step()
			if !errors.Is(err, crash) || !errors.Is(err, memory.ErrStopped) {
				t.Errorf("step: %v", err)
			}
			if len(got) != 2 || !errors.Is(got[0], crash) || !errors.Is(got[1], crash) {
				t.Errorf("done: %v", got)
			}
			// Nothing is served any more.
			if err := s.View(func(*storage.Tx) error { return nil }); !errors.Is(err, memory.ErrStopped) {
				t.Errorf("view: %v", err)
			}
			if _, err := s.Since(storage.SinceRequest{}); !errors.Is(err, memory.ErrStopped) {
				t.Errorf("since: %v", err)
			}
			if err := s.Submit(storage.Op{}); !errors.Is(err, memory.ErrStopped) {
				t.Errorf("submit: %v", err)
			}
			if err := s.Run(context.Background()); !errors.Is(err, crash) {
				t.Errorf("run: %v", err)
			}
			s.Close()

			s = storagetest.Open(t, storagetest.Dir(dir))
			committed := point == "after-commit"
			if (content(t, s, key("a")) == "new") != committed || (content(t, s, key("b")) == "new") != committed {
				t.Errorf("a is %q, b is %q", content(t, s, key("a")), content(t, s, key("b")))
			}
			if (s.Digest() == digest) == committed {
				t.Error("digest")
			}
			if d := put(t, s, key("a"), doc("ns", "a", "next")); d.Origin == origin {
				t.Errorf("dot %s under the origin before the crash", d)
			}
		})
	}
}

func TestClosedStore(t *testing.T) {
	s := storagetest.Open(t)
	var got error
	s.Submit(storage.Op{Fn: func(*storage.Tx) error { t.Error("ran after Close"); return nil }, Done: func(_ storage.Result, err error) { got = err }})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(got, memory.ErrStopped) {
		t.Errorf("what waited was told %v", got)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if err := s.WaitFor(context.Background(), waitClock()); !errors.Is(err, memory.ErrStopped) {
		t.Errorf("wait: %v", err)
	}
}

const burstEnv = "MEMD_STORAGE_TEST_BURST"

// TestBurst is not a test: TestKill9 runs it in a process of its own.
func TestBurst(t *testing.T) {
	dir := os.Getenv(burstEnv)
	if dir == "" {
		t.Skip("only as a child of TestKill9")
	}
	s, err := storage.Open(storage.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	go s.Run(context.Background())
	var out sync.Mutex
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d", w, i)
				if _, err := s.Commit(context.Background(), func(tx *storage.Tx) error {
					_, err := tx.Put(key(name), doc("ns", name, name), storage.PutOptions{})
					return err
				}); err != nil {
					fmt.Println("error", err)
					return
				}
				out.Lock()
				fmt.Println("acked", name)
				out.Unlock()
			}
		}()
	}
	time.Sleep(time.Minute) // the parent kills this process long before
}

// What was acknowledged is there after kill -9, and what is there is whole.
func TestKill9(t *testing.T) {
	if testing.Short() {
		t.Skip("runs processes")
	}
	dir := t.TempDir()
	acked := map[string]bool{}
	for round := range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBurst$", "-test.v")
		cmd.Env = append(os.Environ(), burstEnv+"="+dir)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, before := bufio.NewScanner(pipe), len(acked)
		for lines.Scan() {
			name, ok := strings.CutPrefix(lines.Text(), "acked ")
			if ok {
				acked[fmt.Sprintf("%d/%s", round, name)] = true
			}
			if len(acked)-before == 100+37*round {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if len(acked)-before < 100 {
			t.Fatalf("round %d: only %d writes", round, len(acked)-before)
		}
		s := storagetest.Open(t, storagetest.Dir(dir)) // verified when closed
		for name := range acked {
			_, name, _ = strings.Cut(name, "/")
			if content(t, s, key(name)) != name {
				t.Errorf("round %d: acknowledged write %s is not there", round, name)
			}
		}
		storagetest.Verify(t, s)
		s.Close()
	}
}

// A panic on the way to the disk ends the store, not the process, and Close still works.
func TestPanicInCommitStops(t *testing.T) {
	s := storagetest.Open(t, func(c *storage.Config) {
		c.Fail = func(string) error { panic("bad page") }
	})
	var got error
	s.Submit(storage.Op{
		Fn: func(tx *storage.Tx) error {
			_, err := tx.Put(key("a"), doc("ns", "a", "a"), storage.PutOptions{})
			return err
		},
		Done: func(_ storage.Result, err error) { got = err },
	})
	if _, err := s.Step(); !errors.Is(err, memory.ErrStopped) || !errors.Is(got, memory.ErrStopped) {
		t.Errorf("step %v, done %v", err, got)
	}
	select {
	case <-s.Stopped():
	default:
		t.Error("not stopped")
	}
}

const limitEnv = "MEMD_STORAGE_TEST_LIMIT"

// TestLimited is not a test: TestCommitErrorStops runs it where the file cannot grow.
func TestLimited(t *testing.T) {
	dir := os.Getenv(limitEnv)
	if dir == "" {
		t.Skip("only as a child of TestCommitErrorStops")
	}
	s, err := storage.Open(storage.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	info, err := os.Stat(filepath.Join(dir, storage.DataFile))
	if err != nil {
		t.Fatal(err)
	}
	most := uint64(info.Size()) + 20<<20 // bbolt grows the file by 16 MiB at a time
	limit := syscall.Rlimit{Cur: most, Max: most}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	run := make(chan error)
	go func() { run <- s.Run(context.Background()) }()
	for i := 0; ; i++ {
		name := fmt.Sprint(i)
		_, err := s.Commit(context.Background(), func(tx *storage.Tx) error {
			for j := range 20 {
				if _, err := tx.Put(key(fmt.Sprint(name, "-", j)), doc("ns", name, strings.Repeat("x", 50_000)), storage.PutOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			fmt.Println("refused:", errors.Is(err, memory.ErrStopped))
			break
		}
		fmt.Println("acked", name)
	}
	fmt.Println("run ended:", errors.Is(<-run, memory.ErrStopped))
	fmt.Println("reads refused:", errors.Is(s.View(func(*storage.Tx) error { return nil }), memory.ErrStopped))
	if err := s.Close(); err != nil {
		fmt.Println("close:", err)
	}
}

// A commit error that the look at the free space could not foresee stops the store; what
// was acknowledged before is there.
func TestCommitErrorStops(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a process")
	}
	dir := t.TempDir()
	storagetest.Open(t, storagetest.Dir(dir)).Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLimited$", "-test.v")
	cmd.Env = append(os.Environ(), limitEnv+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"acked 0\n", "refused: true\n", "run ended: true\n", "reads refused: true\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	s := storagetest.Open(t, storagetest.Dir(dir))
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "acked "); ok && content(t, s, key(name+"-19")) == "-" {
			t.Errorf("acknowledged write %s is not there", name)
		}
	}
}

func TestSnapshotOpensAnywhere(t *testing.T) {
	s := storagetest.Open(t)
	put(t, s, key("a"), doc("ns", "a", "a"))
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, storage.DataFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Snapshot(f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	copied := storagetest.Open(t, storagetest.Dir(dir))
	same(t, s, copied)
	if d := put(t, copied, key("b"), doc("ns", "b", "b")); d.Origin == s.Origin() {
		t.Errorf("dot %s under the origin of the original", d)
	}
}
