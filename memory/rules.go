package memory

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// TitleKey is the form of a title by which two titles are the same (NFC). The stored title stays as it was written.
func TitleKey(title string) string { return norm.NFC.String(title) }

var sources = map[string]bool{
	"user": true, "claude": true, "hook": true, "api": true, "cli": true, "import": true, "consolidation": true, "system": true,
	"chaos": true, "notify": true,
}

var scopes = map[string]bool{"private": true, "team": true, "unit": true, "org": true, "collective": true}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

func checkTitle(s string) error {
	if blank(s) {
		return fieldErrorf("title", "must not be empty")
	}
	if len(s) > MaxTitle && utf8.RuneCountInString(s) > MaxTitle {
		return fieldErrorf("title", "must have at most %d characters", MaxTitle)
	}
	return checkText("title", s)
}

func checkContent(s string) error {
	if len(s) > MaxContent {
		return fieldErrorf("content", "must have at most %d bytes", MaxContent)
	}
	if blank(s) {
		return fieldErrorf("content", "must not be empty")
	}
	return checkText("content", s)
}

// ValidateTier accepts short, mid and long.
func ValidateTier(s string) error { return checkTier("tier", s) }

func checkTier(field, s string) error {
	if tierRank(s) == 0 {
		return fieldErrorf(field, "must be short, mid or long")
	}
	return nil
}

func checkTags(tags []string) error {
	if len(tags) > MaxTags {
		return fieldErrorf("tags", "must have at most %d items", MaxTags)
	}
	for i, t := range tags {
		field := "tags"
		if blank(t) || len(t) > MaxTag {
			return fieldErrorf(field, "item %d must have 1 to %d bytes", i, MaxTag)
		}
		if err := checkText(field, t); err != nil {
			return err
		}
	}
	return nil
}

func checkPriority(p int) error {
	if p < MinPriority || p > MaxPriority {
		return fieldErrorf("priority", "must be from %d to %d", MinPriority, MaxPriority)
	}
	return nil
}

func checkConfidence(c float64) error {
	if !(c >= 0 && c <= 1) { // also refuses NaN
		return fieldErrorf("confidence", "must be from 0.0 to 1.0")
	}
	return nil
}

func checkSource(s string) error {
	if len(s) > MaxSource || !sources[s] {
		return fieldErrorf("source", "must be one of user, claude, hook, api, cli, import, consolidation, system, chaos, notify")
	}
	return nil
}

// ValidateNamespace applies contract 1.3. An empty one is an error too: defaults are the caller's.
func ValidateNamespace(ns string) error { return checkNamespace("namespace", ns) }

func checkNamespace(field, ns string) error {
	switch {
	case blank(ns):
		return fieldErrorf(field, "must not be empty")
	case len(ns) > MaxNamespace && utf8.RuneCountInString(ns) > MaxNamespace:
		return fieldErrorf(field, "must have at most %d characters", MaxNamespace)
	}
	for _, r := range ns {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == '\\' {
			return fieldErrorf(field, "must not contain spaces, backslashes or control characters")
		}
	}
	if strings.Contains(ns, "%2f") || strings.Contains(ns, "%2F") {
		return fieldErrorf(field, "must not contain an escaped slash")
	}
	if err := checkText(field, ns); err != nil {
		return err
	}
	segments := 0
	for seg := range strings.SplitSeq(ns, "/") {
		segments++
		if seg == "" || seg == "." || seg == ".." {
			return fieldErrorf(field, "must not have empty, . or .. segments, nor begin or end with a slash")
		}
	}
	if segments > MaxNamespaceDepth {
		return fieldErrorf(field, "must have at most %d segments", MaxNamespaceDepth)
	}
	return nil
}

// ValidateID applies contract 8.13 to an id that a client made: 1..128 bytes, not blank, no control character, no slash.
func ValidateID(id string) error { return checkID("id", id) }

// ValidateIDs takes a list of distinct ids.
func ValidateIDs(ids []string, least, most int) error {
	if len(ids) < least || len(ids) > most {
		return fieldErrorf("ids", "must have %d to %d items", least, most)
	}
	seen := make(map[string]bool, len(ids))
	for i, id := range ids {
		field := "ids[" + strconv.Itoa(i) + "]"
		if err := checkID(field, id); err != nil {
			return err
		}
		if seen[id] {
			return fieldErrorf(field, "is there twice")
		}
		seen[id] = true
	}
	return nil
}

func checkID(field, id string) error {
	if blank(id) || len(id) > MaxIDLen {
		return fieldErrorf(field, "must have 1 to %d bytes", MaxIDLen)
	}
	if strings.ContainsAny(id, "/\n\t") {
		return fieldErrorf(field, "must not contain a slash, a newline or a tab")
	}
	return checkText(field, id)
}

// ValidateAgentID applies contract 1.4: 1..128 bytes of [A-Za-z0-9_\-:@./].
func ValidateAgentID(id string) error { return checkAgent("agent_id", id) }

func checkAgent(field, id string) error {
	if id == "" || len(id) > MaxAgentLen {
		return fieldErrorf(field, "must have 1 to %d bytes", MaxAgentLen)
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("_-:@./", c) >= 0:
		default:
			return fieldErrorf(field, "may only contain letters, digits and _ - : @ . /")
		}
	}
	return nil
}

func checkScope(s string) error {
	if !scopes[s] {
		return fieldErrorf("scope", "must be one of private, team, unit, org, collective")
	}
	return nil
}

// VersionedTitle is the title that on_conflict=version tries as its n-th, n from 2 to 1024: "title (n)".
func VersionedTitle(title string, n int) (string, error) {
	t := title + " (" + strconv.Itoa(n) + ")"
	return t, checkTitle(t)
}
