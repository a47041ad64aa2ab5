// The scripts publish as services do: with plain Redis commands.
//
// k6 v1.8.1 calls this module deprecated, in a warning at every start, in favour of k6/x/redis. That is the same code, but
// outside of the k6 that `go install` builds.
import redis from 'k6/experimental/redis';

// Redis is one VU's connection to Redis. Commands that wait for each other keep
// their order; others do not, as they may take different connections of the pool.
export class Redis {
  constructor(settings) {
    this.url = settings.REDIS;
    this.prefix = settings.PREFIX;
    // A PUBLISH that is repeated after a timeout may be published twice: whoever may repeat does it with an id.
    const once = /[?&]max_retries=/.test(settings.REDIS) ? '' : `${settings.REDIS.includes('?') ? '&' : '?'}max_retries=-1`;
    this.client = new redis.Client(settings.REDIS + once);
  }

  command(...words) {
    return this.client.sendCommand(...words);
  }

  // publish returns how many connections to Redis had subscribed: nodes, not clients.
  publish(channel, payload) {
    return this.command('PUBLISH', this.prefix + channel, payload);
  }

  // publishDurable returns the position. Calling it again with the same id publishes nothing twice.
  async publishDurable(channel, payload, id) {
    const [position] = await this.command('FCALL', 'sluice_publish', 1, this.prefix + channel, payload, 'id', id);
    return position;
  }
}
