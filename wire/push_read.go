package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// readPushed returns the next batch or nudge, skipping frames of unknown types. io.EOF
// means that the stream ended between two frames. What it returns owns its memory.
func readPushed(f *frameReader) (Pushed, error) {
	for {
		if err := f.next(); err != nil {
			return Pushed{}, err
		}
		switch f.typ {
		case framePush:
			b, err := f.read(nil)
			if err != nil {
				return Pushed{}, err
			}
			p, err := decodeBatch(b)
			return Pushed{Batch: p}, err
		case frameNudge:
			b, err := f.read(nil)
			if err != nil {
				return Pushed{}, err
			}
			n, err := decodeNudge(b)
			return Pushed{Nudge: n}, err
		default:
			if err := f.skip(); err != nil {
				return Pushed{}, err
			}
		}
	}
}

// readAck returns the next ack, skipping frames of unknown types.
func readAck(f *frameReader) (Ack, error) {
	for {
		if err := f.next(); err != nil {
			return Ack{}, err
		}
		if f.typ != frameAck {
			if err := f.skip(); err != nil {
				return Ack{}, err
			}
			continue
		}
		b, err := f.read(nil)
		if err != nil {
			return Ack{}, err
		}
		return decodeAck(b)
	}
}

// ReadPushBody reads the body of a plain POST of frames (media type MediaFrames): the
// same batches and nudges as on a stream, answered once with WriteAcks. The body must
// end after a frame.
func ReadPushBody(r io.Reader) ([]Pushed, error) {
	f := newFrameReader(bufio.NewReaderSize(r, 32<<10), MaxPushBody)
	var all []Pushed
	for {
		p, err := readPushed(f)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read push: %w", transportError(err))
		}
		if len(all) == MaxPushRows {
			return nil, fmt.Errorf("read push: %w: more than %d frames", ErrTooLarge, MaxPushRows)
		}
		all = append(all, p)
	}
}

// WriteAcks writes the answer to a plain POST of frames.
func WriteAcks(w io.Writer, acks []Ack) error {
	var b []byte
	var err error
	for i := range acks {
		if b, err = AppendAck(b, &acks[i]); err != nil {
			return err
		}
	}
	_, err = w.Write(b)
	return err
}

// ReadAcks reads what WriteAcks wrote, up to the end of r.
func ReadAcks(r io.Reader) ([]Ack, error) {
	f := newFrameReader(bufio.NewReader(r), 2*MaxMeta)
	var acks []Ack
	for {
		a, err := readAck(f)
		if errors.Is(err, io.EOF) {
			return acks, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read acks: %w", transportError(err))
		}
		if len(acks) == MaxPushRows {
			return nil, fmt.Errorf("read acks: %w: more than %d", ErrTooLarge, MaxPushRows)
		}
		acks = append(acks, a)
	}
}

// transportError marks what is no error of the message's content as its truncation.
func transportError(err error) error {
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrMalformed) || errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrTruncated, err)
}
