import type { Service } from '../http/service.ts';

/** The control plane, whose address is the input `url`. */
export const controlPlane: Service = {
  advice: {
    unreachable: (peer) => `Check that url is right, and that this runner can reach ${peer}.`,
    unreadable:
      'This is not a Run:ai API response: check url, and whether a proxy or a login page is in front of the control plane.',
    unavailable:
      'The control plane, or a gateway in front of it, could not handle the request: check its status, then run the job again.',
    redirected: (origin) =>
      origin ? `If ${origin} is your control plane, use it as url.` : 'Check url, including its path.',
  },
};
