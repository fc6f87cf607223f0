package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/memd/memd/cluster"
	"github.com/memd/memd/httpapi"
	"github.com/memd/memd/replication"
	"github.com/memd/memd/storage"
	"github.com/memd/memd/wire"
)

// Bounds from which on doctor says something. They are those of the alerts.
const (
	skewWarning     = 500 * time.Millisecond
	certWarning     = 14 * 24 * time.Hour
	fsyncWarning    = 100 * time.Millisecond
	fsyncError      = 500 * time.Millisecond
	freeWarning     = 1 << 30
	freeError       = 64 << 20 // below it the store takes no writes (storage.Config.MinFree)
	diagnosePeer    = 3 * time.Second
	fsyncTries      = 5
	severityError   = "error"
	severityWarning = "warning"
)

// facts are what a diagnosis rests on: gathered by looking, judged by a pure function.
type facts struct {
	version  string
	n, w     int
	reach    int
	removed  bool
	reasons  []string
	offset   time.Duration // of the members' median clock to this one's
	offsetOK bool
	conflict bool // another process has this node's name
	certEnds time.Time
	now      time.Time
	free     uint64 // of the disk
	freeErr  error
	size     int64 // of the store
	fsync    time.Duration
	fsyncErr error
	dirMode  os.FileMode

	quarantined int
	peers       []peerFacts
}

// peerFacts are what is seen of one registered member.
type peerFacts struct {
	name, http, gossip string
	version            string // "" if gossip does not show it
	alive              bool   // as gossip says
	httpErr            error  // no connection to its door
	reach              cluster.Reach
	offset             time.Duration
	push               replication.PeerStatus
	pullErr            string // of the last pull; "" = it went well
}

// Diagnose looks at this node and at the ways to its peers.
func (n *Node) Diagnose(ctx context.Context) (httpapi.Diagnosis, error) {
	return httpapi.Diagnosis{Node: n.cfg.Name, Version: n.cfg.Version, Findings: judge(n.facts(ctx))}, nil
}

func (n *Node) facts(ctx context.Context) facts {
	_, reasons := n.Ready()
	f := facts{
		version: n.cfg.Version, n: n.members.count(), w: n.defaultW(), reach: n.push.Reachable() + 1, removed: n.isRemoved(), reasons: reasons,
		conflict: n.fenced(), now: time.Now(), size: n.store.Size(),
	}
	f.offset, f.offsetOK = n.skew.median()
	if n.files != nil {
		f.certEnds = n.files.Expiry()
	}
	f.free, f.freeErr = n.store.Free()
	f.fsync, f.fsyncErr = fsyncTime(n.cfg.DataDir)
	if info, err := os.Stat(n.cfg.DataDir); err == nil {
		f.dirMode = info.Mode().Perm()
	}
	_ = n.store.View(func(tx *storage.Tx) error {
		s, err := tx.Stats()
		f.quarantined = int(s.Quarantined)
		return err
	})
	f.peers = n.peerFacts(ctx)
	return f
}

// peerFacts looks at all peers at once.
func (n *Node) peerFacts(ctx context.Context) []peerFacts {
	ctx, cancel := context.WithTimeout(ctx, diagnosePeer)
	defer cancel()
	offsets := n.skew.all()
	var all []peerFacts
	for _, m := range n.members.list() {
		if m.Name != n.cfg.Name {
			all = append(all, peerFacts{name: m.Name, http: m.HTTP, gossip: m.Gossip, offset: offsets[m.Name]})
		}
	}
	pushes, pulls, seen := n.push.Status(), n.pull.Status(), n.gossip.Members()
	var looking sync.WaitGroup
	for i := range all {
		p := &all[i]
		for _, g := range seen {
			if g.Name == p.name {
				p.version, p.alive, p.gossip = g.Version, g.State == cluster.StateAlive, g.Gossip
				if g.HTTP != "" {
					p.http = g.HTTP
				}
			}
		}
		for _, s := range pushes {
			if s.Name == p.name {
				p.push = s
			}
		}
		for _, s := range pulls {
			if s.Name == p.name {
				p.pullErr = s.LastErr
			}
		}
		looking.Go(func() { p.httpErr = n.dials(ctx, p.http) })
		looking.Go(func() { p.reach = n.gossip.Probe(ctx, p.name, p.gossip) })
	}
	looking.Wait()
	return all
}

// dials connects to an address as the client of peers does.
func (n *Node) dials(ctx context.Context, addr string) error {
	c, err := n.peerDial()(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}

// fsyncTime is how long the disk of dir takes for what a commit asks of it: the median of
// some tries.
func fsyncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, storage.TempPrefix+"*")
	if err != nil {
		return 0, err
	}
	defer func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }()
	var took []time.Duration
	for range fsyncTries {
		began := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// judge says what is wrong with a node and what to do about it.
func judge(f facts) []httpapi.Finding {
	j := judgement{findings: []httpapi.Finding{}}
	j.node(f)
	j.disk(f)
	for _, p := range f.peers {
		j.peer(f, p)
	}
	return j.findings
}

type judgement struct{ findings []httpapi.Finding }

func (j *judgement) say(severity, check, about, problem, remedy string) {
	j.findings = append(j.findings, httpapi.Finding{Severity: severity, Check: check, About: about, Problem: problem, Remedy: remedy})
}

func (j *judgement) node(f facts) {
	if f.removed {
		j.say(severityError, "member", "", "this node was removed from the cluster",
			"stop it, or admit it again at another node: memd members add NAME")
	}
	if f.conflict {
		j.say(severityError, "name", "", "another process uses the name of this node, and this one acknowledges nothing",
			"find it (memd members shows its address) and stop it; a copied machine needs a name of its own")
	}
	switch {
	case f.n > 0 && f.w > f.n:
		j.say(severityError, "quorum", "", fmt.Sprintf("quorum-writes is %d and there are %d members: every write is refused", f.w, f.n),
			"start more nodes, or lower quorum-writes on every node")
	case f.reach < f.w && !f.removed:
		j.say(severityError, "quorum", "", fmt.Sprintf("%d of %d members are reached and a write needs %d: writes fail", f.reach, f.n, f.w),
			"bring the members back that are named here; one that is lost for good: memd members remove NAME, with --w 1 if there is no quorum")
	case f.n > 1 && f.w == f.n:
		j.say(severityWarning, "quorum", "", fmt.Sprintf("a write needs all %d members: the next one that fails stops them", f.n),
			"run one node more")
	}
	switch d := f.offset.Abs(); {
	case f.offsetOK && d > maxOffset:
		j.say(severityError, "clock", "", fmt.Sprintf("the wall clock is %s off those of the other members: this node stamps no writes", d.Round(time.Second)),
			"set it (chronyc makestep, timedatectl), and keep a time daemon running")
	case f.offsetOK && d > skewWarning:
		j.say(severityWarning, "clock", "", fmt.Sprintf("the wall clock is %s off those of the other members", d.Round(10*time.Millisecond)),
			"look after the time daemon of this machine (chronyc tracking)")
	}
	switch left := f.certEnds.Sub(f.now); {
	case f.certEnds.IsZero() || left > certWarning:
	case left <= 0:
		j.say(severityError, "certificate", "", "the certificate of this node ended at "+f.certEnds.UTC().Format(time.RFC3339),
			"memd ca issue NAME, and put the files in their place: they are read again by themselves")
	default:
		j.say(severityWarning, "certificate", "", fmt.Sprintf("the certificate of this node ends in %d days, at %s", int(left.Hours()/24), f.certEnds.UTC().Format(time.RFC3339)),
			"memd ca issue NAME, and put the files in their place: they are read again by themselves")
	}
	if f.quarantined > 0 {
		j.say(severityWarning, "content", "", fmt.Sprintf("%d rows cannot be read by this version and are kept as bytes", f.quarantined),
			"upgrade this node to the version of the newest member")
	}
	if len(f.reasons) > 0 {
		j.say(severityError, "ready", "", "not ready: "+strings.Join(f.reasons, "; "), "see the other findings; a node that catches up becomes ready by itself")
	}
}

func (j *judgement) disk(f facts) {
	switch {
	case f.freeErr != nil: // a system that does not tell
	case f.free < freeError:
		j.say(severityError, "disk", "", fmt.Sprintf("%d MiB are free on the disk of the data directory: writes are refused", f.free>>20),
			"make room; after many deletes: stop the node, memd compact, start it")
	case f.free < freeWarning || f.size > 0 && f.free < uint64(f.size):
		j.say(severityWarning, "disk", "", fmt.Sprintf("%d MiB are free on the disk of the data directory, the store has %d: not enough for a backup, soon for writes", f.free>>20, f.size>>20),
			"make room; after many deletes: stop the node, memd compact, start it")
	}
	switch {
	case f.fsyncErr != nil:
		j.say(severityError, "fsync", "", "the data directory cannot be written to: "+f.fsyncErr.Error(), "look at the disk, its mount and the rights of the directory")
	case f.fsync > fsyncError:
		j.say(severityError, "fsync", "", fmt.Sprintf("an fsync takes %s: writes wait for the other members", f.fsync.Round(time.Millisecond)), "give memd another disk; see what else writes to this one (iostat -x)")
	case f.fsync > fsyncWarning:
		j.say(severityWarning, "fsync", "", fmt.Sprintf("an fsync takes %s", f.fsync.Round(time.Millisecond)), "see what else writes to the disk (iostat -x)")
	}
	if f.dirMode&0o007 != 0 { // a group may be what a volume needs
		j.say(severityWarning, "store", "", fmt.Sprintf("everybody on this machine may look into the data directory (mode %#o)", f.dirMode), "chmod 700")
	}
}

func (j *judgement) peer(f facts, p peerFacts) {
	if p.httpErr != nil {
		j.say(severityError, "tcp", p.name, fmt.Sprintf("no connection to its HTTP at %s: %s", p.http, p.httpErr),
			"is it running? Else open the port, or correct http-advertise there; lost for good: memd members remove "+p.name)
	}
	switch udp, tcp := p.reach.UDP != nil, p.reach.TCP != nil; {
	case udp && tcp && p.httpErr != nil: // it is down, and that was said
	case udp && tcp:
		j.say(severityError, "gossip", p.name, fmt.Sprintf("its gossip at %s is reached neither by UDP nor by TCP: %s", p.gossip, p.reach.TCP),
			"open the port for both, or correct gossip-advertise there")
	case tcp:
		j.say(severityError, "tcp", p.name, fmt.Sprintf("no connection to its gossip at %s: %s", p.gossip, p.reach.TCP), "open the port for TCP, too")
	case udp:
		j.say(severityError, "udp", p.name, fmt.Sprintf("its gossip at %s takes connections and answers no packet", p.gossip),
			"open the port for UDP; if it is open, the gossip keys differ: memd keyring list")
	}
	if refusal := p.refusal(); refusal != "" {
		j.say(severityError, "key", p.name, "it refuses this node: "+refusal, "give both nodes a key with the scope peer, and certificates of one authority with their names (memd keys list, memd ca issue)")
	}
	if p.push.Result == wire.AckRefused || p.push.Result == wire.AckReconcile {
		j.say(severityError, "member", p.name, "it acknowledges nothing of this node ("+p.push.Result.String()+")", "memd doctor and memd status there say why")
	}
	if p.version != "" && p.version != f.version {
		j.say(severityWarning, "version", p.name, fmt.Sprintf("it runs %s, this node %s", p.version, f.version), "finish the upgrade: one version on every node")
	}
	if !f.offsetOK && p.offset.Abs() > skewWarning { // of two nobody can say which is wrong
		j.say(severityWarning, "clock", p.name, fmt.Sprintf("its wall clock and this one are %s apart", p.offset.Abs().Round(10*time.Millisecond)), "look after the time daemons of both (chronyc tracking)")
	}
}

// refusal is what a peer says that does not let this node in.
func (p peerFacts) refusal() string {
	for _, sign := range []string{"401 ", "403 ", "certificate", "tls:"} {
		if strings.Contains(p.pullErr, sign) {
			return p.pullErr
		}
	}
	return ""
}
