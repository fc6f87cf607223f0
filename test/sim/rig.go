package sim

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"

	"github.com/memd/memd/clock"
	"github.com/memd/memd/memory"
	"github.com/memd/memd/storage"
)

// Rig is the folder of one worker, used by one schedule after the other, and the images of
// data files that schedules begin with.
type Rig struct {
	dir     string
	founded map[int]*founding
	empty   []byte
}

// founding is the data file of a cluster that has formed: the members are registered and
// every node knows it.
type founding struct {
	image   []byte
	members []storage.StagedRow
	records []memory.Record
}

// NewRig returns a rig that works in dir.
func NewRig(dir string) (*Rig, error) {
	r := &Rig{dir: dir, founded: map[int]*founding{}}
	image, _, err := r.image(0)
	r.empty = image
	return r, err
}

func nodeName(n int) string { return "n" + strconv.Itoa(n+1) }

// founding returns the image of a cluster of n members.
func (r *Rig) founding(n int) (*founding, error) {
	if f := r.founded[n]; f != nil {
		return f, nil
	}
	image, rows, err := r.image(n)
	if err != nil {
		return nil, err
	}
	f := &founding{image: image, members: rows}
	for _, row := range rows {
		rec, err := memory.DecodeRecord(row.Raw)
		if err != nil {
			return nil, err
		}
		f.records = append(f.records, rec)
	}
	r.founded[n] = f
	return f, nil
}

// image makes a data file with n members registered.
func (r *Rig) image(n int) ([]byte, []storage.StagedRow, error) {
	dir := filepath.Join(r.dir, "image"+strconv.Itoa(n))
	var rows []storage.StagedRow
	s, err := storage.Open(storage.Config{
		Dir: dir, NoSync: true, Now: clockAt(epoch), Random: func() uint64 { return 0xf0 },
		Staged: func(st storage.Staged) { rows = append(rows, st.Rows...) },
	})
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	if err := s.SetCluster(cluster); err != nil {
		return nil, nil, err
	}
	for i := range n {
		name := nodeName(i)
		m := memory.Member{Name: name, HTTP: name + ":9077"}
		var failed error
		err := s.Submit(storage.Op{
			Fn: func(tx *storage.Tx) error {
				_, err := tx.Put(memory.NewKey(memory.KindMember, name), m.Encode(), storage.PutOptions{Agent: "memd:" + name})
				return err
			},
			Done: func(_ storage.Result, err error) { failed = err },
		})
		if err == nil {
			_, err = s.Step()
		}
		if err == nil {
			err = failed
		}
		if err != nil {
			return nil, nil, fmt.Errorf("register %s: %w", name, err)
		}
	}
	var b bytes.Buffer
	if err := s.Snapshot(&b); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), rows, nil
}

// put writes a data file into the folder of disk number n and returns the folder.
func (r *Rig) put(n int, image []byte) (string, error) {
	dir := filepath.Join(r.dir, strconv.Itoa(n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, storage.DataFile), image, 0o600)
}

// found makes the nodes of a cluster that has formed.
func (w *World) found(n int) {
	f, err := w.rig.founding(n)
	if err != nil {
		w.fail("rig", "%v", err)
		return
	}
	var known knowledge
	for i, row := range f.members {
		rec := f.records[i]
		v := &rec.Versions[0]
		made := &write{n: len(w.writes), key: w.number(rec.Key), dot: row.Dot, stamp: v.Stamp, sum: v.Sum(rec.Key), content: v.Content}
		w.writes = append(w.writes, made)
		w.byDot[row.Dot] = made
		var s set
		s.add(made.n)
		known = known.tell(told{key: made.key, known: s})
	}
	w.owners[clock.Origin(0xf0)] = nil
	for i := range n {
		s := w.newSlot(nodeName(i))
		s.load(f.image, known)
		if s.start() {
			s.proc.synced = true
		}
	}
}

func stack() []byte { return debug.Stack() }
