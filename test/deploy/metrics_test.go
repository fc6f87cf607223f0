package deploy

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// scrape runs three nodes, has them do something of everything, and returns all that one of
// them exports, a line a series.
func scrape(t *testing.T) string {
	t.Helper()
	ports := freePorts(t, 6)
	var addrs, seeds []string
	for i := range 3 {
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", ports[i]))
		seeds = append(seeds, fmt.Sprintf("127.0.0.1:%d", ports[3+i]))
	}
	secrets := secretsOf(t, "n1", "n2", "n3")
	ca := filepath.Join(secrets, "ca.crt")
	for i := range 3 {
		name := fmt.Sprintf("n%d", i+1)
		start(t, exec.Command(memd(t), "serve", "--name", name, "--data-dir", t.TempDir(), "--http-addr", addrs[i], "--gossip-addr", seeds[i],
			"--join", strings.Join(seeds, ","), "--bootstrap-expect", "3",
			"--embeddings-url", "http://127.0.0.1:1", "--embeddings-model", "nobody-there",
			"--tls-cert", filepath.Join(secrets, name+".crt"), "--tls-key", filepath.Join(secrets, name+".key"), "--tls-ca", ca))
	}
	client := func(args ...string) error {
		out, err := exec.Command(memd(t), append(args, "--tls-ca", ca)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("memd %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return err
	}
	for _, a := range addrs {
		waitFor(t, a, func() error { return client("health", "--server", a) })
	}
	for i, title := range []string{"one", "two"} {
		if err := client("store", "--server", addrs[i], "--title", title, "--content", "the deploy is on Tuesday"); err != nil {
			t.Fatal(err)
		}
	}
	if err := client("recall", "--server", addrs[0], "deploy"); err != nil {
		t.Fatal(err)
	}
	var page string
	// A pull from each peer and a comparison of clocks come with the first rounds.
	waitFor(t, "a pull from both peers", func() (err error) {
		if page, err = get(ca, "https://"+addrs[0]+"/metrics"); err != nil {
			return err
		}
		for _, want := range []string{"memd_clock_offset_seconds", `memd_peer_last_success_timestamp_seconds{peer="n3"}`, `memd_push_ack_seconds_bucket{peer="n2"`} {
			if !strings.Contains(page, want) {
				return fmt.Errorf("no %s", want)
			}
		}
		return nil
	})
	return page
}

var (
	selector = regexp.MustCompile(`\b((?:memd|process|go)_[a-z0-9_]+)(\{[^}]*\})?`)
	equals   = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
)

// missing is what a query names and no series of the page has: a metric, or a value of one
// of its labels. Labels that Prometheus itself adds are not looked at.
func missing(query, page string) (out []string) {
	for _, m := range selector.FindAllStringSubmatch(query, -1) {
		name, labels := m[1], m[2]
		found, right := false, false
		for line := range strings.Lines(page) {
			rest, ok := strings.CutPrefix(line, name)
			if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
				continue
			}
			found = true
			matches := true
			for _, l := range equals.FindAllStringSubmatch(labels, -1) {
				if l[1] != "job" && l[1] != "instance" && l[2][0] != '$' && !strings.Contains(rest, l[0]) {
					matches = false
				}
			}
			if right = right || matches; right {
				break
			}
		}
		switch {
		case !found:
			out = append(out, name+" is not exported")
		case !right:
			out = append(out, "no series of "+name+" is "+labels)
		}
	}
	return out
}

type rules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert       string
			Expr        string
			For         string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func alerts(t testing.TB) rules {
	t.Helper()
	var r rules
	if err := yaml.UnmarshalStrict([]byte(read(t, "deploy/prometheus/alerts.yaml")), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMetrics: all that alerts and dashboard ask for is exported by a running mesh.
func TestMetrics(t *testing.T) {
	page := scrape(t)
	if m := missing(`rate(memd_no_such_total[5m]) + up{job="memd"} + memd_ready{instance="x"} + memd_cluster_members{state="odd"}`, page); len(m) != 2 {
		t.Fatalf("the check itself is wrong: %q", m)
	}
	seen := 0
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			seen++
			for _, m := range missing(strings.ReplaceAll(r.Expr, `committed="unknown"`, ``), page) {
				t.Errorf("alert %s: %s", r.Alert, m)
			}
		}
	}
	type target struct{ Expr string }
	var board struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []target
		}
	}
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/memd.json")), &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, q := range p.Targets {
			seen++
			for _, m := range missing(q.Expr, page) {
				t.Errorf("panel %q: %s", p.Title, m)
			}
		}
	}
	if seen < 60 {
		t.Errorf("only %d queries were looked at", seen)
	}
}
