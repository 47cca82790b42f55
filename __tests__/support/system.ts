/**
 * Whether this is Windows, or a system that `npm run test:windows-like` makes look like it: lines end with `\r\n`,
 * names of environment variables ignore case, and a signal ends a process without giving it a chance to react.
 */
export const onWindows = process.platform === 'win32' || Boolean(process.env['STEP_PRELOAD']);
