// The demo's page: draws what /feed tells. No framework, no network beyond this server.
const STAGES = [
  ["endpointing", "silence that ends a turn"],
  ["request", "asking the model"],
  ["first_token", "the model's first word"],
  ["generation", "the model writes"],
  ["publish", "stored in Sync"],
];
const $ = (selector, root = document) => root.querySelector(selector);
const slots = new Map();
let views = new Map();

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function slotFor(number) {
  if (!slots.has(number)) {
    const card = $("#call").content.firstElementChild.cloneNode(true);
    card.dataset.slot = number;
    const after = [...slots.keys()].filter((n) => n > number).sort((a, b) => a - b)[0];
    $("#calls").insertBefore(card, after === undefined ? null : slots.get(after));
    slots.set(number, card);
  }
  return slots.get(number);
}

function fill(list, items) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.replaceChildren(...items);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function drawCall(view) {
  views.set(view.callSid, view);
  const card = slotFor(view.slot);
  card.dataset.call = view.callSid;
  card.classList.toggle("over", view.endedAt !== null);
  $("h2", card).textContent = view.title;
  const state = $(".state", card);
  state.textContent = view.state;
  state.className = `state ${view.state}`;
  const troubled = view.state === "failed" || (["lost", "reconnecting"].includes(view.state) && view.endedAt === null);
  $(".message", card).hidden = !troubled;
  $(".message", card).textContent = view.message;
  fill($(".words", card), view.words.map((word) => element("li", word.text, `${word.track}${word.final ? "" : " open"}`)));
  const items = view.suggestions.map((suggestion) => {
    const item = element("li");
    item.append(element("q", suggestion.question), element("div", suggestion.answer));
    const latency = suggestion.latencyMs === undefined || suggestion.latencyMs === null ? "" : `${suggestion.latencyMs} ms after the last word · `;
    item.append(element("small", `${latency}prompt ${suggestion.revision}`));
    return item;
  });
  items.push(...view.drafts.map(drawDraft));
  const nothing = view.state === "failed" ? "No suggestions for this call." : "Nothing to say yet: the customer has asked nothing.";
  if (items.length === 0) items.push(element("li", nothing, "none"));
  fill($(".suggestions", card), items);
}

function drawDraft(draft) {
  const item = element("li", draft.answer, draft.early ? "draft early" : "draft");
  if (draft.early) item.append(element("small", "early draft: the customer may go on"));
  return item;
}

function drawClocks() {
  for (const view of views.values()) {
    const card = slots.get(view.slot);
    if (!card || card.dataset.call !== view.callSid) continue;
    const end = view.endedAt ?? Date.now() / 1000;
    const at = view.playingAt === null ? 0 : Math.max(0, Math.min(view.seconds, end - view.playingAt));
    $(".clock", card).textContent = view.endedAt === null ? `${at.toFixed(0)} of ${view.seconds.toFixed(0)} s` : "call over";
  }
}

function drawLevels(levels) {
  for (const card of slots.values()) {
    for (const meter of card.querySelectorAll("meter")) meter.value = levels[card.dataset.call]?.[meter.dataset.track] ?? 0;
  }
}

function drawBars(bars) {
  const width = 344, row = 17, left = 4, most = Math.max(1000, ...bars.map((bar) => STAGES.reduce((sum, [name]) => sum + (bar[name] ?? 0), 0)));
  const scale = (width - left - 52) / most, height = Math.max(1, bars.length) * row + 22;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const add = (name, attributes, text) => {
    const made = document.createElementNS(svg.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    svg.append(made);
    return made;
  };
  for (let tick = 0; tick <= most && bars.length > 0; tick += 250) {
    add("line", { x1: left + tick * scale, x2: left + tick * scale, y1: 0, y2: height - 16, stroke: "var(--line)" });
    if (tick % 500 === 0) add("text", { x: left + tick * scale, y: height - 4 }, tick === 0 ? "0 ms" : `${tick}`);
  }
  bars.forEach((bar, index) => {
    let x = left, sum = 0;
    for (const [name, words] of STAGES) {
      const value = bar[name] ?? 0;
      const rect = add("rect", { x, y: index * row + 2, width: Math.max(0, value * scale), height: row - 5, fill: `var(--${name})`, rx: 1.5 });
      const title = document.createElementNS(svg.namespaceURI, "title");
      title.textContent = `${words}: ${value} ms`;
      rect.append(title);
      x += value * scale;
      sum += value;
    }
    add("text", { x: x + 5, y: index * row + row - 6 }, `${Math.round(sum)}`);
  });
  if (bars.length === 0) add("text", { x: left, y: 12 }, "The first suggestion comes after some ten seconds.");
  $("#plot").replaceChildren(svg);
}

function drawRelay(relay) {
  const facts = [];
  if (relay === null) facts.push(["the demo does not answer; trying again", true]);
  else if (!relay.pod) facts.push(["relay not answering", true]);
  else {
    facts.push([`${relay.activeCalls} of ${relay.maxCalls} calls`, false]);
    facts.push([`model ${relay.model.ok ? "well" : relay.model.reason}`, !relay.model.ok], [`Sync ${relay.sync.ok ? "well" : relay.sync.reason}`, !relay.sync.ok]);
    const calls = Object.entries(relay.promptRevisions);
    facts.push([`prompt ${calls.map(([revision, count]) => `${revision} (${count})`).join(", ")}`, false]);
    if (relay.configError) facts.push(["configuration refused", true]);
  }
  $("#facts").replaceChildren(...facts.map(([text, bad]) => element("li", text, bad ? "bad" : "")));
}

// One line for each objective: the share of good events as Prometheus recorded it, with the objective as a dashed line.
function drawObjective(one) {
  const row = element("div", undefined, "objective");
  const last = one.points.at(-1);
  const short = last !== undefined && last[1] < one.objective;
  const percent = (share, digits) => `${(100 * share).toFixed(digits)} %`;
  row.append(element("span", one.title), element("b", last === undefined ? "no events yet" : percent(last[1], 1), short ? "bad" : ""));
  const width = 344, height = 38, seconds = 600, floor = Math.min(one.objective - (1 - one.objective), ...one.points.map((point) => point[1]));
  const x = (ago) => width - (width * ago) / seconds, y = (share) => 3 + ((height - 6) * (1 - share)) / (1 - floor);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const goal = document.createElementNS(svg.namespaceURI, "line");
  for (const [key, value] of Object.entries({ x1: 0, x2: width, y1: y(one.objective), y2: y(one.objective) })) goal.setAttribute(key, value);
  const line = document.createElementNS(svg.namespaceURI, "polyline");
  line.setAttribute("points", one.points.map(([ago, share]) => `${x(ago).toFixed(1)},${y(share).toFixed(1)}`).join(" "));
  line.setAttribute("class", short ? "bad" : "");
  svg.append(goal, line);
  row.append(svg, element("small", `objective ${percent(one.objective, one.objective < 0.99 ? 0 : 1)}, over the last ${one.window}`));
  return row;
}

function drawWatched(watched) {
  const note = $("#watched");
  if (!watched.url) {
    note.textContent = "Prometheus is not on this machine; with it (Debian: apt-get install prometheus) the objectives are drawn here.";
    return;
  }
  const link = element("a", "Prometheus");
  link.href = watched.url;
  note.replaceChildren("The last ten minutes, drawn from the answers of ", link, watched.trouble ? ` — which says: ${watched.trouble}` : ".");
  $("#objectives").replaceChildren(...watched.objectives.map(drawObjective));
}

// The Flex window: closed, preparing, open or failed, and a line about it.
function drawFlex(flex) {
  const busy = flex.state === "preparing" || flex.state === "open";
  $("#flex button").disabled = busy;
  $("#flex button").textContent = flex.state === "open" ? "Flex is open" : "Open Flex";
  const output = $("#flex output");
  output.className = flex.state === "failed" ? "bad" : "";
  if (output.textContent !== flex.text) output.textContent = flex.text;
}

$("#flex button").addEventListener("click", async () => {
  try {
    const answer = await fetch("/flex", { method: "PUT" });
    if (!answer.ok) throw new Error();
  } catch {
    drawFlex({ state: "failed", text: "the demo does not answer" });
  }
});

$("#legend").replaceChildren(...STAGES.map(([name, words]) => {
  const item = element("li");
  const mark = element("i");
  mark.style.background = `var(--${name})`;
  item.append(mark, words);
  return item;
}));

const shown = { tried: false };

// Both prompts side by side while a canary is tried; afterwards what became of it.
function drawRollout(rollout) {
  const table = $("#rollout"), verdict = $("#verdict"), canary = rollout.canaryRevision;
  table.hidden = !canary;
  if (canary) {
    const row = (what, revision, weight, counts = {}) => {
      const made = element("tr");
      const cells = [revision, `${weight} %`, counts.calls ?? 0, counts.turns ?? 0, counts.failed ?? 0];
      made.append(element("th", what), ...cells.map((text) => element("td", `${text}`)));
      return made;
    };
    $("caption", table).textContent = `A canary is tried: it waits for ${rollout.waitsFor}.`;
    $("tbody", table).replaceChildren(
      row("in force", rollout.currentRevision, 100 - rollout.weight, rollout.stable),
      row("canary", canary, rollout.weight, rollout.canary),
    );
  }
  if (!canary && shown.tried) $("#rolled").textContent = `in force: ${rollout.currentRevision}`;
  shown.tried = Boolean(canary);
  verdict.hidden = !rollout.rejectedRevision;
  verdict.textContent = rollout.rejectedRevision ? `Taken back: ${rollout.told}` : "";
}

async function loadPrompt() {
  const prompt = await (await fetch("/prompt")).json();
  $("#prompt textarea").value = prompt.instructions;
  $("#rolled").textContent = `in force: ${prompt.revision}`;
}

$("#prompt").addEventListener("submit", async (event) => {
  event.preventDefault();
  const output = $("#rolled");
  try {
    const answer = await fetch("/prompt", { method: "PUT", body: JSON.stringify({ instructions: event.target.instructions.value, canary: event.target.canary.checked }) });
    const body = await answer.json();
    output.className = answer.ok ? "" : "bad";
    const done = body.tried ? `${body.revision} is tried: half of the next calls have it` : `rolled out: ${body.revision}; the next call has it`;
    output.textContent = answer.ok ? done : body.error;
  } catch {
    output.className = "bad";
    output.textContent = "the demo does not answer";
  }
});

function connect() {
  const feed = new EventSource("/feed");
  feed.onmessage = (message) => {
    const change = JSON.parse(message.data);
    if (change.board) {
      views = new Map();
      const there = new Set(change.board.calls.map((view) => view.slot));
      for (const [number, card] of slots) {
        if (there.has(number)) continue;
        card.remove();
        slots.delete(number);
      }
      change.calls = change.board.calls;
      change.bars = change.board.bars;
      change.relay = change.board.relay;
      change.watched = change.board.watched;
      change.flex = change.board.flex;
      change.rollout = change.board.rollout;
    }
    change.calls?.forEach(drawCall);
    if (change.levels) drawLevels(change.levels);
    if (change.bars) drawBars(change.bars);
    if (change.relay) drawRelay(change.relay);
    if (change.watched) drawWatched(change.watched);
    if (change.flex) drawFlex(change.flex);
    if (change.rollout) drawRollout(change.rollout);
    drawClocks();
  };
  feed.onerror = () => {
    drawRelay(null);
    if (feed.readyState === EventSource.CLOSED) setTimeout(connect, 2000); // a refused feed does not come back by itself
  };
}

loadPrompt().catch(() => drawRelay(null));
connect();
