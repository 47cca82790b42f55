import type { RequestFor } from '../inputs.ts';
import type { Context } from './context.ts';
import { isoTime, requestToken } from './sign-in.ts';

/** Exchanges credentials for an access token. */
export async function token(request: RequestFor<'token'>, context: Context): Promise<void> {
  const issued = await requestToken(context, request.credentials);
  context.publish({
    secrets: {
      'access-token': issued.accessToken,
      'id-token': issued.idToken,
      'refresh-token': issued.refreshToken,
      'external-token': issued.externalToken,
    },
    values: {
      'expires-in': issued.expiresIn,
      'expires-at': issued.expiresAt === undefined ? undefined : isoTime(issued.expiresAt),
    },
  });
}
