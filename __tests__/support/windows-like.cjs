// Makes a process behave as on Windows, where that matters here. `npm run test:windows-like` loads it into the tests and
// into every step that they run. In CommonJS, so that any Node can load it before a bundle.
const { ChildProcess } = require('node:child_process');
const { syncBuiltinESMExports } = require('node:module');
const os = require('node:os');

// Lines end with \r\n.
Object.defineProperty(os, 'EOL', { value: '\r\n' });
syncBuiltinESMExports();

// Names of environment variables ignore case. Of two that differ only in case, a child process gets the first in
// alphabetical order (Node's documentation of child_process.spawn), which is the one in capitals.
const environment = process.env;
const sameName = (one, other) => String(one).toUpperCase() === String(other).toUpperCase();
const keyOf = (name) => Object.keys(environment).find((key) => sameName(key, name)) ?? name;
const sorted = Object.keys(environment).sort();
for (const [index, key] of sorted.entries()) {
  if (sorted.slice(0, index).some((earlier) => sameName(earlier, key))) delete environment[key];
}
process.env = new Proxy(environment, {
  get: (target, name) => Reflect.get(target, keyOf(name)),
  set: (target, name, value) => Reflect.set(target, keyOf(name), value),
  has: (target, name) => Reflect.has(target, keyOf(name)),
  deleteProperty: (target, name) => Reflect.deleteProperty(target, keyOf(name)),
  getOwnPropertyDescriptor: (target, name) => Reflect.getOwnPropertyDescriptor(target, keyOf(name)),
});

// Every signal ends a process at once, without asking it.
const { kill } = ChildProcess.prototype;
ChildProcess.prototype.kill = function (signal) {
  return kill.call(this, signal === 0 ? 0 : 'SIGKILL');
};
