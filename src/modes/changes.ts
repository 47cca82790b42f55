// The modes that change something at the control plane, as a chunk of the bundle of their own: `token` does not load it.
export { createApp } from './create-app.ts';
export { createUser } from './create-user.ts';
export { deleteApp } from './delete-app.ts';
export { rotateApp } from './rotate-app.ts';
