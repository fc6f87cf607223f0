package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// PostPush does with one plain POST what a push stream does: it sends the batches and
// returns the acks. For places where an upgraded connection is not to be had; a stream
// is several times cheaper per write. Errors are those of Since.
func (c *Client) PostPush(ctx context.Context, peer Peer, batches []PushBatch) ([]Ack, error) {
	acks, err := c.postPush(ctx, peer, batches)
	if err != nil {
		return nil, fmt.Errorf("push to %s: %w", peer, err)
	}
	return acks, nil
}

func (c *Client) postPush(ctx context.Context, peer Peer, batches []PushBatch) ([]Ack, error) {
	var frames []byte
	var err error
	for i := range batches {
		if frames, err = AppendBatch(frames, &batches[i]); err != nil {
			return nil, err
		}
	}
	if len(frames) > MaxPushBody || len(batches) > MaxPushRows {
		return nil, fmt.Errorf("%w: push of %d bytes in %d batches", ErrTooLarge, len(frames), len(batches))
	}
	ctx, cancel := c.callContext(ctx)
	defer cancel(nil)
	req, err := c.request(ctx, http.MethodPost, c.url(peer, PathPush, ""), bytes.NewReader(frames))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", MediaFrames)
	req.Header.Set("Accept", MediaFrames)
	resp, err := c.transport(peer).RoundTrip(req)
	if err != nil {
		return nil, cause(ctx, err)
	}
	body := newBody(ctx, cancel, resp.Body, c.cfg.IdleTimeout)
	defer body.stop()
	defer resp.Body.Close()
	resp.Body = io.NopCloser(body)
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp)
	}
	if _, err := c.checkHello(peer, resp); err != nil {
		return nil, err
	}
	return ReadAcks(body)
}
