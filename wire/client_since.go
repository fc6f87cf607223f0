package wire

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Since pulls one page from peer. Peer, Boot and Cluster of r are filled in from Self
// if they are zero.
//
//   - nil: a whole page.
//   - ErrTruncated: a page whose rows are good and which proves nothing (see ReadPage).
//   - ErrNotModified, as [*NotModified]: the peer has nothing that the cursor lacks.
//   - a [*StatusError], that is ErrCluster, ErrReconcile, ErrScope, ErrBusy (with
//     RetryAfter), ErrUnavailable or another status: the peer refused.
//   - ErrCluster, ErrWrongPeer, ErrMalformed, ErrCorrupt, ErrTooLarge: the answer is not
//     usable.
//   - anything else: no answer, within the deadlines of the configuration and of ctx.
//
// The page is not nil in the first two cases only.
func (c *Client) Since(ctx context.Context, peer Peer, r SinceRequest) (*Page, error) {
	page, err := c.since(ctx, peer, r)
	if err != nil {
		return page, fmt.Errorf("since from %s: %w", peer, err)
	}
	return page, nil
}

func (c *Client) since(ctx context.Context, peer Peer, r SinceRequest) (*Page, error) {
	ctx, cancel := c.callContext(ctx)
	defer cancel(nil)
	req, sent, err := c.sinceRequest(ctx, peer, r)
	if err != nil {
		return nil, err
	}
	// The transport, not an http.Client: a redirect is an answer like any other one.
	resp, err := c.transport(peer).RoundTrip(req)
	if err != nil {
		return nil, cause(ctx, err)
	}
	body := newBody(ctx, cancel, resp.Body, c.cfg.IdleTimeout)
	defer body.stop()
	defer resp.Body.Close()
	resp.Body = io.NopCloser(body)

	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		hello, err := c.checkHello(peer, resp)
		if err != nil {
			return nil, err
		}
		return nil, &NotModified{Name: hello.Name, ClockHash: hello.ClockHash, HLC: hello.HLC}
	default:
		return nil, statusError(resp)
	}
	if _, err := c.checkHello(peer, resp); err != nil {
		return nil, err
	}
	page, err := c.readPage(resp)
	if page != nil {
		page.WireBytes, page.SentBytes = body.n, sent
	}
	if page == nil || page.Head.Proto == 0 {
		return page, err // not even a HEAD
	}
	if page.Head.Cluster != c.self.cluster() || page.Head.Proto != Proto {
		return nil, fmt.Errorf("%w: in HEAD", ErrCluster)
	}
	if err := checkName(peer, page.Head.Name); err != nil {
		return nil, err
	}
	return page, err
}

func (c *Client) sinceRequest(ctx context.Context, peer Peer, r SinceRequest) (*http.Request, int64, error) {
	if r.Peer == "" {
		r.Peer = c.self.Name
	}
	if r.Boot == 0 {
		r.Boot = c.self.Boot
	}
	if r.Cluster.IsZero() {
		r.Cluster = c.self.cluster()
	}
	values := r.Values()
	query := values.Encode()
	var req *http.Request
	var err error
	if len(values.Get("cursor"))+len(values.Get("reserved")) > maxQueryCursor {
		req, err = c.request(ctx, http.MethodPost, c.url(peer, PathSince, ""), strings.NewReader(query))
	} else {
		req, err = c.request(ctx, http.MethodGet, c.url(peer, PathSince, query), nil)
	}
	if err != nil {
		return nil, 0, err
	}
	if req.Method == http.MethodPost {
		req.Header.Set("Content-Type", MediaForm)
	}
	req.Header.Set("If-None-Match", r.ETag())
	req.Header.Set("Accept", MediaFrames)
	if !c.cfg.Uncompressed {
		req.Header.Set("Accept-Encoding", "zstd")
	}
	return req, int64(len(query)), nil
}

func (c *Client) readPage(resp *http.Response) (*Page, error) {
	if media := resp.Header.Get("Content-Type"); media != MediaFrames {
		return nil, malformed("content type of the page")
	}
	switch resp.Header.Get("Content-Encoding") {
	case "":
		return ReadPage(resp.Body, c.cfg.MaxPage)
	case "zstd":
		z, err := c.decoders.reader(resp.Body)
		if err != nil {
			return nil, err
		}
		defer z.release()
		return ReadPage(z, c.cfg.MaxPage)
	}
	return nil, malformed("content encoding of the page")
}

// callContext bounds a whole call.
func (c *Client) callContext(parent context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, stop := context.WithTimeout(parent, c.cfg.PageTimeout)
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, func(err error) { cancel(err); stop() }
}

// cause is for errors of the transport: why the call was given up says more than how
// the transport noticed.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

func (p Peer) String() string {
	if p.Name == "" {
		return p.Addr
	}
	return p.Name
}
