// All that only `store-as` needs, as a chunk of the bundle of its own: no other step loads it.
export { Store } from '../github/store.ts';
export { rotateOverlap } from './rotate-overlap.ts';
