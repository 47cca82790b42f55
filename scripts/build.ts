// Compiles src/ and bundles it: node scripts/build.ts [--out dist]
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

interface Bundle {
  code: string;
  assets: Record<string, { source: string | Buffer }>;
}

interface BundleOptions {
  esm: boolean;
  externals: Record<string, string>;
  minify: boolean;
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
  minify: true,
  license: 'licenses.txt',
  quiet: true,
};
const { code, assets } = await bundle(join(root, 'build/index.js'), options);

rmSync(values.out, { recursive: true, force: true });
mkdirSync(values.out, { recursive: true });
const files = { 'index.js': code, 'package.json': '{ "type": "commonjs" }\n' };
for (const [name, text] of Object.entries(files)) writeFileSync(join(values.out, name), text);
for (const [name, { source }] of Object.entries(assets)) writeFileSync(join(values.out, name), source);
console.log(`${join(values.out, 'index.js')}: ${(code.length / 1000).toFixed(1)} kB`);
