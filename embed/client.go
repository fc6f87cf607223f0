package embed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// MaxInputs are the texts of one call.
	MaxInputs = 32
	// MaxDimensions of a vector.
	MaxDimensions = 8192
	// An answer has this much at most, and numberBytes for each number that it could hold.
	answerBytes = 64 << 10
	numberBytes = 32
	// idleConns are kept for recalls that come together.
	idleConns = 16
)

// Config of a Client. URL and Model are required.
type Config struct {
	URL   string // http or https, with or without /v1 at its end
	Model string
	Key   string // sent as a bearer token; "" = none
}

// Client asks one endpoint. It is safe for concurrent use.
type Client struct {
	url, model, key string
	http            *http.Client
}

// New checks the configuration and connects to nobody. Its errors do not repeat the URL,
// which somebody may have put a secret into.
func New(c Config) (*Client, error) {
	target, err := endpoint(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Model == "" || len(c.Model) > 256 {
		return nil, errors.New("a model has 1 to 256 bytes")
	}
	return &Client{url: target, model: c.Model, key: c.Key, http: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: idleConns, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: answerBytes, ForceAttemptHTTP2: true,
		},
		// The texts and the key are for whom the operator named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func endpoint(base string) (string, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", errors.New("want http:// or https://, a host and perhaps a path")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("it has no user, no query and no fragment; a key goes into a file")
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v1") + "/v1/embeddings"
	u.RawPath = ""
	return u.String(), nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

type question struct {
	Model string   `json:"model"`
	Input []string `json:"input"`
}

type answer struct {
	Data []struct {
		Index     *int      `json:"index"`
		Embedding []float32 `json:"embedding"`
	} `json:"data"`
}

// Embed returns a vector for each of 1 to MaxInputs texts, in their order.
func (c *Client) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	if len(texts) == 0 || len(texts) > MaxInputs {
		return nil, invalid("%d texts", len(texts))
	}
	body, err := json.Marshal(question{c.model, texts})
	if err != nil {
		return nil, invalid("the question is not JSON")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, broken(err)
	}
	req.Header["Content-Type"] = []string{"application/json"}
	req.Header["Accept"] = []string{"application/json"}
	req.Header["User-Agent"] = []string{"memd"}
	if c.key != "" {
		req.Header["Authorization"] = []string{"Bearer " + c.key}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, broken(err)
	}
	defer res.Body.Close()
	if err := judge(res.StatusCode); err != nil {
		return nil, err
	}
	limit := int64(answerBytes + len(texts)*MaxDimensions*numberBytes)
	raw, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, broken(err)
	case int64(len(raw)) > limit:
		return nil, &Error{Reason: TooLarge, Status: res.StatusCode}
	}
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, invalid("the answer is not the JSON that it should be") // its text may be ours
	}
	return a.vectors(len(texts))
}

func judge(status int) error {
	reason := Refused
	switch {
	case status == http.StatusOK:
		return nil
	case status == http.StatusTooManyRequests:
		reason = Busy
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		reason = Input
	case status >= 500:
		reason = Server
	case status >= 300 && status < 400:
		reason = Redirect
	case status < 300:
		reason = Invalid
	}
	return &Error{Reason: reason, Status: status}
}

// vectors puts them into the order of the texts. An endpoint that gives no index answers in
// that order.
func (a *answer) vectors(count int) ([][]float32, error) {
	if len(a.Data) != count {
		return nil, invalid("%d vectors for %d texts", len(a.Data), count)
	}
	out := make([][]float32, count)
	for i, d := range a.Data {
		at := i
		if d.Index != nil {
			at = *d.Index
		}
		if at < 0 || at >= count || out[at] != nil {
			return nil, invalid("the indexes are not 0 to %d", count-1)
		}
		if len(d.Embedding) == 0 || len(d.Embedding) > MaxDimensions {
			return nil, invalid("a vector of %d numbers", len(d.Embedding))
		}
		if len(d.Embedding) != len(a.Data[0].Embedding) {
			return nil, &Error{Reason: Dimensions, What: "they differ within one answer"}
		}
		if err := hasDirection(d.Embedding); err != nil {
			return nil, err
		}
		out[at] = d.Embedding
	}
	return out, nil
}

func hasDirection(v []float32) error {
	var sum float64
	for _, f := range v {
		sum += float64(f) * float64(f)
	}
	if sum == 0 || math.IsNaN(sum) || math.IsInf(sum, 0) {
		return invalid("a vector that is zero or not finite")
	}
	return nil
}
