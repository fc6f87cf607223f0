package cluster

import "testing"

func TestSplitAddr(t *testing.T) {
	for _, c := range []struct {
		addr, host string
		port       int // 0 = an error
	}{
		{"n1", "n1", 7946}, {"n1:1", "n1", 1}, {"10.0.0.7", "10.0.0.7", 7946}, {"10.0.0.7:1", "10.0.0.7", 1},
		{"fd00::7", "fd00::7", 7946}, {"[fd00::7]", "fd00::7", 7946}, {"[fd00::7]:1", "fd00::7", 1}, {"n1:x", "", 0}, {"n1:1:2", "", 0}, {"n1:70000", "", 0},
	} {
		host, port, err := SplitAddr(c.addr, 7946)
		if host != c.host || port != c.port || (err == nil) != (c.port != 0) {
			t.Errorf("%q: %q %d %v", c.addr, host, port, err)
		}
	}
}
