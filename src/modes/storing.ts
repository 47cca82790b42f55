// Everything that only `store-as` needs, as a separate chunk of the bundle: no other step loads it.
export { Store } from '../github/store.ts';
export { rotateOverlap } from './rotate-overlap.ts';
