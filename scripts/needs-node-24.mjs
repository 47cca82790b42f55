// Loaded before any TypeScript, which older versions of Node cannot run: says what is missing, and ends the process.
if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(
    `Node 24 or later is needed here, and this is ${process.version}: install it (npm ci installs one on Linux, and on Windows on x64).`,
  );
  process.exit(1);
}
