// Compiles src/ and bundles it: node scripts/build.ts [--out dist]
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { minify } from 'terser';

interface Bundle {
  code: string;
  assets: Record<string, { source: string | Buffer }>;
}

interface BundleOptions {
  esm: boolean;
  externals: Record<string, string>;
  license: string;
  quiet: boolean;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const { values } = parseArgs({ options: { out: { type: 'string', default: join(root, 'dist') } } });

execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'src')], {
  stdio: 'inherit',
});
const bundle: (entry: string, options: BundleOptions) => Promise<Bundle> = require('@vercel/ncc');
const options = {
  // CommonJS starts faster than an ES module: `npm run bench` shows the whole process.
  esm: false,
  // The tunnel package requires assert without ever using it; loading it would cost 2 MiB and 2 ms in every step.
  externals: { assert: 'events' },
  license: 'licenses.txt',
  quiet: true,
};
const { code: whole, assets } = await bundle(join(root, 'build/index.js'), options);
// ncc's own minifying renames only; this also leaves out what is never called, a fifth of it all. With it goes the
// toolkit's summary, whose module would load fs.promises at every start: making one and reading a property change nothing.
// In ASCII, since one character beyond Latin-1 would make V8 keep all of the source in two bytes a character.
const { code = '' } = await minify(whole, {
  ecma: 2020,
  compress: { passes: 3, pure_getters: true, pure_funcs: ['Summary'] },
  format: { ascii_only: true, comments: false },
});

rmSync(values.out, { recursive: true, force: true });
mkdirSync(values.out, { recursive: true });
const files = { 'index.js': code, 'package.json': '{ "type": "commonjs" }\n' };
for (const [name, text] of Object.entries(files)) writeFileSync(join(values.out, name), text);
for (const [name, { source }] of Object.entries(assets)) writeFileSync(join(values.out, name), source);
console.log(`${join(values.out, 'index.js')}: ${(code.length / 1000).toFixed(1)} kB`);
