package pubsub

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A Sentinel that leads a failover has the new epoch before SENTINEL MASTER has the
// new address. Beside Sentinels that have both, nobody could tell which of the two
// addresses holds.
func TestSentinelThatLeadsAFailover(t *testing.T) {
	bulks := func(words ...string) string {
		var b strings.Builder
		for _, w := range words {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
		}
		return b.String()
	}
	fake := &fakeRedis{answer: func(command []string) string {
		switch strings.ToUpper(strings.Join(command, " ")) {
		case "SENTINEL MASTER MYMASTER":
			return "*6\r\n" + bulks("ip", "10.0.0.1", "port", "6379", "config-epoch", "7")
		case "SENTINEL GET-MASTER-ADDR-BY-NAME MYMASTER":
			return "*2\r\n" + bulks("10.0.0.2", "6379")
		}
		return "-ERR unknown command\r\n"
	}}
	target, err := parseTarget("redis+sentinel://h?master_name=mymaster")
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Protocol: 2, DisableIdentity: true,
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { return fake.dial(ctx, "") }})
	defer fake.running.Wait()
	defer client.Close()
	s := &sentinels{r: &Redis{target: target}}
	addr, epoch, err := s.ask(t.Context(), client)
	if err != nil || addr != "10.0.0.2:6379" || epoch != 7 {
		t.Errorf("%s with epoch %d, %v; want the replica that was promoted", addr, epoch, err)
	}
}
