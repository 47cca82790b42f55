// Loaded before anything in TypeScript, which an older Node does not know: it says what is missing, and ends the process.
if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(
    `Node 24 or later is needed here, and this is ${process.version}: install it (npm ci brings one for Linux, and for Windows on x64).`,
  );
  process.exit(1);
}
