// Makes the gallery: the panel in every state, without Flex. node gallery/build.mjs [folder, default build/gallery] [--watch]
import { copyFileSync, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';

import { context } from 'esbuild';

import { ROOT, options } from '../scripts/bundle.mjs';

const folder = resolve(process.argv.slice(2).find((argument) => !argument.startsWith('--')) ?? resolve(ROOT, 'build/gallery'));
mkdirSync(folder, { recursive: true });
copyFileSync(resolve(ROOT, 'gallery/index.html'), resolve(folder, 'index.html'));

const made = await context({
  ...options,
  entryPoints: ['gallery/main.tsx'],
  outfile: resolve(folder, 'gallery.js'),
  plugins: options.plugins.filter(({ name }) => name !== 'flex-globals'),
  alias: { '@twilio/flex-ui': resolve(ROOT, 'gallery/flex-ui.tsx') },
});
await made.rebuild();
if (process.argv.includes('--watch')) await made.watch();
else await made.dispose();
console.log(`${folder}/index.html`);
