// Makes build/<name>.js and build/<name>.js.map: exactly what is uploaded to Twilio. Fails if they are larger than allowed.
import { readFileSync, rmSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

import { NAME, ROOT, options } from './bundle.mjs';

const MAX_BYTES = 10_000_000; // of each file, Twilio's bound
const MAX_GZIP_BYTES = 250_000; // ours: what an agent's browser has to fetch at each start of Flex

rmSync(resolve(ROOT, 'build'), { recursive: true, force: true });
const result = await build(options);

const script = resolve(ROOT, `build/${NAME}.js`);
const map = `${script}.map`;
const gzip = gzipSync(readFileSync(script)).length;
const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
console.log(`build/${NAME}.js ${kilobytes(statSync(script).size)}, ${kilobytes(gzip)} gzip; .map ${kilobytes(statSync(map).size)}`);

if (process.argv.includes('--parts')) {
  const parts = new Map();
  const bundled = Object.values(result.metafile.outputs).find((output) => output.entryPoint);
  for (const [path, { bytesInOutput }] of Object.entries(bundled.inputs)) {
    const found = [...path.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)].pop();
    const part = found ? found[1] : 'the plugin itself';
    parts.set(part, (parts.get(part) ?? 0) + bytesInOutput);
  }
  for (const [part, bytes] of [...parts].sort((a, b) => b[1] - a[1]).slice(0, 25)) console.log(`  ${kilobytes(bytes).padStart(10)}  ${part}`);
}

const broken = [];
for (const path of [script, map]) if (statSync(path).size >= MAX_BYTES) broken.push(`${path} is over ${kilobytes(MAX_BYTES)}`);
if (gzip > MAX_GZIP_BYTES) broken.push(`${script} is over ${kilobytes(MAX_GZIP_BYTES)} gzip; see --parts`);
for (const line of broken) console.error(line);
process.exitCode = broken.length ? 1 : 0;
