package main

import (
	"fmt"
	"net"
)

// freePorts finds n loopback addresses whose port nobody uses, each for TCP and UDP, since
// gossip needs both. They are let go again: whoever is quicker can still take one, so the
// caller tries again with others when that happened.
func freePorts(n int) ([]string, error) {
	var addrs []string
	var held []interface{ Close() error }
	defer func() {
		for _, h := range held {
			h.Close()
		}
	}()
	for tries := 0; len(addrs) < n; tries++ {
		if tries == 20*n {
			return nil, fmt.Errorf("cannot find %d free ports on 127.0.0.1", n)
		}
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		held = append(held, tcp)
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err != nil {
			continue // free for TCP only
		}
		held = append(held, udp)
		addrs = append(addrs, tcp.Addr().String())
	}
	return addrs, nil
}
