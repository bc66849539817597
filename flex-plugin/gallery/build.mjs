// Makes the gallery: the panel in every state, without Flex. node gallery/build.mjs [folder, default build/gallery] [--watch]
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { context } from 'esbuild';

import { ROOT, options } from '../scripts/bundle.mjs';

const folder = resolve(process.argv.slice(2).find((argument) => !argument.startsWith('--')) ?? resolve(ROOT, 'build/gallery'));
mkdirSync(folder, { recursive: true });
const page = readFileSync(resolve(ROOT, 'gallery/index.html'), 'utf8');
writeFileSync(resolve(folder, 'index.html'), page);
writeFileSync(resolve(folder, 'editors.html'), page.replace('gallery.js', 'editors.js'));
writeFileSync(resolve(folder, 'bench.html'), page.replace('gallery.js', 'bench.js').replace('<div id="root">', '<div id="root" class="call">'));

const made = await context({
  ...options,
  entryPoints: { gallery: 'gallery/main.tsx', bench: 'gallery/bench.tsx', editors: 'gallery/editors.ts' },
  outfile: undefined,
  outdir: folder,
  plugins: options.plugins.filter(({ name }) => name !== 'flex-globals'),
  alias: { '@twilio/flex-ui': resolve(ROOT, 'gallery/flex-ui.tsx') },
});
await made.rebuild();
if (process.argv.includes('--watch')) await made.watch();
else await made.dispose();
console.log(`${folder}/index.html`);
