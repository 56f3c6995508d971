// Requests to the service: its refusals as errors, and the retries of a refresh.
import type { Environment } from "./environment.js";

/** A refusal of the service, or no answer at all. */
export class CountersignError extends Error {
  override name = "CountersignError";
  constructor(
    /** The HTTP status; 0 without an answer. */
    readonly status: number,
    /** The stable code, such as `INVALID_EMAIL_OR_PASSWORD`; `NETWORK_ERROR` without an answer. */
    readonly code: string,
    message: string,
    /** What is wrong with which field. */
    readonly errors: Record<string, string[]> = {},
    /** Seconds to wait before the next attempt, if the service named them. */
    readonly retryAfter: number | null = null,
    /** Names this request in the service's log. */
    readonly requestId: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The password was right, and the sign-in waits for `secondStep`: for ten minutes and five codes. */
export class SecondStepRequired extends CountersignError {
  constructor(
    /** By what it can be done: `totp`, a code of the authenticator app; `otp`, one of a mail; `passkey`. A recovery code takes the place of any of them. */
    readonly methods: string[],
    /** What is to be set up in this sign-in, because a policy needs it and the user has none: `totp`, `passkey`. */
    readonly enrol?: string[],
  ) {
    super(200, "SECOND_STEP_REQUIRED", "The sign-in waits for its second step");
  }
}

/** The session is too weak or its proofs are too old for what is demanded: another proof is needed first. */
export class StepUpRequired extends CountersignError {
  constructor(
    message: string,
    requestId: string | null,
    /** By what it can be done: `password`, `totp`, `passkey`, `otp`, `backup_code`, `email`. */
    readonly methods: string[],
    /** What the user has to set up first: `totp`, `passkey`. */
    readonly enrol?: string[],
  ) {
    super(403, INSUFFICIENT, message, {}, null, requestId);
  }
}

const INSUFFICIENT = "INSUFFICIENT_USER_AUTHENTICATION";

/** The longest that a refresh is waited for: the service's own rules are made for this number. */
const REFRESH_MS = 5_000;
/** A sign-in may have to wait for its turn. */
const ANSWER_MS = 30_000;
/** Before the second and the third attempt. */
const PAUSES_MS = [1_000, 2_000];
const LONGEST_PAUSE_MS = 10_000;

export class Service {
  constructor(
    private readonly base: string,
    private readonly env: Environment,
  ) {}

  /** One request; with a body it is a POST. Anything but a 2xx, and no answer, is a `CountersignError`. */
  async ask<T>(path: string, body?: object, token?: string, limit = ANSWER_MS): Promise<T> {
    let answer: Response;
    let said: Record<string, unknown>;
    try {
      answer = await this.env.fetch(this.base + path, {
        credentials: "include",
        cache: "no-store",
        signal: AbortSignal.timeout(limit),
        ...(body ? { method: "POST", body: JSON.stringify(body) } : {}),
        headers: { ...(body ? { "content-type": "application/json" } : {}), ...(token ? { authorization: `Bearer ${token}` } : {}) },
      });
      // An answer that is cut off is no answer either.
      const text = await answer.text();
      said = answer.ok || text.startsWith("{") ? JSON.parse(text) : {};
    } catch (cause) {
      throw new CountersignError(0, "NETWORK_ERROR", "The service did not answer", {}, null, null, { cause });
    }
    if (answer.ok) return said as T;
    const message = typeof said.message === "string" ? said.message : answer.statusText;
    const requestId = answer.headers.get("x-request-id");
    if (said.code === INSUFFICIENT && said.methods) throw new StepUpRequired(message, requestId, said.methods as string[], said.enrol as string[]);
    throw new CountersignError(
      answer.status,
      typeof said.code === "string" ? said.code : "UNKNOWN",
      message,
      (said.errors ?? {}) as Record<string, string[]>,
      Number(answer.headers.get("retry-after")) || null,
      requestId,
    );
  }

  /** `POST /refresh`, three times if need be: the same token and ticket again, which the service forgives. `null` if this browser has no refresh token. */
  async refresh<T>(attempt: string): Promise<T | null> {
    for (let tried = 0; ; tried++) {
      try {
        return await this.ask<T | null>("/refresh", { optional: true, attempt }, undefined, REFRESH_MS);
      } catch (error) {
        const pause = PAUSES_MS[tried];
        if (!pause || !isPassing(error)) throw error;
        await this.pause(Math.min(Math.max(pause, 1_000 * (error.retryAfter ?? 0)), LONGEST_PAUSE_MS));
      }
    }
  }

  /** What a developer can do about a refresh that failed. Any page may read the keys: where they can be read, it is this page that is refused. */
  async explain(error: CountersignError): Promise<string> {
    const { origin } = this.env;
    const reads = () => this.env.fetch(`${this.base}/jwks`, { signal: AbortSignal.timeout(REFRESH_MS) }).then((answer) => answer.ok, () => false);
    if (error.code === "INVALID_ORIGIN" || (error.status === 0 && (await reads())))
      return `${this.base} refuses requests of this page. Add "${origin}" to server.trusted_origins.`;
    if (error.status === 0 || error.status === 404) return `There is no answer from ${this.base}/refresh. Is the service running, and are baseURL and basePath right?`;
    return `${this.base}/refresh answers ${error.status} ${error.code}: ${error.message}`;
  }

  /** Waits, but not longer than until the network is back. */
  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.env.window?.removeEventListener("online", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.env.window?.addEventListener("online", end);
    });
  }
}

/** Whether another attempt may go better. */
export const isPassing = (error: unknown): error is CountersignError =>
  error instanceof CountersignError && (error.status === 0 || error.status === 408 || error.status === 429 || error.status >= 500);
