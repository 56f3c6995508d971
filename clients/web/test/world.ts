// A browser with tabs, and a service that rotates as ours does: one cookie jar, a grace, answers that get lost.
import { vi } from "vitest";
import { Client } from "../src/client.js";
import type { Environment } from "../src/environment.js";
import type { Options } from "../src/types.js";

export const BASE = "https://auth.example.com";
export const API = "https://api.example.com/notes";
export const FIRST = "urn:countersign:acr:1fa";
export const SECOND = "urn:countersign:acr:2fa";

const jwt = (claims: object) => `e30.${btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(claims)))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}.s`;
const ENDS = "2030-01-01T00:00:00.000Z";
const json = (status: number, body: object | null, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });

/** `navigator.locks`, as far as it is used. */
class Locks {
  private held: { name: string; shared: boolean }[] = [];
  private waiting: { name: string; go: () => void }[] = [];

  async request(name: string, ...rest: unknown[]): Promise<unknown> {
    const work = rest.at(-1) as () => Promise<unknown>;
    const { mode, signal } = (rest.length > 1 ? rest[0] : {}) as LockOptions;
    const shared = mode === "shared";
    if (!shared && this.held.some((lock) => lock.name === name)) {
      await new Promise<void>((go, fail) => {
        this.waiting.push({ name, go });
        signal?.addEventListener("abort", () => fail(signal.reason));
      });
    }
    const lock = { name, shared };
    this.held.push(lock);
    try {
      return await work();
    } finally {
      this.held.splice(this.held.indexOf(lock), 1);
      const next = this.waiting.findIndex((w) => w.name === name);
      if (next >= 0) this.waiting.splice(next, 1)[0]!.go();
    }
  }

  async query(): Promise<LockManagerSnapshot> {
    return { held: this.held.map(({ name }) => ({ name, mode: "shared" as const })), pending: [] };
  }
}

/** `localStorage`, as far as it is used. */
export class Shelf {
  readonly items = new Map<string, string>();
  refuses = false;

  getItem(key: string): string | null {
    this.guard();
    return this.items.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this.guard();
    this.items.set(key, value);
  }

  removeItem(key: string): void {
    this.guard();
    this.items.delete(key);
  }

  private guard(): void {
    if (this.refuses) throw new DOMException("refused", "SecurityError");
  }
}

export class Tab {
  readonly window = new EventTarget();
  readonly document = Object.assign(new EventTarget(), { visibilityState: "visible" as DocumentVisibilityState });
  readonly client: Client;
  online = true;

  constructor(world: World, options: Partial<Options>) {
    const env: Environment = {
      fetch: (input, init) => world.answer(new Request(input, init), this),
      now: () => world.wall(),
      ticks: () => world.ticks(),
      random: () => world.random(),
      origin: world.origin,
      address: () => `${world.origin}/notes?page=2`,
      leave: (url) => void world.left.push(url),
      warn: (text) => void world.warnings.push(text),
      locks: world.locks as unknown as LockManager | undefined,
      storage: world.storage as unknown as Storage | undefined,
      bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(world.random() * 256)),
      channel: world.hasChannel ? (name) => world.channel(name) : undefined,
      window: this.window,
      document: this.document as unknown as Document,
      isOnline: () => this.online,
    };
    this.client = new Client({ baseURL: BASE, ...options }, env);
  }

  say(event: string): void {
    this.window.dispatchEvent(new Event(event));
  }
}

export class World {
  locks: Locks | undefined = new Locks();
  storage: Shelf | undefined = new Shelf();
  hasChannel = true;
  /** What the wall clock is ahead, and how long the device slept. */
  skew = 0;
  slept = 0;
  /** The service. */
  ttl = 900;
  jar: { session: string; generation: number } | null = null;
  live = new Map<string, { email: string; generation: number; parentUntil: number; retry: string; ticket?: string; rotatedAt?: number; acr: string; provenAt: number }>();
  /** How long a token is kept before it may rotate again. */
  cooldown = 0;
  /** The tickets that came with refreshes, in order. */
  tickets: string[] = [];
  tokens = new Map<string, { session: string; until: number; acr: string; provenAt: number }>();
  refreshes = 0;
  backend = 0;
  refusesEverything = false;
  /** What the backend demands of a token, in the words of RFC 9470, with which status, and as which header if not the usual one. */
  demand: { acr?: string; maxAge?: number } | null = null;
  demandStatus = 401;
  demandHeader: string | undefined;
  /** What was asked of `/step-up`, what its refusal offers beside the code, and the pages that were gone to. */
  stepUps: object[] = [];
  ways: { methods: string[]; enrol?: string[] } = { methods: ["totp", "backup_code"] };
  left: string[] = [];
  /** Whether its answer has an access token. */
  tellsToken = true;
  /** The statuses of the service's own answers. */
  answered: number[] = [];
  /** What the access tokens say beside the session. */
  claims: object = { roles: ["user"], permissions: [] };
  /** Where the page is, and what its console has shown. */
  origin = "http://localhost:5173";
  warnings: string[] = [];
  hangs = false;
  /** The path that the service is below. */
  folder = "";
  /** Called before the service sees a refresh, and before its answer is heard; may throw or answer in its place. */
  before: (path: string) => Response | void = () => {};
  after: (path: string) => void | Promise<void> = () => {};
  /** Who has a second factor; the codes that are good, each once; the sign-in that waits for one, as its cookie names it; what the second steps said. */
  secured = new Set<string>();
  codes = new Set(["111111", "222222"]);
  mailed = new Set(["333333"]);
  recoveryCodes = new Set(["AAAA-BBBB-CCCC-DDDD"]);
  pending: { retry: string; email: string; tries: number } | null = null;
  said: object[] = [];
  private chance = 0;
  private granted = 0;
  private channels = new Set<{ name: string; onmessage?: (event: unknown) => void }>();
  readonly tabs: Tab[] = [];

  tab(options: Partial<Options> = {}): Tab {
    const tab = new Tab(this, options);
    this.tabs.push(tab);
    return tab;
  }

  end(): void {
    for (const tab of this.tabs) tab.client.close();
  }

  random(): number {
    return (this.chance = (this.chance + 0.618) % 1);
  }

  wall(): number {
    return Date.now() + this.skew + this.slept;
  }

  ticks(): number {
    return performance.now();
  }

  channel(name: string): BroadcastChannel {
    const world = this;
    const channel = {
      name,
      onmessage: undefined as ((event: unknown) => void) | undefined,
      close: () => void world.channels.delete(channel as never),
      postMessage(data: unknown) {
        const copy = structuredClone(data);
        for (const other of world.channels) if (other !== (channel as never) && other.name === name) setTimeout(() => other.onmessage?.({ data: copy }), 1);
      },
    };
    this.channels.add(channel as never);
    return channel as unknown as BroadcastChannel;
  }

  private grant(session: string, email = this.live.get(session)!.email) {
    const id = `${session}.${++this.granted}`;
    const accessToken = jwt({ ...this.claims, sid: session, jti: id });
    const { acr, provenAt } = this.live.get(session)!;
    this.tokens.set(accessToken, { session, until: this.serviceTime() + this.ttl * 1000, acr, provenAt });
    return { accessToken, tokenType: "Bearer", expiresIn: this.ttl, session: { id: session, expiresAt: ENDS }, user: { id: "u", name: "Ana", email, twoFactorEnabled: this.secured.has(email) } };
  }

  /** A session in place of the one before. */
  private begin(retry: string, email: string, acr = FIRST) {
    if (this.jar) this.live.delete(this.jar.session);
    const session = `s${++this.granted}`;
    this.live.set(session, { email, generation: 1, parentUntil: 0, retry, acr, provenAt: this.serviceTime() });
    if (!this.lost) this.jar = { session, generation: 1 };
    return { ...this.grant(session), refreshRetry: retry };
  }

  /** A session that goes on as another one. */
  private again(acr?: string) {
    const row = this.live.get(this.jar!.session);
    return this.begin(row?.retry ?? "window", row?.email ?? "ana@example.com", acr ?? row?.acr);
  }

  /** A session that goes on as another one, by a proof that was given without the client. */
  steppedUpElsewhere(): void {
    this.again(SECOND);
  }

  /** Whether what was proved is what is demanded. */
  private meets(proven: { acr: string; provenAt: number }, acrs: string[] | undefined, maxAge = Infinity): boolean {
    return (!acrs || acrs.some((acr) => acr === proven.acr || acr === FIRST)) && this.serviceTime() - proven.provenAt <= maxAge * 1_000;
  }

  /** The service's clock knows nothing of the device's. */
  private serviceTime(): number {
    return Date.now() + this.slept;
  }

  async answer(request: Request, tab: Tab): Promise<Response> {
    const { pathname: whole, origin } = new URL(request.url);
    const pathname = whole.replace(this.folder, "");
    if (!tab.online) throw new TypeError("Failed to fetch");
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (origin !== BASE) {
      this.backend++;
      const token = this.tokens.get((request.headers.get("authorization") ?? "").slice(7));
      const body = await request.text();
      const good = !this.refusesEverything && token && token.until > this.serviceTime() && this.live.has(token.session);
      if (!good || !this.demand || this.meets(token, this.demand.acr?.split(" "), this.demand.maxAge)) return json(good ? 200 : 401, { body });
      const { acr, maxAge } = this.demand;
      const says = ['Bearer error="insufficient_user_authentication"', ...(acr ? [`acr_values="${acr}"`] : []), ...(maxAge === undefined ? [] : [`max_age=${maxAge}`])];
      return json(this.demandStatus, { refused: body }, { "www-authenticate": this.demandHeader ?? says.join(", ") });
    }
    const early = this.before(pathname);
    if (early) return early;
    const answer = await this.serve(pathname, request);
    this.answered.push(answer.status);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await this.after(pathname);
    return answer;
  }

  private async serve(path: string, request: Request): Promise<Response> {
    switch (path) {
      case "/api/auth/jwks":
        return json(200, { keys: [] });
      case "/api/auth/change-password":
        if (!this.jar) return json(401, { code: "UNAUTHORIZED", message: "" });
        return json(200, this.again());
      case "/api/auth/sign-in/email": {
        const { email, password, refreshRetry = "window" } = (await request.json()) as { email: string; password: string; refreshRetry?: string };
        if (password !== "right") return json(401, { code: "INVALID_EMAIL_OR_PASSWORD", message: "Invalid email or password" });
        if (!this.secured.has(email)) return json(200, this.begin(refreshRetry, email));
        // The session before ends, and its cookies are cleared.
        if (this.jar) this.live.delete(this.jar.session);
        this.jar = null;
        this.pending = { retry: refreshRetry, email, tries: 0 };
        return json(200, { twoFactorRedirect: true, twoFactorMethods: ["totp"] });
      }
      case "/api/auth/two-factor/verify-totp":
      case "/api/auth/two-factor/verify-otp":
      case "/api/auth/two-factor/verify-backup-code": {
        const said = (await request.json()) as { code?: string };
        this.said.push(said);
        if (said.code === undefined) return json(400, { code: "VALIDATION_ERROR", message: "", errors: { code: ["required"] } });
        const [codes, refusal] = path.endsWith("backup-code") ? [this.recoveryCodes, "INVALID_BACKUP_CODE"] : [path.endsWith("totp") ? this.codes : this.mailed, "INVALID_CODE"];
        const inSession = this.jar && this.live.has(this.jar.session);
        if (!inSession && !this.pending) return json(401, { code: "INVALID_TWO_FACTOR_COOKIE", message: "" });
        if (!inSession && ++this.pending!.tries > 5) return json(400, { code: "TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE", message: "" });
        if (!codes.delete(said.code)) return json(401, { code: refusal, message: "" });
        if (inSession) return json(200, this.again(SECOND));
        const { retry, email } = this.pending!;
        this.pending = null;
        return json(200, this.begin(retry, email, SECOND));
      }
      case "/api/auth/step-up/password": {
        const { password } = (await request.json()) as { password: string };
        if (!this.jar || !this.live.has(this.jar.session)) return json(401, { code: "UNAUTHORIZED", message: "" });
        return password === "right" ? json(200, this.again()) : json(400, { code: "INVALID_PASSWORD", message: "Invalid password" });
      }
      case "/api/auth/step-up": {
        const demand = (await request.json()) as { acrValues?: string; maxAge?: number };
        this.stepUps.push(demand);
        const row = this.jar && this.live.get(this.jar.session);
        if (!row) return json(401, { code: "UNAUTHORIZED", message: "" });
        if (!this.meets(row, demand.acrValues?.split(" "), demand.maxAge)) return json(403, { code: "INSUFFICIENT_USER_AUTHENTICATION", message: "Another proof is needed", ...this.ways });
        const { accessToken, expiresIn } = this.grant(this.jar!.session);
        return json(200, { status: true, acr: row.acr, amr: row.acr === SECOND ? ["pwd", "otp"] : ["pwd"], authTime: Math.floor(row.provenAt / 1_000), ...(this.tellsToken && { accessToken, tokenType: "Bearer", expiresIn }) });
      }
      case "/api/auth/session": {
        const token = this.tokens.get((request.headers.get("authorization") ?? "").slice(7));
        return json(token && this.live.has(token.session) ? 200 : 401, {});
      }
      case "/api/auth/refresh": {
        this.refreshes++;
        if (this.hangs) await new Promise((resolve) => setTimeout(resolve, 60_000));
        const row = this.jar && this.live.get(this.jar.session);
        const { optional, attempt } = (await request.json()) as { optional?: boolean; attempt?: string };
        if (attempt !== undefined) this.tickets.push(attempt);
        if (attempt !== undefined && !/^[A-Za-z0-9_-]{21}[AQgw]$/.test(attempt)) return json(400, { code: "VALIDATION_ERROR", message: "" });
        if (!this.jar) return optional ? json(200, null) : json(401, { code: "REFRESH_TOKEN_MISSING", message: "" });
        if (!row) return json(401, { code: "REFRESH_TOKEN_REVOKED", message: "" });
        const { session, generation } = this.jar;
        if (row.retry === "ticket" && !attempt) return json(400, { code: "REFRESH_ATTEMPT_MISSING", message: "" });
        const mayRepeat = row.retry === "ticket" ? attempt === row.ticket : this.serviceTime() <= row.parentUntil;
        if (generation === row.generation && this.serviceTime() < (row.rotatedAt ?? -Infinity) + this.cooldown) return json(200, { ...this.grant(session), rotated: false });
        const isParent = generation === row.generation - 1 && mayRepeat;
        if (generation !== row.generation && !isParent) {
          this.live.delete(session);
          return json(401, { code: "REFRESH_TOKEN_REUSED", message: "" });
        }
        if (!isParent) Object.assign(row, { generation: generation + 1, parentUntil: this.serviceTime() + 30_000, ticket: attempt, rotatedAt: this.serviceTime() });
        const next = { session, generation: row.generation };
        const granted = this.grant(session);
        // The jar learns of it only if the answer arrives.
        queueMicrotask(() => setTimeout(() => this.lost || (this.jar = next), 15));
        return json(200, { ...granted, rotated: true });
      }
      default:
        if (this.jar) this.live.delete(this.jar.session);
        this.jar = null;
        return json(200, { success: true });
    }
  }

  /** Answers do not arrive: no cookie is set. */
  lost = false;
}

/** Lets time pass, in small steps, so that what waits for each other gets on. */
export const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
