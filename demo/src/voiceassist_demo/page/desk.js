// The page around Flex: says what is real, and plays the call's recording while it is played to the relay.
const LATE_SECONDS = 0.5; // a player that is further off than this is set right
const button = document.querySelector("header button");
const output = document.querySelector("header output");
const player = document.querySelector("header audio");
let view = null;

button.addEventListener("click", () => {
  player.muted = !player.muted;
  button.textContent = player.muted ? "Hear" : "Mute";
});

function stop(text) {
  player.pause();
  output.textContent = text;
}

function keepUp() {
  if (view === null || view.playingAt === null || view.endedAt !== null) {
    if (!player.paused) stop("");
    return;
  }
  const source = `/desk/recordings/${view.callSid}`;
  if (player.getAttribute("src") !== source) player.src = source;
  const at = Date.now() / 1000 - view.playingAt;
  output.textContent = `${Math.min(at, view.seconds).toFixed(0)} of ${view.seconds.toFixed(0)} s`;
  if (at >= view.seconds) return;
  if (Math.abs(player.currentTime - at) > LATE_SECONDS) player.currentTime = at;
  if (player.paused) player.play().catch(() => {}); // nobody has clicked here yet: the next look tries again
}

const feed = new EventSource("/feed");
feed.onmessage = (message) => {
  const change = JSON.parse(message.data);
  view = (change.board?.calls ?? change.calls ?? []).find((one) => one.desk) ?? view;
  keepUp();
};
feed.onerror = () => {
  view = null;
  stop("The demo does not answer: close this window.");
};
