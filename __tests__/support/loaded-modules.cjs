// Writes down which files a process has loaded by its end, to the file that LOADED_MODULES names.
const { writeFileSync } = require('node:fs');

process.on('exit', () => writeFileSync(process.env.LOADED_MODULES, Object.keys(require.cache).join('\n')));
