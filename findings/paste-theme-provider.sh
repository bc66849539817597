#!/usr/bin/env bash
# @twilio-paste/core (JavaScript) 15.3.1, React 17: `Theme.Provider` gives the components below it their theme, and may be nested.
#
# One would expect: what it does stays below it, as with every other provider of React's context.
# What happens:     it also writes rules for `html`, `body`, `*` and `:root` into the document's head, with sizes, a white background and
#                   33 fonts of the vendor's CDN; they stay until the provider is unmounted.
# What it costs:    a widget that mounts one deep inside a page of others (a Flex plugin is such a widget) restyles the whole page: the
#                   background of a dark page turns white, its base font size changes.
# What to do:       where the page is not one's own, give the theme's object to emotion's ThemeProvider, which only passes it down.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts @twilio-paste/core@15.3.1 react@17.0.2 react-dom@17.0.2 jsdom@26.1.0
cat >run.cjs <<'JAVASCRIPT'
const { JSDOM } = require("jsdom");
const page = "<style>body { background: black; font-size: 16px }</style><p>somebody else's page</p><div id='widget'></div>";
const { window } = new JSDOM(page, { pretendToBeVisual: true });
for (const name of ["document", "HTMLElement", "Element", "Node", "getComputedStyle", "requestAnimationFrame", "cancelAnimationFrame"]) {
  globalThis[name] = window[name];
}
globalThis.window = window;
Object.defineProperty(globalThis, "navigator", { value: window.navigator, configurable: true });
const React = require("react");
const ReactDOM = require("react-dom");
const { Theme } = require("@twilio-paste/core/theme");
const { version } = require("@twilio-paste/core/package.json");

const widget = document.getElementById("widget");
const body = () => {
  const { backgroundColor, fontSize, margin } = window.getComputedStyle(document.body);
  return { backgroundColor, fontSize, margin };
};
const before = body();
ReactDOM.render(React.createElement(Theme.Provider, { theme: "default" }, "a widget"), widget);
const rules = [...document.querySelectorAll("style")].flatMap(({ sheet }) => [...sheet.cssRules]);
const outside = rules.filter(({ selectorText }) => selectorText && !selectorText.split(",").every((one) => one.includes(".")));
const selectors = outside.map(({ selectorText }) => selectorText).filter((one, at) => at > 0); // the first is the page's own
const fonts = rules.filter(({ cssText }) => cssText.startsWith("@font-face")).length;
const after = body();
ReactDOM.unmountComponentAtNode(widget);
const left = body();
console.log("@twilio-paste/core", version, "- Theme.Provider around the text of one widget:");
console.log("rules for what is not below it:", selectors.join(" | "));
console.log("fonts declared:", fonts);
console.log("body before:   ", JSON.stringify(before));
console.log("body with it:  ", JSON.stringify(after));
console.log("body after it: ", JSON.stringify(left));
const changed = before.backgroundColor !== after.backgroundColor && before.fontSize !== after.fontSize;
const asBefore = JSON.stringify(left) === JSON.stringify(before);
const asTold = ["html", "body", ":root"].every((one) => selectors.includes(one)) && fonts > 0 && changed && asBefore;
console.log(asTold ? "as told" : "NOT AS TOLD: the behaviour has changed");
process.exit(asTold ? 0 : 1);
JAVASCRIPT
node run.cjs
