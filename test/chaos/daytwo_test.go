//go:build chaos && linux

package chaos

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memd/memd/test/history"
)

const writesPerSecond = 200

// memd runs a command of the binary under test against the mesh, and returns what it says.
func (m *mesh) memd(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("memd %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// whole waits until every node is ready and reaches all of n members.
func (m *mesh) whole(n int) {
	m.t.Helper()
	m.eventually(60*time.Second, func() error {
		for _, x := range m.nodes {
			s, err := x.state()
			if err != nil {
				return err
			}
			if !s.Ready || s.Quorum.N != n || s.Quorum.Reachable != n {
				return fmt.Errorf("%s: ready %t (%s), reaches %d of %d, want %d", x.name, s.Ready, strings.Join(s.Reasons, "; "), s.Quorum.Reachable, s.Quorum.N, n)
			}
		}
		return nil
	})
}

// TestRollingRestart3 and 5: deploy/rolling-restart.sh under 200 writes a second. Nothing
// that was acknowledged is lost, and no write fails to a client that repeats it once.
func TestRollingRestart3(t *testing.T) { rollingRestart(t, 3, times(2, 1)) }
func TestRollingRestart5(t *testing.T) {
	if testing.Short() {
		t.Skip("the short form restarts three")
	}
	rollingRestart(t, 5, 2)
}

func rollingRestart(t *testing.T, size, rounds int) {
	m := newMeshOf(t, size)
	m.whole(size)
	restart, served := m.restarter()
	defer served()
	l := m.load(writesPerSecond)
	err := l.goesOn(200)
	began := time.Now()
	for i := 0; i < rounds && err == nil; i++ {
		var out string
		out, err = m.script(append([]string{"rolling-restart.sh", restart}, m.servers()...)...)
		if err == nil && strings.Count(out, "restarting ") != size {
			err = fmt.Errorf("the script says %s", out)
		}
	}
	took := time.Since(began)
	if err == nil {
		err = l.goesOn(200)
	}
	figures, failed := l.end()
	m.must(err)
	m.must(failed)
	m.whole(size)
	m.judge()
	report.round(t, nil)
	report.note(t, "%d nodes restarted %d times in %.1f s: %s; 0 lost", size, rounds, took.Seconds(), figures)
}

func (m *mesh) servers() []string {
	var out []string
	for _, n := range m.nodes {
		out = append(out, n.http)
	}
	return out
}

// script runs a script of deploy with the binary under test.
func (m *mesh) script(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	args[0] = filepath.Join("..", "..", "deploy", args[0])
	cmd := exec.CommandContext(ctx, "sh", args...)
	cmd.Env = append(environment(), "MEMD="+binary, "MEMD_WAIT=60")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", args[0], err, out)
	}
	return string(out), err
}

// restarter is the command that an operator has for restarting the node of a server: here it
// asks the test, through two pipes, to end the process by SIGTERM and to start another one.
func (m *mesh) restarter() (command string, stop func()) {
	m.t.Helper()
	ask, told := filepath.Join(m.dir, "ask"), filepath.Join(m.dir, "told")
	m.must(syscall.Mkfifo(ask, 0o600))
	m.must(syscall.Mkfifo(told, 0o600))
	in, err := os.OpenFile(ask, os.O_RDWR, 0) // so that neither side waits for the other one
	m.must(err)
	out, err := os.OpenFile(told, os.O_RDWR, 0)
	m.must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(in); lines.Scan(); {
			answer := "nobody is at " + lines.Text()
			for _, n := range m.nodes {
				if n.http == lines.Text() {
					answer = "ok"
					if err := n.restart(); err != nil {
						answer = strings.ReplaceAll(err.Error(), "\n", " ")
					}
				}
			}
			fmt.Fprintln(out, answer)
		}
	}()
	return fmt.Sprintf(`echo "$1" >%s && read said <%s && echo "$said" && [ "$said" = ok ]`, ask, told), func() {
		_ = in.Close()
		<-done
		_ = out.Close()
	}
}

// restart is what a supervisor does, for a goroutine that may not end the test.
func (n *node) restart() error {
	start := n.m.rec.Now()
	if err := n.proc().signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := n.ended(); err != nil {
		return err
	}
	n.m.fault(n, start, "sigterm", "exit code 0")
	return n.launch()
}

// TestGrow: a fourth and a fifth node are started under writes, and take part.
func TestGrow(t *testing.T) {
	m := newMesh(t)
	m.whole(3)
	l := m.load(writesPerSecond)
	err := l.goesOn(200)
	for size := 4; size <= 3+times(2, 1) && err == nil; size++ {
		m.add().start()
		m.whole(size)
		l.follow()
		err = l.goesOn(300)
	}
	figures, failed := l.end()
	m.must(err)
	m.must(failed)
	m.judge()
	report.round(t, nil)
	report.note(t, "from 3 to %d nodes: %s; 0 lost", len(m.nodes), figures)
}

// TestReplaceForGood: a node dies with its disk. Its name is taken out and another one comes;
// then the next one dies, is taken out, and comes back under its own name with an empty disk;
// all of it under writes.
func TestReplaceForGood(t *testing.T) {
	m := newMesh(t)
	m.whole(3)
	l := m.load(writesPerSecond)
	err := func() error {
		if err := l.goesOn(200); err != nil {
			return err
		}
		n3 := m.nodes[2]
		if err := m.loseForGood(n3, l, m.nodes[0]); err != nil {
			return err
		}
		m.add().start()
		m.whole(3)
		l.follow()
		if err := l.goesOn(200); err != nil || testing.Short() {
			return err
		}
		n2 := m.nodes[1]
		if err := m.loseForGood(n2, l, m.nodes[0]); err != nil {
			return err
		}
		m.nodes, m.names = append(m.nodes, n2), append(m.names, n2.name)
		n2.start()
		m.eventually(30*time.Second, func() error {
			s, err := n2.state()
			if err == nil && !strings.Contains(strings.Join(s.Reasons, "; "), "was removed") {
				err = fmt.Errorf("%s says %v", n2.name, s.Reasons)
			}
			return err
		})
		if op := m.client("early").add(n2, "too early", "content", options{w: 1}); op.Status != 503 {
			return fmt.Errorf("a removed node took a write: %d", op.Status)
		}
		var out string
		m.eventually(10*time.Second, func() (err error) { // until gossip shows it there
			out, err = m.memd("members", "add", n2.name, "--server", m.nodes[0].http)
			return err
		})
		if !strings.Contains(out, "2 of 3 members") {
			return fmt.Errorf("members add says %s", out)
		}
		m.whole(3)
		l.follow()
		return l.goesOn(200)
	}()
	figures, failed := l.end()
	m.must(err)
	m.must(failed)
	m.judge()
	report.round(t, nil)
	report.note(t, "%s; 0 lost", figures)
}

// loseForGood kills a node, empties its disk, and takes its name out of the registry.
func (m *mesh) loseForGood(n *node, l *load, at *node) error {
	if err := n.kill(); err != nil {
		return err
	}
	if err := os.RemoveAll(n.dir); err != nil {
		return err
	}
	if err := l.goesOn(100); err != nil { // with one of three gone
		return err
	}
	m.drop(n)
	l.follow()
	var out string
	m.eventually(30*time.Second, func() (err error) { // it seems alive for some seconds
		out, err = m.memd("members", "remove", n.name, "--server", at.http)
		return err
	})
	if !strings.Contains(out, "the quorum is 2 of 2 members") {
		return fmt.Errorf("members remove says %s", out)
	}
	m.whole(2)
	return l.goesOn(100)
}

// TestBackupUnderLoad: a copy of a node that is written to becomes a fourth node, which gets
// the rest from the others and brings nothing back.
func TestBackupUnderLoad(t *testing.T) {
	m := newMesh(t)
	m.whole(3)
	l := m.load(writesPerSecond)
	file := filepath.Join(m.dir, "backup")
	var took time.Duration
	err := func() error {
		c := m.client("owner")
		old, err := c.populate(60, m.nodes)
		if err != nil {
			return err
		}
		began := time.Now()
		if _, err := m.memd("backup", file, "--server", m.nodes[1].http); err != nil {
			return err
		}
		took = time.Since(began)
		i := 0
		for title, op := range old { // the copy has them alive
			if i++; i%2 == 0 {
				if got := c.remove(m.nodes[i%3], title, op.ID, options{match: op.Token}); got.Status != 200 {
					return fmt.Errorf("delete: %d %s", got.Status, got.Note)
				}
			}
		}
		n4 := m.add()
		if _, err := m.memd("restore", file, "--data-dir", n4.dir); err != nil {
			return err
		}
		n4.start()
		m.whole(4)
		l.follow()
		return l.goesOn(200)
	}()
	figures, failed := l.end()
	m.must(err)
	m.must(failed)
	m.judge()
	report.round(t, nil)
	report.note(t, "backup in %s under %s; 0 lost, 0 resurrected", ms(took), figures)
}

// TestMajorityLost: two of three nodes are gone for good, with their disks. The survivor takes
// no write until an operator has said so, for each of the lost ones; then it goes on alone,
// with all that it had acknowledged, and new nodes make a mesh of three of it again.
func TestMajorityLost(t *testing.T) {
	m := newMesh(t)
	m.whole(3)
	c := m.client("owner")
	if _, err := c.populate(60, m.nodes); err != nil {
		t.Fatal(err)
	}
	m.quiet(quietLimit)
	survivor, lost := m.nodes[0], []*node{m.nodes[1], m.nodes[2]}
	began := time.Now()
	for _, n := range lost {
		m.must(n.kill())
		m.must(os.RemoveAll(n.dir))
		m.drop(n)
	}
	title := m.name("alone")
	if op := c.add(survivor, title, c.content(title), options{}); op.Outcome == history.OK {
		t.Fatal("a write was acknowledged without a quorum")
	}
	for i, n := range lost {
		var out string
		m.eventually(60*time.Second, func() (err error) { // they seem alive for some seconds
			// Without --w it must not go, however long one waits.
			if out, err := m.memd("members", "remove", n.name, "--server", survivor.http); err == nil {
				t.Fatalf("%s was removed without a quorum: %s", n.name, out)
			}
			out, err = m.memd("members", "remove", n.name, "--w", "1", "--server", survivor.http)
			return err
		})
		if want := fmt.Sprintf("the quorum is %d of %d", 2-i, 2-i); !strings.Contains(out, want) {
			t.Fatalf("members remove says %s, want %s", out, want)
		}
	}
	m.whole(1)
	title = m.name("alone")
	if op := c.add(survivor, title, c.content(title), options{}); op.Outcome != history.OK {
		t.Fatalf("it does not go on alone: %d %s", op.Status, op.Note)
	}
	report.note(t, "it took %s until the survivor wrote alone", ms(time.Since(began)))
	m.add().start()
	m.add().start()
	m.whole(3)
	title = m.name("again")
	if op := c.add(m.nodes[2], title, c.content(title), options{}); op.Outcome != history.OK || op.Acks < 2 {
		t.Fatalf("a mesh of three again: %d %s, %d acks", op.Status, op.Note, op.Acks)
	}
	m.judge()
	report.round(t, nil)
}
