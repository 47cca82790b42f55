// @actions/http-client imports undici for getAgentDispatcher() alone, which this action never calls. The real package
// would be nine tenths of the bundle, parsed at the start of every step; package.json's `overrides` puts this instead.
export class ProxyAgent {
  constructor() {
    throw new Error('undici is not part of this bundle; see stubs/undici/index.js');
  }
}
