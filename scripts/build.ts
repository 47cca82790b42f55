// Compiles src/ and bundles it: node scripts/build.ts [--out dist]
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
  // The toolkit imports these for methods that this action never calls: another dispatcher, another way through a
  // proxy, the details of the platform. Undici alone is nine tenths of the bundle, and takes 50 ms to load in every
  // step. An external must be a module that exists: this one does, and is loaded anyway.
  externals: { undici: 'events', tunnel: 'events', '@actions/exec': 'events' },
  quiet: true,
};
const { code, assets } = await bundle(join(root, 'build/index.js'), options);
const files: Record<string, string> = { 'index.js': code, 'package.json': '{ "type": "commonjs" }\n' };
for (const [name, { source }] of Object.entries(assets)) files[name] = source.toString();
files['licenses.txt'] = licenses();

rmSync(values.out, { recursive: true, force: true });
mkdirSync(values.out, { recursive: true });
for (const [name, text] of Object.entries(files)) {
  const content = name.endsWith('.js') ? await minified(text) : text;
  writeFileSync(join(values.out, name), content);
  if (name.endsWith('.js')) console.log(`${join(values.out, name)}: ${(content.length / 1000).toFixed(1)} kB`);
}

/** The licences of all packages in the bundle. Does not use ncc's own option, which only keeps those of one chunk. */
function licenses(): string {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const texts = Object.keys(dependencies).map((name) => {
    const folder = join(root, 'node_modules', name);
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry)) ?? 'LICENSE';
    return `${name}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
  });
  return texts.join('\n');
}

/**
 * ncc's own minifying only renames; this also removes code that is never called, a fifth of the total. With it goes the
 * toolkit's summary, whose module would load fs.promises at every start: making one and reading a property change
 * nothing. In ASCII, since one character beyond Latin-1 would make V8 keep all of the source in two bytes a character.
 */
async function minified(text: string): Promise<string> {
  const { code = '' } = await minify(text, {
    ecma: 2020,
    compress: { passes: 3, pure_getters: true, pure_funcs: ['Summary'] },
    format: { ascii_only: true, comments: false },
  });
  return code;
}
