package mcpserver

import (
	"context"
	"fmt"
	"strings"

	"github.com/memd/memd/memory"
)

func (s *Server) promote(ctx context.Context, r *request) (answer, error) {
	id, to, opt := r.id("id"), r.text("to_namespace"), s.writes(r)
	if to != "" && memory.ValidateNamespace(to) != nil {
		r.fail(invalid("to_namespace", "is no namespace"))
	}
	if r.err != nil {
		return answer{}, r.err
	}
	if to != "" {
		a, err := s.service.PromoteTo(ctx, id, to, opt)
		if err != nil {
			return answer{}, err
		}
		return answer{fmt.Sprintf("Copied %s into %s as %s; it stays where it is.\ntoken: %s", plain(a.SourceID), to, a.CloneID, a.Token), struct {
			Promoted bool   `json:"promoted"`
			ID       string `json:"id"`
			Source   string `json:"source_id"`
			Token    string `json:"token,omitzero"`
		}{true, a.CloneID, a.SourceID, a.Token}}, nil
	}
	m, err := s.service.Promote(ctx, id, opt)
	if err != nil {
		return answer{}, err
	}
	return answer{fmt.Sprintf("Promoted %s: tier %s, it does not expire.\ntoken: %s", plain(m.ID), m.Tier, m.Token), struct {
		Promoted bool   `json:"promoted"`
		ID       string `json:"id"`
		Tier     string `json:"tier"`
		Token    string `json:"token,omitzero"`
	}{true, m.ID, m.Tier, m.Token}}, nil
}

func (s *Server) forget(ctx context.Context, r *request) (answer, error) {
	f := Forget{Namespace: r.text("namespace"), Pattern: r.text("pattern"), Tier: r.text("tier")}
	opt := s.writes(r)
	if f.Namespace != "" {
		if err := memory.ValidateNamespace(f.Namespace); err != nil {
			r.fail(err)
		}
	}
	if err := memory.ValidateQuery("pattern", f.Pattern); err != nil {
		r.fail(err)
	}
	switch f.Tier {
	case "", memory.TierShort, memory.TierMid, memory.TierLong:
	default:
		r.fail(invalid("tier", "must be short, mid or long"))
	}
	if f == (Forget{}) || f.Namespace == "" && f.Tier == "" && strings.TrimSpace(f.Pattern) == "" {
		r.fail(invalid("arguments", "must name at least one of namespace, pattern and tier"))
	}
	if r.err != nil {
		return answer{}, r.err
	}
	out, err := s.service.Forget(ctx, f, opt)
	if err != nil {
		return answer{}, err
	}
	return answer{fmt.Sprintf("Deleted %d memories.", out.Deleted), struct {
		Deleted int    `json:"deleted"`
		Token   string `json:"token,omitzero"`
	}{out.Deleted, out.Token}}, nil
}

func (s *Server) links(ctx context.Context, r *request) (answer, error) {
	id, opt := r.id("id"), r.readOptions()
	if r.err != nil {
		return answer{}, r.err
	}
	links, err := s.service.Links(ctx, id, opt)
	if err != nil {
		return answer{}, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d links of %s", len(links), plain(id))
	for _, l := range links {
		text.WriteString("\n" + l.line())
	}
	return answer{text.String(), struct {
		Links []Link `json:"links"`
		Count int    `json:"count"`
	}{append([]Link{}, links...), len(links)}}, nil
}

func (s *Server) consolidate(ctx context.Context, r *request) (answer, error) {
	c := Consolidation{
		IDs: r.texts("ids"), Title: r.filled("title"), Summary: r.filled("summary"), Namespace: r.text("namespace"), Tier: r.text("tier"),
	}
	opt := s.writes(r)
	if r.err != nil {
		return answer{}, r.err
	}
	if err := memory.ValidateIDs(c.IDs, 2, memory.MaxConsolidated); err != nil {
		return answer{}, err
	}
	out, err := s.service.Consolidate(ctx, c, opt)
	if err != nil {
		return answer{}, err
	}
	return answer{fmt.Sprintf("Consolidated %d memories into %s; they are deleted.", out.Consolidated, out.ID), struct {
		ID           string `json:"id"`
		Consolidated int    `json:"consolidated"`
		Token        string `json:"token,omitzero"`
	}{out.ID, out.Consolidated, out.Token}}, nil
}

func (s *Server) sessionStart(ctx context.Context, r *request) (answer, error) {
	f, opt := r.filter(10, 50), r.readOptions()
	if r.err != nil {
		return answer{}, r.err
	}
	page, err := s.service.SessionStart(ctx, f.Namespace, f.Limit, opt)
	if err != nil {
		return answer{}, err
	}
	page.clip()
	head := found(len(page.Memories), "Nothing is known here yet.")
	if len(page.Standards) > 0 {
		head += fmt.Sprintf(" The first %d say how things are done there.", len(page.Standards))
	}
	return answer{s.fence(head, &page), listed{page.rows(), len(page.Memories), "session_start", page.Stale, page.Standards}}, nil
}

func (s *Server) stats(ctx context.Context, r *request) (answer, error) {
	if opt := r.readOptions(); r.err == nil {
		return document(s.service.Stats(ctx, opt))
	}
	return answer{}, r.err
}

func (s *Server) status(ctx context.Context, _ *request) (answer, error) {
	return document(s.service.Status(ctx))
}

// capabilities adds the tools of this server to what the service says of itself.
func (s *Server) capabilities(ctx context.Context, r *request) (answer, error) {
	schema := 2
	if want := r.text("accept"); want != "" {
		var ok bool
		if schema, ok = memory.CapabilitySchema(want); !ok {
			r.fail(invalid("accept", "must be v1, v2 or v3"))
		}
	}
	if r.err != nil {
		return answer{}, r.err
	}
	doc, err := s.service.Capabilities(ctx, schema)
	if err != nil {
		return answer{}, err
	}
	members := map[string]memory.Raw{}
	if err := memory.ParseJSON(doc, &members); err != nil {
		return answer{}, fault{err}
	}
	names := make([]string, len(s.tools))
	for i, t := range s.tools {
		names[i] = t.name
	}
	if members["tools"], err = memory.AppendJSON(nil, names); err != nil {
		return answer{}, err
	}
	whole, err := memory.AppendJSON(nil, members)
	return answer{string(whole), memory.Raw(whole)}, err
}

// document is an answer that people rarely ask for: the text is the JSON as it is.
func document(doc memory.Raw, err error) (answer, error) {
	return answer{string(doc), doc}, err
}

// fault hides the kind of an error of the server's own making from advise.
type fault struct{ err error }

func (f fault) Error() string { return "cannot answer: " + f.err.Error() }
