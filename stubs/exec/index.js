// @actions/core imports @actions/exec for platform.getDetails() alone, which this action never calls. Without the real
// one, and @actions/io below it, the bundle is a fifth smaller, and no module that starts processes is loaded.
export function getExecOutput() {
  throw new Error('@actions/exec is not part of this bundle; see stubs/exec/index.js');
}
