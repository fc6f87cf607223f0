package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// benchPage is 1 MiB of rows of this size, about as compressible as text.
func benchPage(size int) *Page {
	p := fixedPage()
	p.Rows = nil
	words := []string{"memory ", "agent ", "decided ", "the ", "of ", "cluster ", "replica ", "because ", "and ", "user "}
	r := rand.New(rand.NewPCG(1, 2))
	for total := 0; total < 1<<20; total += size {
		var row bytes.Buffer
		for row.Len() < size {
			row.WriteString(words[r.IntN(len(words))])
			if r.IntN(4) == 0 {
				fmt.Fprintf(&row, "%x ", r.Uint32())
			}
		}
		p.Rows = append(p.Rows, row.Bytes()[:size])
	}
	return p
}

func BenchmarkPage(b *testing.B) {
	for _, size := range []int{200, 1000, 16_000} {
		p := benchPage(size)
		whole := pageBytes(b, p)
		packed := compressed(b, whole)
		b.Run(fmt.Sprintf("encode/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(whole)))
			b.ReportAllocs()
			for b.Loop() {
				_ = WritePage(io.Discard, p)
			}
		})
		b.Run(fmt.Sprintf("decode/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(whole)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ReadPage(bytes.NewReader(whole), 0); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("encode-zstd/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(whole)))
			b.ReportAllocs()
			for b.Loop() {
				z := newZstdWriter(io.Discard)
				_ = WritePage(z, p)
				_ = z.Close()
			}
			b.ReportMetric(float64(len(whole))/float64(len(packed)), "ratio")
		})
		b.Run(fmt.Sprintf("decode-zstd/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(whole)))
			b.ReportAllocs()
			var pool decoders
			for b.Loop() {
				z, err := pool.reader(bytes.NewReader(packed))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := ReadPage(z, 0); err != nil {
					b.Fatal(err)
				}
				z.release()
			}
		})
	}
}

func BenchmarkPush(b *testing.B) {
	for _, rows := range []int{1, 64, 512} {
		p := fixedBatch()
		p.Rows = benchPage(500).Rows[:rows]
		frame := batchBytes(b, p)
		b.Run(fmt.Sprintf("encode/%d", rows), func(b *testing.B) {
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf, _ = AppendBatch(buf[:0], &p)
			}
		})
		b.Run(fmt.Sprintf("decode/%d", rows), func(b *testing.B) {
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			src := bytes.NewReader(nil)
			r := bufio.NewReaderSize(src, 32<<10)
			for b.Loop() {
				src.Reset(frame)
				r.Reset(src)
				if _, err := readPushed(newFrameReader(r, 1<<30)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("ack", func(b *testing.B) {
		a := fixedAck()
		frame := ackBytes(b, a)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ReadAcks(bytes.NewReader(frame)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPushStream is one batch and its ack over loopback: the cost of the
// transport in a quorum write.
func BenchmarkPushStream(b *testing.B) {
	h := &echo{errs: make(chan error, 1)}
	peer := serve(b, h.ServeHTTP)
	s, err := newTestClient(b, ClientConfig{}).OpenPush(b.Context(), peer)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		b.Fatal(err)
	}
	p := fixedBatch()
	p.Rows = benchPage(1000).Rows[:1]
	for b.Loop() {
		if err := s.Send(p); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			b.Fatal(err)
		}
	}
	_ = s.Close()
	<-h.errs
	h.wg.Wait()
}
