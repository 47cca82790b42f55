// The modes that change something in the control plane, as a separate chunk of the bundle: `token` does not load it.
export { createApp } from './create-app.ts';
export { createUser } from './create-user.ts';
export { deleteApp } from './delete-app.ts';
export { rotateApp } from './rotate-app.ts';
