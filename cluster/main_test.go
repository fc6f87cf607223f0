package cluster

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails when a goroutine is left. memberlist's probes and delayed
// nacks outlive its Shutdown by up to a few seconds, so they are waited for
// first; that they do end is a part of the check.
func TestMain(m *testing.M) {
	code := m.Run()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && probing(); {
		time.Sleep(20 * time.Millisecond)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

func probing() bool {
	buf := make([]byte, 1<<20)
	return strings.Contains(string(buf[:runtime.Stack(buf, true)]), "memberlist.(*Memberlist)")
}
