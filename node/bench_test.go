package node

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkPut is the whole road of a create: 64 clients over HTTP, three nodes on
// loopback with real disks, W = 2 of 3. All of it shares this process's cores, so only a
// ratio to another run on the same machine means anything; -cpuprofile shows where a put
// goes.
func BenchmarkPut(b *testing.B) {
	nodes := startMesh(b, 3)
	content := strings.Repeat("abcdefghij", 30)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for c := range 64 {
		wg.Go(func() {
			url := "http://" + nodes[c%3].HTTPAddr() + "/api/v1/memories"
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				body := fmt.Appendf(nil, `{"title":"k%012d","content":"%s","namespace":"bench","tier":"long"}`, i, content)
				resp, err := client.Post(url, "application/json", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusCreated {
					b.Errorf("status %d", resp.StatusCode)
					return
				}
			}
		})
	}
	wg.Wait()
}
