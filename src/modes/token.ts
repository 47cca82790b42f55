import { RunaiError } from '../errors.ts';
import { isoTime } from '../http/clock.ts';
import type { InputsFor } from '../inputs.ts';
import type { Context } from './context.ts';
import { signIn } from './sign-in.ts';

/** Exchanges credentials for an access token. */
export async function token({ credentials }: InputsFor<'token'>, context: Context): Promise<void> {
  // The inputs offer no access token in this mode.
  if (credentials.by === 'access-token')
    throw new RunaiError('internal', 'an access token is not exchanged for another');
  const issued = await signIn(context, credentials);
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
