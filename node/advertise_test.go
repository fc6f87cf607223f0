package node

import (
	"net"
	"testing"
)

func TestAdvertised(t *testing.T) {
	bound := &net.TCPAddr{IP: net.IPv4zero, Port: 9077}
	at := &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 9077}
	for _, c := range []struct {
		configured string
		bound      net.Addr
		want       string // "" = an error
	}{
		{"", at, "10.1.2.3:9077"},
		{"", bound, ""},
		{"n1:9999", bound, "n1:9999"},
		{"n1", bound, "n1:9077"},
		{"10.0.0.7", bound, "10.0.0.7:9077"},
		{"10.0.0.7:80", bound, "10.0.0.7:80"},
		{"fd00::7", bound, "[fd00::7]:9077"},
		{"[fd00::7]", bound, "[fd00::7]:9077"},
		{"[fd00::7]:80", bound, "[fd00::7]:80"},
		{"fd00::7::9", bound, ""},
	} {
		got, err := advertised(c.configured, c.bound)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q on %s: %q, %v, want %q", c.configured, c.bound, got, err, c.want)
		}
	}
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "::1": true, "[::1]:1": true, "localhost": true, "10.0.0.7": false, "n1:1": false, "": false} {
		if got := isLoopback(addr); got != want {
			t.Errorf("%q on the loopback: %t", addr, got)
		}
	}
}
