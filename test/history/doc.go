// Package history records what clients of a cluster did and saw, and judges it.
//
// A history is a list of [Op], one JSON object a line: writes with their answers, reads,
// exports of what a node shows, and the faults that were injected. [Check] is a pure
// function over it, so that a run can be judged again later, from its file alone, and so
// that the judge itself can be judged: [Plants] are ways to put a known fault into a
// good history, each of which Check has to find.
//
// It promises to be sound: it blames a cluster only for what no order of events that
// memd allows could explain. What it knows of order comes from tokens, from what one
// node was seen to hold, and from real time on one node, never from wall clocks of
// nodes. So a write that was not answered may be there or not, but on all nodes alike;
// of two writes that had not seen each other either may be shown; a write that had seen
// another one takes its place everywhere and for ever.
//
// It does not prove linearizability, which memd does not promise, and it does not run
// anything: the packages test/chaos and test/sim do.
package history
