// What the page asks of its node, and the key that it shows.

const stored = 'sluice.key'; // of this tab, until it is closed

export const key = {
  get: () => sessionStorage.getItem(stored) ?? '',
  set: (value) => { sessionStorage.setItem(stored, value); },
  forget: () => { sessionStorage.removeItem(stored); },
};

// ask calls the node; a refusal becomes an Error in the node's words.
export async function ask(path, body, withKey = key.get()) {
  const request = { signal: AbortSignal.timeout(8000), cache: 'no-store' };
  if (body !== undefined) {
    request.method = 'POST';
    request.headers = { 'Content-Type': 'application/json' };
    if (withKey) request.headers['X-API-Key'] = withKey;
    request.body = JSON.stringify(body);
  }
  let response, answer;
  try {
    response = await fetch(path, request);
  } catch (cause) {
    throw new Error('the node does not answer', { cause });
  }
  try {
    answer = await response.json();
  } catch (cause) {
    throw new Error(`the node answered ${response.status} without JSON`, { cause });
  }
  if (answer.error) throw Object.assign(new Error(answer.error.message), { status: response.status });
  return answer;
}

// listen streams from the node and comes back by itself, after a second: to({past, before,
// overview, gone}) is told of each.
export function listen(to) {
  let source, timer;
  const open = () => {
    source = new EventSource('/api/live');
    source.addEventListener('past', (e) => to.past(JSON.parse(e.data)));
    source.addEventListener('before', (e) => to.before(JSON.parse(e.data)));
    source.addEventListener('overview', (e) => to.overview(JSON.parse(e.data)));
    source.addEventListener('error', () => {
      source.close(); // what it does by itself differs between browsers, and after a 503 it does nothing
      to.gone();
      clearTimeout(timer);
      timer = setTimeout(open, 1000);
    });
  };
  open();
}
