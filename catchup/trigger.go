package catchup

import "slices"

// Trigger says why a pull is wanted. It is a label of metrics, so the set is closed.
type Trigger string

// The triggers.
const (
	TriggerPause      Trigger = "pause"       // this process stood still
	TriggerToken      Trigger = "token"       // a reader waits for what it has seen elsewhere
	TriggerGap        Trigger = "gap"         // a push left a hole
	TriggerStart      Trigger = "start"       // first pull of this process
	TriggerNudge      Trigger = "nudge"       // the peer says that it could not push
	TriggerPushFailed Trigger = "push_failed" // this node could not push
	TriggerJoin       Trigger = "join"        // the peer appeared or changed
	TriggerDigest     Trigger = "digest"      // gossip shows another clock
	TriggerLease      Trigger = "lease"       // what was reserved for another pull did not come
	TriggerTimer      Trigger = "timer"
	triggerOther      Trigger = "other" // a name that this package does not know
)

// triggers in order of urgency: a pull with several reasons is labelled by the first.
var triggers = []Trigger{
	TriggerPause, TriggerToken, TriggerGap, TriggerStart, TriggerNudge, TriggerPushFailed,
	TriggerJoin, TriggerDigest, TriggerLease, TriggerTimer, triggerOther,
}

const numTriggers = 11

// rank is the place in triggers; unknown names share the last one.
func (t Trigger) rank() int {
	if i := slices.Index(triggers, t); i >= 0 {
		return i
	}
	return numTriggers - 1
}

// urgent triggers have someone waiting for them.
func (t Trigger) urgent() bool { return t == TriggerPause || t == TriggerToken || t == TriggerGap }

// news tells whether the trigger shows something that the last failure did not know,
// so that it may cut a backoff short. The passing of time does not.
func (t Trigger) news() bool { return t != TriggerTimer && t != TriggerLease }
