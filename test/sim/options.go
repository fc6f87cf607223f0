package sim

import "time"

// options are what one schedule is like: drawn from the seed, so that each sees another mix
// of faults at another rate instead of a little of everything.
type options struct {
	nodes   int
	steps   int
	titles  []string
	page    int // bytes
	logRows int
	frame   int // rows of a push; 0 = by chance

	gather  float64 // of transactions that wait for company
	overlap float64 // of transactions whose pushes leave before the disk is done
	eager   float64 // of those, answered before the disk is done
	crash   float64 // of transactions
	weights []int
}

// An event is what may happen in one step.
type event struct {
	name string
	// weight in an ordinary schedule, and by how much a schedule that favours it has more.
	// An event that is optional happens only in schedules that chose it.
	weight   int
	optional bool
	do       func(*World)
}

var events = []event{
	{"write", 20, false, (*World).doWrite},
	{"kinds", 7, false, (*World).doKinds},
	{"retry", 4, false, (*World).doRetry},
	{"read", 3, false, (*World).doRead},
	{"flush", 14, false, (*World).doFlush},
	{"connect", 7, false, (*World).doConnect},
	{"deliver", 30, false, (*World).doDeliver},
	{"drop", 4, false, (*World).doDrop},
	{"double", 3, false, (*World).doDouble},
	{"pull", 7, false, (*World).doPull},
	{"turn", 10, false, (*World).doTurn},
	{"timeout", 2, false, (*World).doTimeout},
	{"deadline", 2, false, (*World).doDeadline},
	{"time", 2, false, (*World).doTime},
	{"damage", 2, true, (*World).doDamage},
	{"pause", 2, true, (*World).doPause},
	{"resume", 3, false, (*World).doResume},
	{"crash", 2, true, (*World).doCrash},
	{"reopen", 4, false, (*World).doReopen},
	{"copy", 2, true, (*World).doCopy},
	{"restore", 2, true, (*World).doRestore},
	{"wipe", 1, true, (*World).doWipe},
	{"clone", 1, true, (*World).doClone},
	{"notice", 1, false, (*World).doNotice},
	{"destroy", 1, true, (*World).doDestroy},
	{"join", 1, true, (*World).doJoin},
	{"register", 2, false, (*World).doRegister},
	{"skew", 2, true, (*World).doSkew},
	{"newer", 2, true, (*World).doNewer},
}

// maxSlots bounds the machines of one schedule.
const maxSlots = 6

func (w *World) setup() {
	o := &w.opt
	o.nodes = []int{3, 3, 3, 2, 4}[w.pick(5)]
	o.steps = 40 + w.pick(90)
	titles := []string{"red", "green", "blue"}
	o.titles = titles[:1+w.pick(len(titles))]
	o.page = []int{1, 500, 900, 1 << 20}[w.pick(4)]
	o.logRows = []int{4, 64, 64}[w.pick(3)]
	o.gather = []float64{0, 0.1, 0.3}[w.pick(3)]
	o.overlap = []float64{0.2, 0.6}[w.pick(2)]
	o.eager = []float64{0, 0.5}[w.pick(2)]
	o.crash = []float64{0, 0.03, 0.1}[w.pick(3)]
	o.weights = make([]int, len(events))
	for i, e := range events {
		o.weights[i] = e.weight
		switch {
		case e.optional && w.chance(0.6):
			o.weights[i] = 0
		case w.chance(0.15):
			o.weights[i] *= 4
		}
	}
	if w.cfg.Scenario == "" && w.chance(0.25) {
		w.cfg.Scenario = one(w, scenarios).name
	}
	w.say("seed %d, mutants %s, scenario %q: %d nodes, %d steps, pages of %d bytes", w.cfg.Seed, w.cfg.Mutants, w.cfg.Scenario, o.nodes, o.steps, o.page)
}

// greet opens the streams that stand when a schedule begins.
func (w *World) greet() {
	for _, s := range w.slots {
		for _, to := range w.slots {
			if s.proc != nil && to.proc != nil && s != to && w.chance(0.8) {
				s.proc.connect(to, true)
			}
		}
	}
}

// event lets one thing happen.
func (w *World) event() {
	w.advance(time.Duration(w.pick(20)) * time.Millisecond)
	total := 0
	for _, n := range w.opt.weights {
		total += n
	}
	n := w.pick(total)
	for i, weight := range w.opt.weights {
		if n -= weight; n < 0 {
			events[i].do(w)
			return
		}
	}
}
