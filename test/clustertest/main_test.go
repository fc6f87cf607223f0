package clustertest_test

import (
	"testing"

	"go.uber.org/goleak"
)

// A bubble ends only when all its goroutines have, so this looks for what was started
// outside of them.
func TestMain(m *testing.M) {
	// The search library starts its workers when it is linked, and keeps them.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/blevesearch/bleve_index_api.AnalysisWorker"))
}
