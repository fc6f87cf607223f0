package wire

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"
)

// ClientConfig of a Client. The zero value is usable.
type ClientConfig struct {
	// Dial opens a connection to host:port of a peer; nil = TCP. Tests put an in-memory
	// network here.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is asked for every connection to a peer, and verifies that it is this peer that
	// answers; nil = plain HTTP.
	TLS func(Peer) *tls.Config
	// Trusted, if set, is asked with every answer whether the peer on a connection that was
	// verified once is still trusted; an error ends the call, and a push stream.
	Trusted func(tls.ConnectionState, Peer) error
	// APIKey is asked for every request, and sent as X-Api-Key if it is not empty; nil = none.
	APIKey func() string

	DialTimeout   time.Duration // one connection, TLS included; 0 = 2 s
	HeaderTimeout time.Duration // from the request sent to the header of the answer; 0 = 2 s
	IdleTimeout   time.Duration // between two pieces of a body; 0 = 5 s
	PageTimeout   time.Duration // a whole Since or PostPush; 0 = 30 s
	SendTimeout   time.Duration // writing one frame of a push stream; 0 = 2 s
	MaxPage       int64         // bytes of a page, decompressed; 0 = MaxPage
	ConnsPerPeer  int           // of pulls; 0 = 2. A push stream has its own.
	Uncompressed  bool          // do not ask for zstd: on a fast network it costs more than it saves
}

func (c ClientConfig) withDefaults() ClientConfig {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&c.DialTimeout, 2*time.Second)
	set(&c.HeaderTimeout, 2*time.Second)
	set(&c.IdleTimeout, 5*time.Second)
	set(&c.PageTimeout, 30*time.Second)
	set(&c.SendTimeout, 2*time.Second)
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.MaxPage <= 0 || c.MaxPage > MaxPage {
		c.MaxPage = MaxPage
	}
	if c.ConnsPerPeer <= 0 {
		c.ConnsPerPeer = 2
	}
	return c
}

// Client asks peers. It follows no redirect, uses no proxy, keeps no cookie. It is
// safe for concurrent use.
type Client struct {
	self     Self
	cfg      ClientConfig
	decoders decoders

	mu    sync.Mutex
	peers map[string]*http.Transport // by name
}

// NewClient returns a client that speaks as self. Nothing is dialled yet.
func NewClient(self Self, cfg ClientConfig) *Client {
	return &Client{self: self, cfg: cfg.withDefaults(), peers: map[string]*http.Transport{}}
}

// transport keeps the connections to peer. Each name has its own, so that what was
// verified to lead to one peer is never used for another one.
func (c *Client) transport(peer Peer) *http.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.peers[peer.Name]; t != nil {
		return t
	}
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return c.dial(ctx, Peer{Name: peer.Name, Addr: addr})
		},
		DisableCompression:     true, // zstd is ours to handle, gzip is not wanted
		MaxIdleConnsPerHost:    c.cfg.ConnsPerPeer,
		MaxConnsPerHost:        c.cfg.ConnsPerPeer,
		IdleConnTimeout:        10 * time.Minute, // longer than the longest pull interval
		ResponseHeaderTimeout:  c.cfg.HeaderTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ReadBufferSize:         32 << 10,
	}
	if c.cfg.TLS != nil {
		t.DialTLSContext, t.DialContext = t.DialContext, nil
	}
	c.peers[peer.Name] = t
	return t
}

// Close closes idle connections, so that the next calls make new ones. Calls in flight and push
// streams are not touched.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.peers {
		t.CloseIdleConnections()
	}
}

// dial opens a connection to peer, verified if there is TLS.
func (c *Client) dial(ctx context.Context, peer Peer) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	conn, err := c.cfg.Dial(ctx, "tcp", peer.Addr)
	if err != nil || c.cfg.TLS == nil {
		return conn, err
	}
	secured := tls.Client(conn, c.cfg.TLS(peer))
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

func (c *Client) url(peer Peer, path, query string) string {
	scheme := "http://"
	if c.cfg.TLS != nil {
		scheme = "https://"
	}
	u := scheme + peer.Addr + path
	if query != "" {
		u += "?" + query
	}
	return u
}

// request builds a request with everything that a node says of itself.
func (c *Client) request(ctx context.Context, method, url string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	c.self.Hello().Set(req.Header)
	req.Header.Set(HeaderPeerID, c.self.Name)
	req.Header.Set(HeaderAgentID, "memd:"+c.self.Name)
	req.Header.Set("User-Agent", "memd")
	if c.cfg.APIKey != nil {
		if key := c.cfg.APIKey(); key != "" {
			req.Header.Set(HeaderAPIKey, key)
		}
	}
	// Every request of this protocol is idempotent. An empty value is not sent, but lets
	// the transport repeat a POST on a connection that the peer had closed while idle.
	req.Header["Idempotency-Key"] = []string{}
	return req, nil
}

// trusted looks again at the certificate behind an answer; s is nil without TLS.
func (c *Client) trusted(peer Peer, s *tls.ConnectionState) error {
	if s == nil || c.cfg.Trusted == nil {
		return nil
	}
	return c.cfg.Trusted(*s, peer)
}

// checkHello makes sure that the right node of the right cluster answers.
func (c *Client) checkHello(peer Peer, resp *http.Response) (Hello, error) {
	if err := c.trusted(peer, resp.TLS); err != nil {
		return Hello{}, err
	}
	h, err := ParseHello(resp.Header)
	if err != nil {
		return h, malformed("answer: %v", err)
	}
	switch {
	case h.Proto != Proto:
		return h, fmt.Errorf("%w: protocol %d", ErrCluster, h.Proto)
	case h.Cluster != c.self.cluster():
		return h, fmt.Errorf("%w: cluster %s", ErrCluster, h.Cluster)
	}
	return h, checkName(peer, h.Name)
}

func checkName(peer Peer, name string) error {
	if peer.Name != "" && peer.Name != name {
		return fmt.Errorf("%w: %q", ErrWrongPeer, name)
	}
	return nil
}

// statusError makes an error of an answer that is a refusal, reading some of its body.
func statusError(resp *http.Response) *StatusError {
	e := &StatusError{
		Status:     resp.StatusCode,
		RetryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	var said struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}
	if json.Unmarshal(body, &said) == nil {
		e.Message, e.Code = foreignText(said.Error), foreignText(said.Code)
	}
	return e
}

// foreignText makes text of a peer fit for an error message: short, and in one line.
func foreignText(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// body reads the body of an answer: it counts what comes, and cancels the call when
// nothing comes for too long. The transport knows no such timeout.
type body struct {
	r      io.Reader
	n      int64
	idle   time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
	ctx    context.Context
}

var errStalled = errors.New("body stalled")

func newBody(ctx context.Context, cancel context.CancelCauseFunc, r io.Reader, idle time.Duration) *body {
	b := &body{r: r, idle: idle, cancel: cancel, ctx: ctx}
	b.timer = time.AfterFunc(idle, func() { cancel(errStalled) })
	return b
}

func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.idle)
	n, err := b.r.Read(p)
	b.timer.Stop()
	b.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = cause(b.ctx, err)
	}
	return n, err
}

func (b *body) stop() { b.timer.Stop() }
