// The messages that the scripts publish: JSON of a given size, of which every
// byte can be checked.
//
//   {"run":"…","n":7,"at":1764166271000.25,"begun":…,"pad":"hhhh…"}

// encode is message n of a run. at is when it was due, begun when the publisher
// began, both in milliseconds; end says that n messages went before, and no more come.
export function encode({ run, n, at, begun, end = false }, size) {
  const head = `{"run":"${run}","n":${n},"at":${at},"begun":${begun},${end ? '"end":true,' : ''}"pad":"`;
  return head + pad(n, size - head.length - 2) + '"}';
}

// decode is the message, from its text or, where a dialect has parsed that
// already, from the object; null where it is not exactly what encode made for that run.
export function decode(data, run) {
  let m = data;
  if (typeof data === 'string') {
    try {
      m = JSON.parse(data);
    } catch (e) {
      return null;
    }
  }
  const good = m !== null && typeof m === 'object' && m.run === run && Number.isInteger(m.n) && typeof m.pad === 'string' && m.pad === pad(m.n, m.pad.length);
  return good ? m : null;
}

function pad(n, length) {
  return String.fromCharCode(97 + (n % 26)).repeat(Math.max(0, length));
}
