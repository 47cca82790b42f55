/** Every way in which a run can fail. README.md's troubleshooting table has one row for each. */
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
  'certificate',
  'proxy',
  'unreachable',
  'unavailable',
  'not-found',
  'single-sign-on',
  'access-rule',
  'oidc',
  'interrupted',
  'internal',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

export interface ErrorDetails {
  /** The request that failed, as `POST https://console.example.com/api/v1/apps`: no query, no header, no body. */
  operation?: string | undefined;
  /** The HTTP status of the last answer, when there was one. */
  status?: number | undefined;
  /** How often the request was sent. */
  attempts?: number | undefined;
  /** What may have happened all the same, in a whole sentence. */
  warning?: string | undefined;
  /** What the reader should do next: whole sentences. */
  hint?: string | undefined;
  cause?: unknown;
}

type Changes = ErrorDetails & { code?: ErrorCode; message?: string };

/** The only error that this action makes on purpose. Its message never holds a secret, a header or a body. */
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

  /** One paragraph: the request, what happened to it, how often it was tried, what to do next. */
  describe(): string {
    const attempts =
      this.attempts === undefined ? '' : ` (${this.attempts} ${this.attempts === 1 ? 'attempt' : 'attempts'})`;
    const subject = this.operation ? `${this.operation} ` : '';
    const advice = [this.warning, this.hint].filter(Boolean).map((sentence) => ` ${sentence}`);
    return `${subject}${this.message.replace(/[.?]$/, '')}${attempts}.${advice.join('')}`;
  }
}
