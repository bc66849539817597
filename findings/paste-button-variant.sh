#!/usr/bin/env bash
# @twilio-paste/core (JavaScript) 15.3.1, React 17: a `Button` whose `variant` changes with the state of what it does, as Pause (secondary)
# becomes Resume (primary).
#
# One would expect: React keeps the element and changes its class, as it does when another property of the same component changes.
# What happens:     each variant is a component of its own, so React takes the button out of the page and puts another one in.
# What it costs:    who pressed it by keyboard loses the focus to the page's body, and a screen reader its place; a click that is under way
#                   when the state changes has no target any more.
# What to do:       keep one variant for a button that changes its meaning, or give the focus back after the change.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @twilio-paste/core@15.3.1 react@17.0.2 react-dom@17.0.2 jsdom@26.1.0
cat >run.cjs <<'JAVASCRIPT'
const { JSDOM } = require("jsdom");
const { window } = new JSDOM("<div id='root'></div>", { pretendToBeVisual: true });
for (const name of ["document", "HTMLElement", "Element", "Node", "getComputedStyle", "requestAnimationFrame", "cancelAnimationFrame"]) {
  globalThis[name] = window[name];
}
globalThis.window = window;
Object.defineProperty(globalThis, "navigator", { value: window.navigator, configurable: true });
const React = require("react");
const ReactDOM = require("react-dom");
const { Theme } = require("@twilio-paste/core/theme");
const { Button } = require("@twilio-paste/core/button");
const { version } = require("@twilio-paste/core/package.json");

const root = document.getElementById("root");
function draw(variant, text) {
  const button = React.createElement(Button, { variant }, text);
  ReactDOM.render(React.createElement(Theme.Provider, { theme: "default" }, button), root);
  return root.querySelector("button");
}
function told(what, before, after) {
  const same = before === after;
  const focus = document.activeElement.tagName;
  console.log(what.padEnd(28), same ? "the same element," : "another element, ", "focus on", focus);
  return { same, focus };
}
const first = draw("secondary", "Pause");
first.focus();
console.log("@twilio-paste/core", version, "- a focused Button after a change of");
const words = told("its text:", first, draw("secondary", "Resume"));
const variant = told("its variant:", first, draw("primary", "Resume"));
const asTold = words.same && words.focus === "BUTTON" && !variant.same && variant.focus === "BODY";
console.log(asTold ? "as told" : "NOT AS TOLD: the behaviour has changed");
process.exit(asTold ? 0 : 1);
JAVASCRIPT
node run.cjs
