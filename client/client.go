package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultServer is where a node listens unless it is told otherwise.
const DefaultServer = "http://127.0.0.1:9077"

// Config of a Client. The zero value of a field means the default that it names.
type Config struct {
	// Servers are base URLs, or host:port, of nodes of one cluster. None is
	// DefaultServer. The first that answers is kept until it does not.
	Servers []string
	// Agent is who writes, where WriteOptions do not say; "" leaves it to the server.
	Agent string
	// APIKey is shown to every server; "" = none.
	APIKey string
	// Timeout bounds one try at one server; 0 = 10 s. The context bounds the whole call.
	Timeout time.Duration
	// TLS is how servers are verified, and what they are shown; nil = by the system's
	// authorities, and nothing. With it a server given as host:port, and DefaultServer, are
	// called by HTTPS.
	TLS *tls.Config
	// Transport, for tests; nil = connections of this client's own, from Close to be freed.
	Transport http.RoundTripper
}

// Client calls nodes of one cluster. It is safe for concurrent use.
type Client struct {
	servers []string // without a slash at the end
	prefer  atomic.Int32
	agent   string
	key     string
	timeout time.Duration
	http    *http.Client
}

// New checks the configuration. It connects to nothing.
func New(c Config) (*Client, error) {
	if len(c.Servers) == 0 {
		c.Servers = []string{strings.TrimPrefix(DefaultServer, "http://")}
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Transport == nil {
		c.Transport = newTransport(c.TLS)
	}
	out := &Client{agent: c.Agent, key: c.APIKey, timeout: c.Timeout, http: &http.Client{
		Transport: c.Transport,
		// A node never redirects; whoever does is none.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, s := range c.Servers {
		base, err := parseServer(s, c.TLS != nil)
		if err != nil {
			return nil, err
		}
		out.servers = append(out.servers, base)
	}
	return out, nil
}

// parseServer brings host:port or a URL to the base that paths are put behind.
func parseServer(s string, secure bool) (string, error) {
	text := strings.TrimSpace(s)
	switch {
	case strings.Contains(text, "://"):
	case secure:
		text = "https://" + text
	default:
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", fmt.Errorf("server %q: not a URL", s)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("server %q: want http or https", s)
	case u.Hostname() == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return "", fmt.Errorf("server %q: want http://host:port", s)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func newTransport(secure *tls.Config) http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	if secure != nil {
		t.TLSClientConfig = secure
	}
	// A host that is gone must not use up the time for the ones that are there.
	t.DialContext = (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	t.MaxIdleConnsPerHost = 64
	return t
}

// Close frees idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Servers are the base URLs, in the order of the configuration.
func (c *Client) Servers() []string { return append([]string(nil), c.servers...) }

// request is one call, as it is said to each server that is tried.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   []byte // nil = none
}

// reply is a 2xx answer, read to its end.
type reply struct {
	header http.Header
	body   []byte
}

const userAgent = "memd-client"

// maxReply bounds an answer: the longest page of memories, and room. The rest of a
// longer one is not read.
const maxReply = 256 << 20

// do says r to one server after the other, from the one that answered last, until one
// gives an answer that another would not give better.
func (c *Client) do(ctx context.Context, r request) (reply, error) {
	var out reply
	err := c.each(ctx, func(server string) (_ bool, err error) {
		out, err = c.try(ctx, server, r)
		return false, err
	})
	return out, err
}

// each asks one server after the other, from the one that answered last, until one gives
// an answer that another would not give better. ask reports whether its answer is final
// whatever it is.
func (c *Client) each(ctx context.Context, ask func(server string) (final bool, err error)) error {
	var failed []error
	first := int(c.prefer.Load())
	for i := range c.servers {
		at := (first + i) % len(c.servers)
		final, err := ask(c.servers[at])
		if err == nil || !elsewhere(err) {
			c.prefer.Store(int32(at))
			return err
		}
		failed = append(failed, err)
		if final || ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return &allFailed{failed}
}

func (c *Client) try(ctx context.Context, server string, r request) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	target := server + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		body = strings.NewReader(string(r.body))
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return reply{}, err
	}
	maps.Copy(req.Header, r.header)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	c.introduce(req)
	res, err := c.http.Do(req)
	if err != nil {
		return reply{}, unreachable(server, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	switch {
	case err != nil:
		return reply{}, unreachable(server, err)
	case len(b) > maxReply:
		return reply{}, &Error{Server: server, Status: res.StatusCode, Message: "the answer is too long"}
	case res.StatusCode < 200 || res.StatusCode > 299:
		return reply{}, decodeError(server, res, b)
	}
	return reply{res.Header, b}, nil
}

// elsewhere reports whether another server could do better.
func elsewhere(err error) bool {
	var answered *Error
	if !errors.As(err, &answered) {
		return true // no answer at all
	}
	return answered.elsewhere()
}

// introduce says who calls.
func (c *Client) introduce(req *http.Request) {
	req.Header.Set("User-Agent", userAgent)
	if c.key != "" {
		req.Header.Set("X-Api-Key", c.key)
	}
}
