package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/memd/memd/node"
)

// supervised tells the service manager that started this process how the node is: that it
// is ready (so that a restart of one node after another waits for each to have caught up),
// what it waits for, and, if it wants to be told (WatchdogSec), that it is alive. Without a
// manager (no NOTIFY_SOCKET) all of it does nothing.
type supervised struct{ log *slog.Logger }

func (s supervised) say(state ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(state, "\n")); err != nil {
		s.log.Warn("the service manager cannot be told", "err", err)
	}
}

// run reports until ctx ends, and then that the node stops. A node whose parts wait for
// each other for ever cannot say how it is, and so is not reported alive: the manager then
// starts it anew.
func (s supervised) run(ctx context.Context, n *node.Node) {
	every := time.Second
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("the watchdog of the service manager is set wrongly", "err", err)
	}
	if watchdog > 0 {
		every = min(every, watchdog/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	last, told := "", false
	for {
		ready, reasons := n.Ready()
		status := "STATUS=ready"
		if !ready {
			status = "STATUS=" + strings.Join(reasons, "; ")
		}
		var news []string
		if ready && !told {
			told = true
			news = append(news, daemon.SdNotifyReady)
		}
		if status != last {
			last = status
			news = append(news, status)
		}
		if watchdog > 0 {
			news = append(news, daemon.SdNotifyWatchdog)
		}
		if len(news) > 0 {
			s.say(news...)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.say(daemon.SdNotifyStopping, "STATUS=stopping")
			return
		}
	}
}
