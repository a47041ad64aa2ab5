import { Redis } from './redis.js';

// Inbox is a consumer group on what clients send. The group is the run's own:
// other groups of the same streams do not notice it.
export class Inbox {
  // INBOX names the streams, with commas between them; PREFIX and "inbox" where it is empty.
  constructor(settings, group, me) {
    this.redis = new Redis(settings);
    this.streams = settings.INBOX === '' ? [`${settings.PREFIX}inbox`] : settings.INBOX.split(',');
    this.group = group;
    this.me = me;
  }

  async create() {
    for (const stream of this.streams) await this.redis.command('XGROUP', 'CREATE', stream, this.group, '$', 'MKSTREAM');
  }

  async remove() {
    for (const stream of this.streams) await this.redis.command('XGROUP', 'DESTROY', stream, this.group);
  }

  // read waits a second at most for entries: [{ stream, id, fields }].
  async read() {
    let answer;
    try {
      answer = await this.redis.command('XREADGROUP', 'GROUP', this.group, this.me, 'COUNT', 100, 'BLOCK', 1000, 'STREAMS', ...this.streams, ...this.streams.map(() => '>'));
    } catch (e) {
      if (/redis: nil/.test(String(e))) return []; // nothing has come
      throw e;
    }
    const entries = [];
    for (const [stream, list] of answer) {
      for (const [id, flat] of list) {
        const fields = {};
        for (let i = 0; i < flat.length; i += 2) fields[flat[i]] = flat[i + 1];
        entries.push({ stream, id, fields });
      }
    }
    return entries;
  }

  async ack(entries) {
    for (const stream of this.streams) {
      const ids = entries.filter((e) => e.stream === stream).map((e) => e.id);
      if (ids.length > 0) await this.redis.command('XACK', stream, this.group, ...ids);
    }
  }
}
