/** Every way in which a run can fail. docs/troubleshooting.md has a section for each, under this name. */
export const errorCodes = [
  'inputs',
  'runner',
  'credentials',
  'token-rejected',
  'forbidden',
  'not-run-ai',
  'conflict',
  'rejected',
  'redirect',
  'unreadable',
  'blocked',
  'certificate',
  'proxy',
  'unreachable',
  'unavailable',
  'not-found',
  'single-sign-on',
  'access-rule',
  'oidc',
  'store',
  'unverified',
  'interrupted',
  'internal',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

export interface ErrorDetails {
  /** The request that failed, as `POST https://console.example.com/api/v1/apps`: no query, no header, no body. */
  operation?: string | undefined;
  /** The HTTP status of the last answer, if there was one. */
  status?: number | undefined;
  /** How often the request was sent. */
  attempts?: number | undefined;
  /** What may have happened despite the error, in full sentences. */
  warning?: string | undefined;
  /** What the reader should do next, in full sentences. */
  hint?: string | undefined;
  cause?: unknown;
}

type Changes = ErrorDetails & { code?: ErrorCode; message?: string };

/** The only error that this action throws on purpose. Its message never contains a secret, a header or a body. */
export class RunaiError extends Error {
  override readonly name = 'RunaiError';
  readonly code: ErrorCode;
  readonly operation: string | undefined;
  readonly status: number | undefined;
  readonly attempts: number | undefined;
  readonly warning: string | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.code = code;
    this.operation = details.operation;
    this.status = details.status;
    this.attempts = details.attempts;
    this.warning = details.warning;
    this.hint = details.hint;
  }

  /** The same error with other details, or with another code or message. */
  with({ code = this.code, message = this.message, ...details }: Changes): RunaiError {
    const { operation, status, attempts, warning, hint, cause } = this;
    return new RunaiError(code, message, { operation, status, attempts, warning, hint, cause, ...details });
  }

  /** The same error with one more sentence about what may have happened despite the error. */
  warn(sentence: string): RunaiError {
    if (this.warning?.includes(sentence)) return this;
    return this.with({ warning: [this.warning, sentence].filter(Boolean).join(' ') });
  }

  /** One paragraph: the request, what happened to it, how often it was tried, what to do next. */
  describe(): string {
    const times = this.attempts === 1 ? '1 attempt' : `${this.attempts} attempts`;
    const attempts = this.attempts === undefined ? '' : ` (${times})`;
    const subject = this.operation ? `${this.operation} ` : '';
    const advice = [this.warning, this.hint].filter(Boolean).map((sentence) => ` ${sentence}`);
    return `${subject}${this.message.replace(/[.?]$/, '')}${attempts}.${advice.join('')}`;
  }
}
