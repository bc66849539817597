// node bundle.mjs NODE_MODULES ENTRY OUTFILE
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [modules, entry, outfile] = process.argv.slice(2).map((path) => resolve(path));
const { build } = createRequire(join(modules, "here.js"))("esbuild");
await build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  minify: true,
  format: "iife",
  platform: "browser",
  nodePaths: [modules],
  define: { "process.env.NODE_ENV": '"production"', global: "window" },
  alias: { path: join(modules, "path-browserify/index.js") }, // mime-types asks for it
  loader: { ".woff": "dataurl", ".png": "dataurl" },
  logLevel: "warning",
});
