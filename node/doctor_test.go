package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memd/memd/cluster"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/replication"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// healthy is a node of three that nothing is wrong with.
func healthy() facts {
	peer := func(name string) peerFacts {
		return peerFacts{name: name, http: "h:1", gossip: "h:2", version: "1.0", alive: true}
	}
	return facts{version: "1.0", n: 3, w: 2, reach: 3, offset: 3 * time.Millisecond, offsetOK: true, now: time.Unix(1e9, 0), free: 100 << 30, size: 1 << 30,
		fsync: 2 * time.Millisecond, dirMode: 0o700, peers: []peerFacts{peer("n2"), peer("n3")}}
}

// Every finding, by what leads to it: one planted thing, one finding, with a remedy.
func TestJudge(t *testing.T) {
	if got := judge(healthy()); len(got) != 0 {
		t.Fatalf("of a healthy node: %+v", got)
	}
	no := errors.New("i/o timeout")
	for name, c := range map[string]struct {
		plant func(*facts)
		want  string // severity, check, about
		says  string
	}{
		"removed":            {func(f *facts) { f.removed = true }, "error member", "was removed"},
		"a clone":            {func(f *facts) { f.conflict = true }, "error name", "another process"},
		"w above n":          {func(f *facts) { f.w = 4 }, "error quorum", "quorum-writes is 4 and there are 3 members"},
		"too few are there":  {func(f *facts) { f.reach = 1 }, "error quorum", "1 of 3 members are reached and a write needs 2"},
		"all are needed":     {func(f *facts) { f.w = 3 }, "warning quorum", "needs all 3"},
		"clock far off":      {func(f *facts) { f.offset = -2 * time.Minute }, "error clock", "2m0s off"},
		"clock off":          {func(f *facts) { f.offset = time.Second }, "warning clock", "1s off"},
		"clock of two":       {func(f *facts) { f.offsetOK = false; f.peers[0].offset = time.Hour }, "warning clock n2", "1h0m0s apart"},
		"certificate ended":  {func(f *facts) { f.certEnds = f.now.Add(-time.Hour) }, "error certificate", "ended at"},
		"certificate ends":   {func(f *facts) { f.certEnds = f.now.Add(50 * time.Hour) }, "warning certificate", "ends in 2 days"},
		"certificate is new": {func(f *facts) { f.certEnds = f.now.Add(9000 * time.Hour) }, "", ""},
		"quarantine":         {func(f *facts) { f.quarantined = 7 }, "warning content", "7 rows"},
		"not ready":          {func(f *facts) { f.reasons = []string{"catching up from n2"} }, "error ready", "catching up from n2"},
		"disk full":          {func(f *facts) { f.free = 10 << 20 }, "error disk", "10 MiB"},
		"disk nearly full":   {func(f *facts) { f.free = 500 << 20 }, "warning disk", "500 MiB"},
		"no room for a copy": {func(f *facts) { f.size = 200 << 30 }, "warning disk", "not enough for a backup"},
		"disk unknown":       {func(f *facts) { f.free, f.freeErr = 0, no }, "", ""},
		"slow fsync":         {func(f *facts) { f.fsync = 200 * time.Millisecond }, "warning fsync", "takes 200ms"},
		"very slow fsync":    {func(f *facts) { f.fsync = 2 * time.Second }, "error fsync", "takes 2s"},
		"no fsync":           {func(f *facts) { f.fsyncErr = no }, "error fsync", "cannot be written"},
		"open directory":     {func(f *facts) { f.dirMode = 0o755 }, "warning store", "0755"},
		"tcp":                {func(f *facts) { f.peers[1].httpErr = no }, "error tcp n3", "i/o timeout"},
		"it is down": {func(f *facts) { f.peers[1].httpErr, f.peers[1].reach = no, cluster.Reach{UDP: no, TCP: no} },
			"error tcp n3", "no connection to its HTTP"},
		"udp":        {func(f *facts) { f.peers[0].reach.UDP = no }, "error udp n2", "answers no packet"},
		"gossip tcp": {func(f *facts) { f.peers[0].reach.TCP = no }, "error tcp n2", "gossip at h:2"},
		"gossip":     {func(f *facts) { f.peers[0].reach = cluster.Reach{UDP: no, TCP: no} }, "error gossip n2", "neither by UDP nor by TCP"},
		"key":        {func(f *facts) { f.peers[0].pullErr = "pull n2: 401 no key" }, "error key n2", "401 no key"},
		"bad cert":   {func(f *facts) { f.peers[0].pullErr = "x509: certificate signed by unknown authority" }, "error key n2", "unknown authority"},
		"refused":    {func(f *facts) { f.peers[0].push = replication.PeerStatus{Result: wire.AckRefused} }, "error member n2", "acknowledges nothing"},
		"version":    {func(f *facts) { f.peers[0].version = "0.9" }, "warning version n2", "it runs 0.9, this node 1.0"},
	} {
		f := healthy()
		c.plant(&f)
		got := judge(f)
		if c.want == "" {
			if len(got) > 0 {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if len(got) != 1 || strings.TrimSpace(got[0].Severity+" "+got[0].Check+" "+got[0].About) != c.want || !strings.Contains(got[0].Problem, c.says) || got[0].Remedy == "" {
			t.Errorf("%s: %+v, want %s: %s", name, got, c.want, c.says)
		}
	}
}

// What a data directory has to say without its node.
func TestDiagnoseDir(t *testing.T) {
	n := startOne(t, func(*Config) {})
	sound := n.cfg.DataDir
	if err := os.Chmod(sound, 0o700); err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	copied := func(name string) string {
		dir := filepath.Join(base, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, storage.DataFile))
		if err == nil {
			err = errors.Join(n.store.Snapshot(f), f.Close())
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, storage.MarkerFile), nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open, lost, cut := copied("open"), copied("lost"), copied("cut")
	for _, err := range []error{os.Chmod(open, 0o755), os.Remove(filepath.Join(lost, storage.DataFile)), os.Truncate(filepath.Join(cut, storage.DataFile), 9000)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ dir, want string }{
		{sound, ""}, {copied("stopped"), ""},
		{open, "warning store: everybody"}, {lost, "error store: memd.db is gone"}, {cut, "error store: "},
		{filepath.Join(base, "none"), "warning store: "}, {file, "error store: "},
	} {
		var all []httpapi.Finding
		for _, f := range DiagnoseDir(c.dir) {
			if f.Check != "disk" && f.Check != "fsync" { // those are this machine's
				all = append(all, f)
			}
		}
		got := ""
		for _, f := range all {
			got += fmt.Sprintf("%s %s: %s\n", f.Severity, f.Check, f.Problem)
		}
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) || len(all) > 1 {
			t.Errorf("%s: %q, want %q", c.dir, got, c.want)
		}
	}
}
