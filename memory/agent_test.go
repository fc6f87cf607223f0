package memory

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestAgentStored(t *testing.T) {
	a := Agent{ID: "ai:a/b", Type: "ai:x", Capabilities: []string{"code", "\"q\""}, RegisteredAt: epoch, LastSeenAt: epoch.Add(time.Hour)}
	const want = `{"agent_id":"ai:a/b","agent_type":"ai:x","capabilities":["code","\"q\""],` +
		`"registered_at":"2026-11-22T10:30:00.123456789+00:00","last_seen_at":"2026-11-22T11:30:00.123456789+00:00"}`
	if got := string(a.Encode()); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	again, err := DecodeAgent(a.Encode())
	if err != nil || !reflect.DeepEqual(again, a) {
		t.Fatalf("%+v, %v", again, err)
	}
	if err := ValidateValue(a.Key(), a.Encode()); err != nil {
		t.Error(err)
	}
	if err := ValidateValue(NewKey(KindAgent, "other"), a.Encode()); err == nil {
		t.Error("an agent under another one's key")
	}
	if !KindAgent.Known() || a.Key().String() != "agent/ai:a/b" {
		t.Error(a.Key())
	}
	// A later version's members stay.
	newer := strings.Replace(want, `"last_seen_at"`, `"x":{"y":1},"last_seen_at"`, 1)
	if again, err = DecodeAgent([]byte(newer)); err != nil || len(again.Extra) != 1 || !strings.Contains(string(again.Encode()), `,"x":{"y":1}}`) {
		t.Errorf("%+v, %v", again, err)
	}
	for _, bad := range []string{``, `null`, `[]`, `{}`, `{"agent_id":1}`, `{"agent_id":"a b"}`, `{"agent_id":"a","capabilities":1}`, `{"agent_id":"a","registered_at":"x"}`} {
		if _, err := DecodeAgent([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestAgentContentHash(t *testing.T) {
	a := Agent{ID: "a", Type: "human", Capabilities: []string{}}
	h := a.ContentHash()
	if a.LastSeenAt, a.RegisteredAt = epoch, epoch; a.ContentHash() != h {
		t.Error("the times are in the hash")
	}
	for name, change := range map[string]func(*Agent){
		"id": func(a *Agent) { a.ID = "b" }, "type": func(a *Agent) { a.Type = "system" },
		"capabilities": func(a *Agent) { a.Capabilities = []string{"x"} },
	} {
		b := a
		if change(&b); b.ContentHash() == h {
			t.Errorf("%s is not in the hash", name)
		}
	}
}

func TestRegistration(t *testing.T) {
	for _, kind := range []string{"human", "system", "ai:x", "ai:claude-opus-4.7", "ai:_.-", "ai:" + strings.Repeat("a", MaxAgentType-3)} {
		a, err := DecodeRegistration([]byte(`{"agent_id":"a","agent_type":"` + kind + `","unknown":[1]}`))
		if err != nil || a.Type != kind || a.Capabilities == nil {
			t.Errorf("%s: %+v, %v", kind, a, err)
		}
	}
	for _, kind := range []string{"", "Human", "human ", "ai:", "ai:ä", "ai:a/b", "robot", "ai", "ai:" + strings.Repeat("a", MaxAgentType-2)} {
		_, err := DecodeRegistration([]byte(`{"agent_id":"a","agent_type":"` + kind + `"}`))
		wantField(t, kind, err, "agent_type", "")
	}
}
