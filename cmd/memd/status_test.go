package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/memd/memd/client"
)

const clusterJSON = `{"cluster_id":"7c60","name":"n1","version":"1.2","origin":"00000000000000aa","boot":"18446744073709551615","ready":%t,"reasons":["catching up from n2","x"],
	"quorum":{"n":3,"w":2,"reachable":%d},"clock":{"00000000000000aa":"1-20,22","00000000000000bb":"1-5"},"clock_hash":"0123456789abcdef","digest":"feedbeef",
	"conflicts":2,"quarantined":%d,"from_a_later_version":{"x":1},"members":[
	{"name":"n1","state":"self","addr":"127.0.0.1:1","clock_hash":"0123456789abcdef","lag_dots":0,"lag_seconds":0,"breaker":"closed","acked":21},
	{"name":"n2","state":"alive","addr":"127.0.0.1:2","clock_hash":"ffff456789abcdef","lag_dots":4,"lag_seconds":1.25,"last_success":"2020-01-01T00:00:00Z","breaker":"open","acked":7,"more":1},
	{"name":"n3","state":"unknown","addr":"127.0.0.1:3","clock_hash":"","lag_dots":0,"lag_seconds":0,"breaker":"half-open","acked":0}]}`

func clusterServer(t *testing.T, body string) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/api/v1/cluster" {
			t.Errorf("asked for %s", r.URL)
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func TestStatus(t *testing.T) {
	url, _ := clusterServer(t, fmt.Sprintf(clusterJSON, true, 3, 0))
	code, out, errOut := memd(t, nil, "status", "--server", url)
	if code != 0 || errOut != "" {
		t.Fatalf("%d, %s", code, errOut)
	}
	for _, want := range []string{
		"node       n1 (1.2), ready\n", "quorum     2 of 3 members, 3 reachable\n", "clock      26 writes, hash 0123456789abcdef\n",
		"digest     feedbeef\n", "conflicts  2\n", "NAME  STATE    ADDRESS      LAG  SINCE  LAST PULL",
		"n1    self     127.0.0.1:1  -", "n2    alive    127.0.0.1:2  4    1.2 s", "given up  7      ffff4567", "trying    0      -",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "quarantined") || strings.Contains(out, "WRITES FAIL") {
		t.Errorf("alarm without cause:\n%s", out)
	}
}

func TestStatusAlarms(t *testing.T) {
	url, _ := clusterServer(t, fmt.Sprintf(clusterJSON, false, 1, 1))
	_, out, _ := memd(t, nil, "status", "--server", "127.0.0.1:1,"+url)
	for _, want := range []string{"NOT READY: catching up from n2; x", "1 reachable: WRITES FAIL", "quarantined  1 row that cannot be read"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestStatusJSON(t *testing.T) {
	url, _ := clusterServer(t, fmt.Sprintf(clusterJSON, true, 3, 0))
	_, out, _ := memd(t, []string{"MEMD_SERVER=" + url, "MEMD_JSON=true"}, "status")
	var s client.ClusterStatus
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Boot != 1<<64-1 || len(s.Members) != 3 || strings.Count(out, "\n") != 1 {
		t.Errorf("%v in %s", err, out)
	}
	_, out, _ = memd(t, nil, "members", "--json", "--server", url)
	var members []client.Member
	if err := json.Unmarshal([]byte(out), &members); err != nil || len(members) != 3 || members[1].LagDots != 4 {
		t.Errorf("%v in %s", err, out)
	}
}

// TestWatch goes on through a failure, and Ctrl-C is no failure.
func TestWatch(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	url, asked := clusterServer(t, fmt.Sprintf(clusterJSON, true, 3, 0))
	p := begin(t, []string{asMemd + "=1"}, self, "members", "--watch", "--server", url)
	out := p.awaitFunc("two tables", func(out string) bool { return strings.Count(out, "NAME") == 2 })
	if asked.Load() < 2 || strings.Contains(out, "\x1b") {
		t.Errorf("asked %d times:\n%q", asked.Load(), out)
	}
	p.signal(os.Interrupt)
	if code := p.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p = begin(t, []string{asMemd + "=1"}, self, "status", "--watch", "--json", "--server", "127.0.0.1:1")
	p.awaitFunc("two failures", func(out string) bool { return strings.Count(out, "connection refused") == 2 })
	p.signal(os.Interrupt)
	if code := p.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
