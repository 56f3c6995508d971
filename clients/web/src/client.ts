// Who is signed in, and with which access token. One refresh a browser; signed out only when the service says so.
import { type Demand, demandOf } from "./challenge.js";
import type { Environment } from "./environment.js";
import { CountersignError, isPassing, SecondStepRequired, Service, StepUpRequired } from "./service.js";
import { Tabs } from "./tabs.js";
import { Tickets } from "./tickets.js";
import type { ChangePassword, Options, Proven, SecondStep, Session, SignIn, SignUp, State, StepUp, StepUpNeeded, Token, User } from "./types.js";

/** The members of a sign-in's or a refresh's answer that are used here. */
interface Granted {
  accessToken?: string;
  expiresIn?: number;
  session?: Session;
  /** Whether another refresh token has come. */
  rotated?: boolean;
  /** In place of all else: no session has begun, and the one before has ended. */
  twoFactorMethods?: string[];
  enrol?: string[];
  user: Omit<User, "roles" | "permissions">;
}

/** The claims that are read here; nothing is trusted to them. */
interface Claims {
  sid?: string;
  roles?: string[];
  permissions?: string[];
}

/** Of its lifetime a token is used up to here, … */
const USED_UP = 0.9;
/** … and renewed in time from here on by those who show something, not all at once. */
const RENEWED_FROM = 0.75;
/** After three attempts in vain: until the next three, doubled each time. */
const FIRST_WAIT_MS = 3_000;
const LONGEST_WAIT_MS = 60_000;
/** The shortest time between two checks whether another user has signed in in this browser, in milliseconds. */
const LOOK_AGAIN_MS = 10_000;
/** The shortest time between two checks whether the session has ended elsewhere, when the page becomes visible, in milliseconds. */
const STILL_THERE_MS = 30_000;
/** A request is not kept waiting for a new token for longer than this while the old one is good. */
const PATIENCE_MS = 1_000;
/** A page that has come back sooner than this from the page of the step-up was sent back, not by a user: it does not go there again. */
const ROUND_MS = 10_000;

const LOADING: State = Object.freeze({ status: "loading", user: null, session: null, error: null, hint: null });
const SIGNED_OUT: State = Object.freeze({ status: "signedOut", user: null, session: null, error: null, hint: null });

export class Client {
  private readonly service: Service;
  private readonly tabs: Tabs;
  private readonly tickets: Tickets;
  private readonly origins: Set<string> | undefined;
  /** What an address without an origin is relative to. */
  private readonly base: string;
  private readonly listeners = new Set<(state: State) => void>();
  /** Sessions that are over: a sister tab's late word brings none of them back. */
  private readonly over = new Set<string>();
  private state: State = LOADING;
  private token: Token | undefined;
  /** `ticks()` when the token was asked for. */
  private heldSince = 0;
  private renewing: Promise<Token | undefined> | undefined;
  /** Rises with every other session: an answer to a question from before it says nothing any more. */
  private epoch = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private wait = FIRST_WAIT_MS;
  private lookedAt = -Infinity;
  /** After a failure: the earliest time of the next attempt, while the token is valid. */
  private notBefore = -Infinity;
  /** A new token that a backend refused all the same: no other would please it more. */
  private unloved: string | undefined;
  private started = false;
  /** Step-ups under way or waiting for their turn, by what is demanded. */
  private readonly steps = new Map<string, Promise<string | null>>();
  private lastStep: Promise<unknown> = Promise.resolve();
  /** Counts the step-ups that came to nothing: what was sent before one of them does not ask the user again. */
  private declined = 0;
  private readonly stepUpPage: string;
  private readonly leftAt: string;

  constructor(
    private readonly options: Options,
    private readonly env: Environment,
  ) {
    const root = options.baseURL.replace(/\/+$/, "");
    const base = root + (options.basePath ?? "/api/auth");
    this.stepUpPage = `${root}/auth/step-up`;
    this.base = typeof location === "undefined" ? base : location.href;
    this.service = new Service(base, env);
    this.origins = options.origins && new Set(options.origins.map((origin) => new URL(origin).origin));
    // However an application writes the address: two names would be two locks and two tickets for one cookie.
    const name = `countersign:${this.env.window ? new URL(base, this.base).href : base}`;
    this.leftAt = `${name}:left`;
    this.tickets = new Tickets(name, env);
    this.tabs = new Tabs(name, env, {
      offer: () => (this.token && this.share() < RENEWED_FROM ? this.token : undefined),
      age: (token) => this.age(token),
      take: (token, age) => this.take(token, age),
      out: (session) => this.hearOut(session),
    });
  }

  // ---- for applications

  /** Creates an account; `signedIn` is false where the address must be verified first. */
  readonly signUp = async (form: SignUp): Promise<{ user: User; signedIn: boolean }> => {
    const granted = await this.enter("/sign-up/email", form);
    return { user: userOf(granted), signedIn: granted.accessToken !== undefined };
  };

  /** Signs in, in all tabs. Rejects with `SecondStepRequired` where a code is asked for too; then this browser is signed out until `secondStep`. */
  readonly signIn = async (form: SignIn): Promise<User> => userOf(await this.enter("/sign-in/email", form));

  /** The second step of a sign-in, which may have begun in another tab; in a session the proof of the factor again, by which a new session replaces it. */
  readonly secondStep = async ({ code, emailCode, recoveryCode, trustDevice }: SecondStep): Promise<User> => {
    const [way, given] = recoveryCode ? ["backup-code", recoveryCode] : emailCode ? ["otp", emailCode] : ["totp", code];
    return userOf(await this.enter(`/two-factor/verify-${way}`, { code: given, trustDevice }, true));
  };

  /**
   * Proves what a backend or the service demands of this session: with a password or a code a new session replaces it, in all tabs. Rejects with
   * `StepUpRequired` where the session does not suffice, which without a proof is the answer to the question whether it does.
   */
  readonly stepUp = async ({ acrValues, maxAge, password, ...step }: StepUp = {}): Promise<Proven> => {
    if (password) await this.enter("/step-up/password", { password }, true);
    else if (step.code || step.emailCode || step.recoveryCode) await this.secondStep(step);
    return this.prove({ acrValues, maxAge });
  };

  /** Changes the password; the sessions of all other devices end, and this browser goes on in a new one. */
  readonly changePassword = async (form: ChangePassword): Promise<void> => {
    await this.enter("/change-password", { ...form, revokeOtherSessions: true });
  };

  /** Any other request to the service, by its path: with a body a POST, without one a GET. A refusal is a `CountersignError`. */
  readonly call = <T = unknown>(path: string, body?: object): Promise<T> => this.service.ask<T>(path, body);

  /** Ends this session in all tabs; with `everywhere` those of all devices. If the service cannot be reached nothing is ended, and that is an error. */
  readonly signOut = (options: { everywhere?: boolean } = {}): Promise<void> => {
    this.start();
    return this.tabs.alone(async () => {
      let failure: unknown;
      if (options.everywhere) {
        // A session that is over already ends no others: that is told, and this browser is signed out all the same.
        await this.service.ask("/revoke-sessions", {}).catch((error) => {
          if (!isUnauthorized(error)) throw error;
          failure = error;
        });
      }
      try {
        await this.service.ask("/sign-out", {});
      } catch (error) {
        // With `everywhere` the sessions have ended; only invalid cookies are left.
        if (!options.everywhere) throw error;
      }
      this.end();
      if (failure) throw failure;
    });
  };

  /** Who is signed in; with `fresh` the service is asked, otherwise what the last refresh told is good enough. */
  readonly session = async (options: { fresh?: boolean } = {}): Promise<{ user: User; session: Session } | null> => {
    if (options.fresh && this.env.window) await this.renew(this.token?.value ?? "");
    else await this.getAccessToken();
    const { user, session } = this.state;
    return user && session ? { user, session } : null;
  };

  /** Returns a token that is valid now; `null` without a session. Fails only if there is none and the service cannot be asked. */
  readonly getAccessToken = async (): Promise<string | null> => {
    this.start();
    if (!this.env.window || this.state.status === "signedOut") return null;
    const held = this.token;
    if (!held || this.share() >= 1) return (await this.renew())?.value ?? null;
    if (this.share() < USED_UP || this.env.ticks() < this.notBefore) return held.value;
    // It is good for a while yet: what is slow or fails now is tried again by the timer.
    const renewed = this.renew().then((token) => token?.value ?? null, () => held.value);
    return Promise.race([renewed, new Promise<string>((resolve) => setTimeout(() => resolve(held.value), PATIENCE_MS))]);
  };

  /** Another token than the one that a backend refused; `null` if the session is over. For interceptors. */
  readonly replace = async (refused: string): Promise<string | null> => {
    if (!this.env.window || this.state.status === "signedOut" || refused === this.unloved) return null;
    return (await this.renew(refused))?.value ?? null;
  };

  /** A backend refused a token that had just been replaced: it is not asked again with yet another. */
  readonly giveUp = (refused: string): void => {
    this.unloved = refused;
  };

  /** Whether the token may be sent to this address. */
  readonly mayGo = (url: string): boolean => !this.origins || this.origins.has(new URL(url, this.base).origin);

  /** One request, from its first sending on: gives the token to send it with again, or `null` where its answer stands. At most one refresh and one step-up. For interceptors. */
  readonly attempt = (): ((refused: string, status: number, challenge?: string | null) => Promise<string | null>) => {
    const { declined } = this;
    let [refreshed, steppedUp] = [false, false];
    return async (refused, status, challenge) => {
      if (status !== 401 && status !== 403) return null;
      const demand = demandOf(challenge);
      if (demand) {
        // Another token of the same session would be refused as well.
        if (steppedUp) return null;
        steppedUp = true;
        return this.step(demand, declined);
      }
      if (status !== 401) return null;
      if (refreshed) {
        this.giveUp(refused);
        return null;
      }
      refreshed = true;
      return this.replace(refused).catch(() => null);
    };
  };

  /** As the browser's, with the access token; a 401 is answered by one refresh, a demand for another proof by one step-up, and the request is sent again. */
  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    if (request.headers.has("authorization") || !this.mayGo(request.url)) return this.env.fetch(request);
    const again = this.attempt();
    let token = await this.getAccessToken();
    if (!token) return this.env.fetch(request);
    for (let next = request; ; ) {
      // A body can be read once: a stream is kept until it is known that it need not be sent again.
      const spare = next.body ? next.clone() : next;
      const answer = await this.send(next, token);
      token = await again(token, answer.status, answer.headers.get("www-authenticate"));
      if (!token || request.signal.aborted) {
        if (spare !== next) void spare.body?.cancel();
        return answer;
      }
      void answer.body?.cancel();
      next = spare;
    }
  };

  /** Calls at once and after every change; returns how to stop. Fits `useSyncExternalStore` and Svelte's stores. */
  readonly subscribe = (listener: (state: State) => void): (() => void) => {
    this.start();
    this.listeners.add(listener);
    if (this.env.window && this.state.status === "loading") void this.getAccessToken().catch(() => {});
    listener(this.state);
    return () => void this.listeners.delete(listener);
  };

  /** What is known now. */
  readonly getSnapshot = (): State => this.state;

  /** What a server renders: the session is not known yet. */
  readonly getServerSnapshot = (): State => LOADING;

  /** Stops everything, for tests and for modules that are replaced while they run. */
  readonly close = (): void => {
    this.started = false;
    clearTimeout(this.timer);
    this.listen("removeEventListener");
    this.tabs.part();
  };

  // ---- who is here

  /** A new session in place of the one before. What is good `once` is not sent again after a lost answer: the cookies tell what became of it. */
  private async enter(path: string, form: object, once = false): Promise<Granted> {
    this.start();
    return this.tabs.alone(async () => {
      const asked = this.clocks();
      const { epoch, token } = this;
      // How the session is refreshed; where an older one goes on, it is known already.
      const refreshRetry = this.tickets.isPossible() ? "ticket" : "window";
      let granted: Granted;
      try {
        granted = await this.service.ask<Granted>(path, { refreshRetry, ...form });
      } catch (error) {
        if (!once || (error as CountersignError).status) throw error;
        const found = await this.obtain(token?.value, epoch).catch(() => undefined);
        if (!found || found.session.id === token?.session.id) throw error;
        return { accessToken: found.value, user: found.user };
      }
      if (granted.twoFactorMethods) {
        // Another sign-in was heard of meanwhile: the service says which of the two was later.
        if (epoch === this.epoch) this.ended();
        else void this.renew(this.token?.value).catch(() => {});
        throw new SecondStepRequired(granted.twoFactorMethods, granted.enrol);
      }
      if (granted.accessToken) this.keep(granted, asked);
      return granted;
    });
  }

  /** A token that meets a backend's demand, or `null`. One step-up after the other; what several requests demand at once is done once. */
  private step(demand: Demand, declined: number): Promise<string | null> {
    const key = JSON.stringify(demand);
    let step = this.steps.get(key);
    if (!step) {
      step = this.lastStep
        .then(() => this.stepFor(demand, declined))
        .catch(() => null)
        .finally(() => this.steps.delete(key));
      this.lastStep = step;
      this.steps.set(key, step);
    }
    return step;
  }

  private async stepFor(demand: Demand, declined: number): Promise<string | null> {
    try {
      await this.prove(demand);
    } catch (error) {
      // The service says that the session is over: that is found out as always.
      if (isUnauthorized(error)) void this.renew(this.token?.value).catch(() => {});
      if (!(error instanceof StepUpRequired) || declined !== this.declined) throw error;
      const { methods, enrol } = error;
      if (!(await this.askUser({ ...demand, methods, ...(enrol && { enrol }) }))) {
        this.declined++;
        return null;
      }
      await this.prove(demand);
    }
    return this.token?.value ?? null;
  }

  /** Whether the user has given another proof. */
  private async askUser(needed: StepUpNeeded): Promise<boolean> {
    const { onStepUp } = this.options;
    if (!onStepUp) {
      this.leave(needed);
      return false;
    }
    try {
      return await onStepUp(needed);
    } catch (error) {
      this.tell(error);
      return false;
    }
  }

  /** Goes to the service's page, which leads back here. */
  private leave({ acrValues, maxAge, methods, enrol = [] }: StepUpNeeded): void {
    if (methods.length + enrol.length === 0) return;
    const { storage } = this.env;
    const now = this.env.now();
    try {
      if (Math.abs(now - Number(storage!.getItem(this.leftAt))) < ROUND_MS) return;
      storage!.setItem(this.leftAt, `${now}`);
    } catch {
      // A refused storage does not keep the user from the page.
    }
    const query = new URLSearchParams();
    if (acrValues) query.set("acr_values", acrValues);
    if (maxAge !== undefined) query.set("max_age", `${maxAge}`);
    query.set("redirect_to", this.env.address());
    this.env.leave(`${this.stepUpPage}?${query}`);
  }

  /** Asks whether the session suffices; the token of the answer says so to backends, and is the one of all tabs from now on. */
  private async prove(demand: { [K in keyof Demand]: Demand[K] | undefined }): Promise<Proven> {
    this.start();
    const asked = this.clocks();
    const held = this.token;
    const { acr, amr, authTime, ...granted } = await this.service.ask<Proven & Granted>("/step-up", demand);
    const { session, user } = this.token ?? {};
    if (session && granted.accessToken && session.id === claimsOf(granted.accessToken).sid) this.keep({ ...granted, session, user: user! }, asked);
    // Without a token that is told by a refresh; or another session has begun, such as by a proof that was given without this client.
    else if (this.env.window) await this.renew(held?.value);
    return { acr, amr, authTime };
  }

  /** Refreshes, one at a time in this tab. Returns a token other than `refused`, or `null` without a session. */
  private async renew(refused?: string): Promise<Token | undefined> {
    this.start();
    for (;;) {
      const epoch = this.epoch;
      this.renewing ??= this.tabs.alone(() => this.obtain(refused, epoch)).finally(() => (this.renewing = undefined));
      const token = await this.renewing;
      // What was under way may not have known that this one is no good.
      if (!token || token.value !== refused) return token;
    }
  }

  /** Alone: a token that came while this tab waited, another tab's, or a new one. */
  private async obtain(refused: string | undefined, before: number): Promise<Token | undefined> {
    const willDo = (token: Token) => token.value !== refused && this.share(token) < RENEWED_FROM && !this.over.has(token.session.id);
    if (this.token && willDo(this.token)) return this.token;
    if (before !== this.epoch && this.state.status === "signedOut") return undefined;
    if ((await this.tabs.ask(willDo)) && this.token?.value !== refused) return this.token;
    const epoch = this.epoch;
    const asked = this.clocks();
    const ticket = this.tickets.take();
    try {
      const granted = await this.service.refresh<Granted>(ticket);
      if (!granted || granted.rotated) this.tickets.drop(ticket);
      // The user has signed out or another one has signed in: this answer is about the previous session.
      if (epoch !== this.epoch) return this.token;
      this.wait = FIRST_WAIT_MS;
      this.notBefore = -Infinity;
      if (granted) this.keep(granted, asked);
      else this.ended();
    } catch (error) {
      if (isUnauthorized(error)) this.tickets.drop(ticket);
      if (epoch !== this.epoch) return this.token;
      if (!isUnauthorized(error)) {
        this.failed(error as CountersignError);
        throw error;
      }
      this.ended();
    }
    return this.token;
  }

  /** The service has said that there is no session. */
  private ended(): void {
    this.lookedAt = this.env.ticks();
    this.end();
  }

  private keep(granted: Granted, asked: Clocks): void {
    // A server keeps no token, because all users share its memory.
    if (!this.env.window) return;
    const { id, expiresAt } = granted.session!;
    const token = { value: granted.accessToken!, user: userOf(granted), session: { id, expiresAt }, lifetime: granted.expiresIn! * 1_000, at: asked.wall };
    // A sister has signed out while the answer was under way.
    if (this.over.has(token.session.id)) return this.end();
    if (this.token && this.token.session.id !== token.session.id) this.over.add(this.token.session.id);
    this.lookedAt = this.env.ticks();
    this.hold(token, asked.ticks, true);
  }

  /** A sister tab's token: it came from the same cookies. */
  private take(token: Token, told: number): void {
    if (token.value === this.token?.value) return;
    // What lay in a sleeping tab's post is older than it was when it was sent.
    const age = Math.max(told, this.env.now() - token.at);
    const isOther = this.token?.session.id !== token.session.id;
    if (this.over.has(token.session.id) || (!isOther && this.share() < age / token.lifetime)) return;
    if (this.token && isOther) this.over.add(this.token.session.id);
    this.hold(token, this.env.ticks() - age, false);
  }

  private hold(token: Token, since: number, tell: boolean): void {
    if (this.token?.session.id !== token.session.id) this.epoch++;
    this.token = token;
    this.heldSince = since;
    this.plan();
    if (tell) this.tabs.tellToken(token);
    this.show({ status: "signedIn", user: token.user, session: token.session, error: null, hint: null });
  }

  /** The session is over: here and in all tabs. */
  private end(): void {
    if (!this.env.window) return;
    this.tabs.tellOut(this.token?.session.id ?? null);
    this.forget();
  }

  private hearOut(session: string | null): void {
    const mine = this.token?.session.id ?? null;
    if (session) this.over.add(session);
    if (session && session === mine) this.forget();
    // The tab that was asked had no token and answered that there is no session: this one asks for itself.
    else if (!session && mine) void this.renew(this.token?.value).catch(() => {});
  }

  private forget(): void {
    clearTimeout(this.timer);
    if (this.token) this.over.add(this.token.session.id);
    this.token = undefined;
    this.epoch++;
    this.show(SIGNED_OUT);
  }

  private failed(error: CountersignError): void {
    // Only this request failed: the token is valid, and is refreshed at its own time.
    if (this.share() < RENEWED_FROM) return;
    if (this.state.status === "loading") void this.explain(error);
    this.show({ ...this.state, status: this.state.status === "loading" ? "error" : this.state.status, error });
    const wait = isPassing(error) && error.retryAfter ? error.retryAfter * 1_000 : this.wait;
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    this.notBefore = this.env.ticks() + wait;
    clearTimeout(this.timer);
    this.timer = setTimeout(this.wake, wait * (1 + this.env.random() / 2));
  }

  /** Tells the developer why the first question failed: in the store and, on this machine, once in the console. */
  private async explain(error: CountersignError): Promise<void> {
    const hint = await this.service.explain(error);
    if (this.state.status !== "error") return;
    this.show({ ...this.state, hint });
    if (/^https?:\/\/(localhost|127\.[.\d]+|\[::1\]|[^:/]+\.localhost)(:|$)/.test(this.env.origin ?? "")) this.env.warn(`@countersign/web: ${hint}`);
  }

  private show(next: State): void {
    const before = this.state;
    const same = (["status", "user", "session", "error", "hint"] as const).every((part) => JSON.stringify(before[part]) === JSON.stringify(next[part]));
    if (same) return;
    this.state = Object.freeze(next);
    for (const listener of [...this.listeners]) {
      try {
        listener(this.state);
      } catch (error) {
        this.tell(error);
      }
    }
  }

  /** An application's fault is told, and stops nothing of ours. */
  private tell(error: unknown): void {
    setTimeout(() => {
      throw error;
    });
  }

  // ---- time

  private clocks(): Clocks {
    return { wall: this.env.now(), ticks: this.env.ticks() };
  }

  /** The share of its lifetime that a token has behind it. One clock may stand still in sleep, the other may be set back: the larger counts. */
  private share(token = this.token): number {
    return token ? this.age(token) / token.lifetime : Infinity;
  }

  private age(token: Token): number {
    const ticked = token === this.token ? this.env.ticks() - this.heldSince : 0;
    return Math.max(ticked, this.env.now() - token.at);
  }

  /** Each tab at another moment between three quarters and nine tenths; the first one's token is everybody's. */
  private plan(): void {
    clearTimeout(this.timer);
    if (!this.token || !this.started) return;
    const from = RENEWED_FROM + this.env.random() * (USED_UP - RENEWED_FROM);
    this.timer = setTimeout(this.wake, Math.max(0, (from - this.share()) * this.token.lifetime));
  }

  /** Called by a timer, when the network is back or when the page becomes visible: does what is due. */
  private readonly wake = (): void => {
    if (this.env.document?.visibilityState === "hidden" || !this.env.isOnline()) return;
    if (this.state.status === "signedOut") {
      if (this.env.ticks() - this.lookedAt < LOOK_AGAIN_MS) return;
    } else if (this.share() < RENEWED_FROM) return this.plan();
    this.lookedAt = this.env.ticks();
    void this.renew().catch(() => {});
  };

  /** The page has become visible: checks whether the session still exists, without a refresh. */
  private readonly lookAgain = (): void => {
    this.wake();
    const { token } = this;
    if (!token || this.env.document?.visibilityState === "hidden" || !this.env.isOnline() || this.env.ticks() - this.lookedAt < STILL_THERE_MS) return;
    this.lookedAt = this.env.ticks();
    this.service.ask("/session", undefined, token.value).catch((error) => {
      if (isUnauthorized(error) && this.token?.value === token.value) void this.renew(token.value).catch(() => {});
    });
  };

  private start(): void {
    if (this.started || !this.env.window) return;
    this.started = true;
    this.tabs.join();
    this.listen("addEventListener");
  }

  private listen(how: "addEventListener" | "removeEventListener"): void {
    for (const event of ["online", "focus"]) this.env.window?.[how](event, this.lookAgain);
    this.env.window?.[how]("pagehide", this.putAway);
    this.env.window?.[how]("pageshow", this.broughtBack);
    this.env.document?.[how]("visibilitychange", this.lookAgain);
  }

  private readonly putAway = (): void => this.tabs.part();

  private readonly broughtBack = (event: Event): void => {
    if (!(event as PageTransitionEvent).persisted) return;
    this.tabs.join();
    // Whatever was said meanwhile was not heard.
    this.lookedAt = -Infinity;
    void this.renew(this.token?.value).catch(() => {});
  };

  private send(request: Request, token: string): Promise<Response> {
    const headers = new Headers(request.headers);
    headers.set("authorization", `Bearer ${token}`);
    return this.env.fetch(new Request(request, { headers }));
  }
}

interface Clocks {
  wall: number;
  ticks: number;
}

const isUnauthorized = (error: unknown): error is CountersignError => error instanceof CountersignError && error.status === 401;

/** The user of an answer, with what the access token says of roles and permissions. */
function userOf({ user, accessToken }: Granted): User {
  const { roles = [], permissions = [] } = accessToken ? claimsOf(accessToken) : {};
  return { ...user, roles, permissions };
}

function claimsOf(token: string): Claims {
  const bytes = Uint8Array.from(atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes)) as Claims;
}
