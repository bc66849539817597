'use strict';

// Forwards a request to the relay and gives back what the relay answers. Nothing is decided here: who may do what, and what
// a valid request is, is written once, in the relay.

// Twilio ends a function after 10 s; the caller is told before that.
const RELAY_MILLISECONDS = 8500;
const STREAM_URL = /^(wss?):\/\/([^/?#@\s]+)((?:\/[^/?#\s]+)*)\/ws$/;
const JSON_TYPE = 'application/json';
const FORM_TYPE = 'application/x-www-form-urlencoded';
const KEPT = ['access-control-allow-origin', 'vary', 'retry-after', 'allow'];

// The runtime hands over the fields of query and body in one object, and neither the method nor the body's bytes.
function requestFrom(event, path) {
  const { request, ...rest } = event;
  const known = request !== null && typeof request === 'object' && request.headers !== null && typeof request.headers === 'object';
  const fields = known || request === undefined ? rest : { ...rest, request };
  const given = known ? request.headers : {};
  const headers = {};
  for (const name of ['authorization', 'origin']) {
    if (given[name] !== undefined) headers[name] = String(given[name]);
  }
  const type = String(given['content-type'] || '');
  const kind = type.split(';')[0].trim().toLowerCase();
  const length = given['content-length'];
  const hasBody = length === undefined ? type !== '' : Number(length) > 0;
  const readable = hasBody && (kind === JSON_TYPE || kind === FORM_TYPE);
  // Fields without a body that the runtime can read came in the query; the relay refuses that.
  const query = readable ? '' : new URLSearchParams(pairs(fields)).toString();
  if (!hasBody) return { query, options: { method: path === '/token' ? 'GET' : 'POST', headers } };
  headers['content-type'] = type;
  const body = kind === FORM_TYPE ? new URLSearchParams(pairs(fields)).toString() : JSON.stringify(readable ? fields : {});
  return { query, options: { method: 'POST', headers, body } };
}

function pairs(fields) {
  return Object.entries(fields).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)]));
}

function answer(status, headers, body) {
  const response = new Twilio.Response();
  response.setStatusCode(status);
  response.setHeaders({ 'Cache-Control': 'no-store', 'Content-Type': 'application/json', ...headers });
  response.setBody(body);
  return response;
}

// The relay's form of an error. Any page may read it: it holds nothing but what went wrong on the way.
function failure(status, code, message, hint) {
  return answer(status, { 'Access-Control-Allow-Origin': '*' }, { error: { code, message, hint } });
}

exports.forward = async (context, event, path) => {
  const address = STREAM_URL.exec(String(context.STREAM_URL || ''));
  if (address === null) {
    const message = context.STREAM_URL ? 'The variable STREAM_URL is no address of a relay.' : 'The variable STREAM_URL is missing.';
    return failure(500, 'stream_url', message, 'Set it in this Functions environment to wss://<host><pathPrefix>/ws.');
  }
  const [, scheme, host, prefix] = address;
  const { query, options } = requestFrom(event, path);
  const signal = AbortSignal.timeout(RELAY_MILLISECONDS);
  try {
    const url = `${scheme === 'wss' ? 'https' : 'http'}://${host}${prefix}${path}${query && `?${query}`}`;
    const relayed = await fetch(url, { ...options, redirect: 'manual', signal });
    const text = await relayed.text();
    const headers = {};
    for (const name of KEPT) {
      if (relayed.headers.has(name)) headers[name] = relayed.headers.get(name);
    }
    return answer(relayed.status, headers, JSON.parse(text));
  } catch (error) {
    if (signal.aborted) {
      const message = `The relay did not answer within ${RELAY_MILLISECONDS / 1000} s.`;
      return failure(504, 'relay_slow', message, 'Ask again: asking twice is safe.');
    }
    if (error instanceof SyntaxError) {
      const hint = 'STREAM_URL may lead to something else than the relay; see the condition EndpointReachable of the VoiceAssist.';
      return failure(502, 'relay_unclear', 'What answered is not the relay: its answer is not JSON.', hint);
    }
    const reason = (error.cause && error.cause.code) || error.name;
    const hint = 'Ask again after a moment; if it stays, see the condition EndpointReachable of the VoiceAssist.';
    return failure(502, 'relay_unreachable', `The relay cannot be reached (${reason}).`, hint);
  }
};
