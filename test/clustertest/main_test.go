package clustertest_test

import (
	"testing"

	"go.uber.org/goleak"
)

// A bubble ends only when all its goroutines have, so this looks for what was started
// outside of them.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
