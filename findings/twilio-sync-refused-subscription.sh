#!/usr/bin/env bash
# twilio-sync (JavaScript) 4.0.1: the server may refuse the subscription of one object (`subscription_failed`, for instance 403 while a
# permission is on its way), which is no error of the connection.
#
# One would expect: the client asks again, as it does after any other error of the same request, at the latest when it connects anew.
# What happens:     the object is never subscribed again, through any number of reconnects, although it looks alive: it was opened, its
#                   handle works, other objects of the same client are subscribed anew each time. Only an event that is not documented
#                   (`failure`) tells. A 403 answer to the whole request is retried for ever instead.
# What it costs:    a page that opens an object some milliseconds before the permission is there shows nothing until it is loaded again.
# What to do:       listen to `failure`, close the object, open it again after a while.
#
# The other side is a stand-in of some lines below, which speaks the socket's framing as the package's own dist/ has it. What the real
# service answers when is not the matter here; what the client does with it is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts twilio-sync@4.0.1 ws@8.23.0
cat >run.cjs <<'JAVASCRIPT'
const { WebSocketServer } = require("ws");
const { Client } = require("twilio-sync");
const { version } = require("twilio-sync/package.json");

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const SIDS = { refused: "TO" + "1".repeat(32), other: "TO" + "2".repeat(32) };
const asked = { [SIDS.refused]: 0, [SIDS.other]: 0 };
const sockets = new Set();

function packet(header, payload) {
  const body = payload === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(payload));
  const head = Buffer.from(JSON.stringify({ payload_type: "application/json", ...header, payload_size: body.length }));
  return Buffer.concat([Buffer.from(`TWILSOCK V3.0 ${head.length}\r\n`), head, Buffer.from("\r\n"), body]);
}

function parse(data) {
  const line = data.indexOf("\r\n");
  const length = Number(data.subarray(0, line).toString().split(" ")[2]);
  const header = JSON.parse(data.subarray(line + 2, line + 2 + length));
  return { header, payload: header.payload_size ? JSON.parse(data.subarray(line + 4 + length)) : undefined };
}

function subscribe(socket, body) {
  for (const one of body.requests) {
    if (body.action !== "establish") continue;
    asked[one.object_sid] += 1;
    const refuse = one.object_sid === SIDS.refused && asked[one.object_sid] === 1;
    const event = { object_sid: one.object_sid, object_type: one.object_type };
    Object.assign(event, refuse
      ? { error: { status: 403, code: 54007, message: "Access forbidden for identity" } }
      : { replay_status: "completed", last_event_id: 0 });
    const type = refuse ? "subscription_failed" : "subscription_established";
    const told = { event_type: type, correlation_id: body.correlation_id, event_protocol_version: 4, events: [event] };
    const header = { method: "notification", id: `TM${Math.random()}`, message_type: "twilio.sync.event" };
    setTimeout(() => socket.send(packet(header, told)), 20);
  }
  return { max_batch_size: 1000, estimated_delivery_in_ms: 5000 };
}

function serve(socket) {
  sockets.add(socket);
  const reply = (id, more, payload) => socket.send(packet({ method: "reply", id, status: { code: 200, status: "OK" }, ...more }, payload));
  socket.on("message", (data) => {
    const { header, payload } = parse(data);
    if (header.method === "init") return reply(header.id, { continuation_token: "CT" });
    if (header.method !== "message") return undefined;
    const { path } = header.http_request;
    const found = { code: 200, status: "OK" };
    if (path === "/v4/Subscriptions") return reply(header.id, { http_status: found }, subscribe(socket, payload));
    const name = decodeURIComponent(path.split("/").pop());
    const url = `https://cds.us1.twilio.com/v3/Streams/${SIDS[name]}`;
    return reply(header.id, { http_status: found }, { sid: SIDS[name], unique_name: name, url, links: { messages: `${url}/Messages` } });
  });
}

async function main() {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  server.on("connection", serve);
  await sleep(50);
  const client = new Client("any token", { Twilsock: { uri: `ws://127.0.0.1:${server.address().port}/v3/wsconnect` } });
  const stream = await client.stream({ id: "refused", mode: "open_existing" });
  await client.stream({ id: "other", mode: "open_existing" });
  let failures = 0;
  stream.on("failure", () => { failures += 1; });
  await sleep(2000);
  const first = { ...asked };
  for (let times = 0; times < 2; times += 1) {
    for (const socket of sockets) socket.terminate();
    sockets.clear();
    await sleep(4000);
  }
  const later = { ...asked };
  stream.close();
  await client.stream({ id: "refused", mode: "open_existing" });
  await sleep(1500);
  console.log("twilio-sync", version, "- subscriptions asked for, by object:");
  const say = (what, counts) => console.log(what.padEnd(34), "refused:", counts[SIDS.refused], " other:", counts[SIDS.other]);
  say("after opening both", first);
  say("after two reconnects", later);
  say("after close and open of the first", asked);
  console.log("undocumented `failure` events:    ", failures, " state of the client:", client.connectionState);
  const asTold = first[SIDS.refused] === 1 && later[SIDS.refused] === 1 && later[SIDS.other] >= 3 && asked[SIDS.refused] === 2;
  console.log(asTold ? "as told" : "NOT AS TOLD: the behaviour has changed");
  process.exit(asTold ? 0 : 1);
}

main().catch((error) => { console.error(error); process.exit(1); });
JAVASCRIPT
NODE_PATH="$folder/node_modules" node run.cjs
