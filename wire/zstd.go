package wire

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Both sides keep to a small window: it bounds what a compressed page costs in memory
// beside the page itself, whatever the peer claims, and pages are of about that size.
const (
	encoderWindow = 256 << 10
	decoderWindow = 1 << 20
)

// Encoders and decoders are single-threaded (no goroutines to leak, one core per page)
// and pooled: their tables cost more than a page.
var encoders = sync.Pool{New: func() any {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(encoderWindow),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(true))
	if err != nil {
		panic("wire: zstd encoder options: " + err.Error())
	}
	return e
}}

// decoders is a pool of decoders. Each client has its own: a decoder holds a channel, and
// one that was made in a bubble of testing/synctest may not be used in the next.
type decoders struct{ pool sync.Pool }

func (p *decoders) get() *zstd.Decoder {
	if d, ok := p.pool.Get().(*zstd.Decoder); ok {
		return d
	}
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(decoderWindow),
		zstd.WithDecoderMaxMemory(MaxPage))
	if err != nil {
		panic("wire: zstd decoder options: " + err.Error())
	}
	return d
}

// zstdWriter compresses into w. Close ends the compressed stream, not w.
type zstdWriter struct{ e *zstd.Encoder }

func newZstdWriter(w io.Writer) *zstdWriter {
	e := encoders.Get().(*zstd.Encoder)
	e.Reset(w)
	return &zstdWriter{e}
}

func (z *zstdWriter) Write(b []byte) (int, error) { return z.e.Write(b) }

func (z *zstdWriter) Close() error {
	err := z.e.Close()
	z.e.Reset(nil)
	encoders.Put(z.e)
	return err
}

// zstdReader decompresses r and tells damage from an end that came too soon: the
// decoder's own complaints become ErrCorrupt or ErrTooLarge, errors of r pass.
type zstdReader struct {
	d    *zstd.Decoder
	src  *errKeeper
	home *decoders
}

func (p *decoders) reader(r io.Reader) (*zstdReader, error) {
	src := &errKeeper{r: r}
	d := p.get()
	if err := d.Reset(src); err != nil {
		return nil, err
	}
	return &zstdReader{d, src, p}, nil
}

func (z *zstdReader) Read(b []byte) (int, error) {
	n, err := z.d.Read(b)
	switch {
	case err == nil || err == io.EOF: //nolint:errorlint // the plain end of the stream
		return n, err
	case z.src.err != nil:
		return n, z.src.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, io.ErrUnexpectedEOF
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return n, fmt.Errorf("%w: zstd: %w", ErrTooLarge, err)
	}
	return n, fmt.Errorf("%w: zstd: %w", ErrCorrupt, err)
}

func (z *zstdReader) release() {
	if z.d.Reset(nil) == nil {
		z.home.pool.Put(z.d)
	}
	z.d = nil
}

// errKeeper remembers how the source failed, because the decoder reports some of the
// source's errors as its own.
type errKeeper struct {
	r   io.Reader
	err error
}

func (k *errKeeper) Read(b []byte) (int, error) {
	n, err := k.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		k.err = err
	}
	return n, err
}

// acceptsZstd reads Accept-Encoding (RFC 9110, 12.5.3) as far as this package cares.
func acceptsZstd(header []string) bool {
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "zstd") {
				continue
			}
			key, value, ok := strings.Cut(strings.TrimSpace(params), "=")
			if !ok || !strings.EqualFold(strings.TrimSpace(key), "q") {
				return true
			}
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return err == nil && q > 0
		}
	}
	return false
}
