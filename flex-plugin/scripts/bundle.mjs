// How sources become one classic script for Flex: what Flex gives as globals, what the plugin's loader wants defined.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const PACKAGE = JSON.parse(readFileSync(resolve(ROOT, 'package.json'), 'utf8'));
export const NAME = PACKAGE.name;

const FLEX = `((window.Twilio.FlexProxy && window.Twilio.FlexProxy[${JSON.stringify(NAME)}]) || window.Twilio.Flex)`;
const GLOBALS = {
  react: 'window.React',
  'react-dom': 'window.ReactDOM',
  redux: 'window.Redux',
  'react-redux': 'window.ReactRedux',
  '@twilio/flex-ui': FLEX,
};

/** These come from the Flex page, which has them already. */
export const flexGlobals = {
  name: 'flex-globals',
  setup(build) {
    const filter = new RegExp(`^(${Object.keys(GLOBALS).join('|')})$`);
    build.onResolve({ filter }, (found) => ({ path: found.path, namespace: 'flex-globals' }));
    build.onLoad({ filter: /.*/, namespace: 'flex-globals' }, (found) => ({ contents: `module.exports = ${GLOBALS[found.path]}`, loader: 'js' }));
  },
};

/** Every browser that Flex runs in has what core-js would fill in. */
export const withoutPolyfills = {
  name: 'without-polyfills',
  setup(build) {
    build.onResolve({ filter: /^core-js\// }, (found) => ({ path: found.path, namespace: 'nothing' }));
    build.onLoad({ filter: /.*/, namespace: 'nothing' }, () => ({ contents: '', loader: 'js' }));
  },
};

const version = (name) => PACKAGE.dependencies[name];

export const options = {
  absWorkingDir: ROOT,
  entryPoints: ['src/index.ts'],
  outfile: `build/${NAME}.js`,
  bundle: true,
  minify: true,
  keepNames: false,
  sourcemap: 'external',
  sourcesContent: true,
  metafile: true,
  format: 'iife',
  platform: 'browser',
  target: 'es2020',
  jsx: 'transform',
  charset: 'utf8',
  legalComments: 'inline',
  preserveSymlinks: true,
  logLevel: 'warning',
  plugins: [flexGlobals, withoutPolyfills],
  define: {
    'process.env.NODE_ENV': '"production"',
    'process.env.FLEX_APP_FUNCTIONS_URL': JSON.stringify(process.env.FLEX_APP_FUNCTIONS_URL ?? ''), // as flex-plugin-scripts does
    global: 'window',
    __FPB_PLUGIN_UNIQUE_NAME: JSON.stringify(NAME),
    __FPB_PLUGIN_VERSION: JSON.stringify(process.env.VOICEASSIST_VERSION ?? PACKAGE.version), // what the tag says, if somebody knows it
    __FPB_FLEX_PLUGIN_SCRIPTS_VERSION: JSON.stringify(version('@twilio/flex-plugin')),
    __FPB_FLEX_PLUGIN_VERSION: JSON.stringify(version('@twilio/flex-plugin')),
    __FPB_FLEX_UI_VERSION: JSON.stringify(PACKAGE.flexUi),
    __FPB_REACT_VERSION: JSON.stringify(version('react')),
    __FPB_REACT_DOM_VERSION: JSON.stringify(version('react-dom')),
  },
};
