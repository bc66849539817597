// Runs test/**/*.test.ts(x) under Node's own runner, each bundled first: Node does not read TypeScript.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

import { build } from 'esbuild';

import { ROOT, options } from './bundle.mjs';

const wanted = process.argv.slice(2);
const found = readdirSync(join(ROOT, 'test'), { recursive: true })
  .filter((name) => /\.test\.tsx?$/.test(name))
  .filter((name) => !wanted.length || wanted.some((part) => name.includes(part)))
  .map((name) => join('test', name));
if (!found.length) {
  console.error(`no test's name has ${wanted.join(' or ')}`);
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'voiceassist-plugin-'));
try {
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  await build({
    absWorkingDir: ROOT,
    entryPoints: found,
    outdir: folder,
    outbase: ROOT,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    external: ['jsdom', 'fast-check', 'twilio-sync'],
    format: 'cjs',
    platform: 'node',
    target: 'node18',
    jsx: 'transform',
    sourcemap: 'inline',
    preserveSymlinks: true,
    logLevel: 'warning',
    alias: { '@twilio/flex-ui': join(ROOT, 'test/support/flex-ui.ts') },
    define: { ...options.define, global: 'globalThis' },
  });
  const files = found.map((name) => join(folder, relative('.', name).replace(/\.tsx?$/, '.cjs')));
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', '--test', '--test-concurrency=2', ...files], { stdio: 'inherit', cwd: ROOT });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
