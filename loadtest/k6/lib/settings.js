// A script's settings, from the environment: k6 run -e NAME=value. The kind of a
// setting is that of its default: a number, a duration ('20s', '5m': kept in
// seconds), or text.

const units = { ms: 0.001, s: 1, m: 60, h: 3600 };

// seconds is what a duration like '90s' or '1h30m' is; NaN where it is none.
export function seconds(text) {
  const all = /^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text) ? text.match(/\d+(?:\.\d+)?(?:ms|s|m|h)/g) : [];
  return all.length === 0 ? NaN : all.reduce((sum, part) => sum + parseFloat(part) * units[part.match(/[a-z]+$/)[0]], 0);
}

// common are the settings of every script.
export const common = {
  URL: 'ws://127.0.0.1:8000/ws', // several nodes: with commas between them
  REDIS: 'redis://127.0.0.1:6380', // the embedded broker's place; a Redis is mostly at 6379
  PREFIX: 'sluice:',
  NAMESPACE: 'k6', // channels are NAMESPACE:<run>-<number>
  TOKEN: '',
  OUT: 'out/k6', // a folder that exists: reports go there
};

// settings reads the named settings and the common ones. It throws where a value
// is not of its default's kind. shown are all of them as they were given.
export function settings(defaults, env = globalThis.__ENV) {
  const all = { ...common, ...defaults }, values = {}, shown = {};
  for (const [name, preset] of Object.entries(all)) {
    const given = env[name] === undefined || env[name] === '' ? String(preset) : env[name];
    values[name] = read(name, given, preset);
    shown[name] = name === 'TOKEN' && given !== '' ? '(a token)' : given.replace(/(:\/\/[^:@/]*:)[^@/]+@/g, '$1…@');
  }
  Object.defineProperty(values, 'shown', { value: shown });
  return values;
}

function read(name, given, preset) {
  if (typeof preset === 'number') {
    if (!/^\d+(\.\d+)?$/.test(given)) throw new Error(`${name}=${given}: a number is wanted, as in ${name}=${preset}`);
    return Number(given);
  }
  if (isNaN(seconds(preset))) return given;
  if (isNaN(seconds(given))) throw new Error(`${name}=${given}: a duration is wanted, as in ${name}=${preset}`);
  return seconds(given);
}
