// Loaded into a process before anything else: writes down, at the end, how much memory the process had at its peak.
const { readFileSync, writeFileSync } = require('node:fs');

// On Linux, ru_maxrss begins with the size of the process that started this one; VmHWM is the process's own.
function peak() {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
}

process.on('exit', () => {
  if (process.env.PEAK_MEMORY) writeFileSync(process.env.PEAK_MEMORY, String(peak()));
});
