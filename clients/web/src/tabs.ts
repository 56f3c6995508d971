// The other tabs of this browser: one of them refreshes, all of them have the token.
import type { Environment } from "./environment.js";
import type { Token } from "./types.js";

/** What tabs say to each other; only pages of the same origin hear it. */
type Message =
  | { is: "token"; token: Token; age: number; to?: string }
  | { is: "none"; to: string }
  | { is: "ask"; from: string }
  | { is: "out"; session: string | null };

/** A tab that is asleep does not answer. */
const ANSWER_MS = 300;
/** Without locks it is not known whether there are other tabs. */
const BLIND_ANSWER_MS = 100;
/** Longer than three attempts at a refresh with every pause that a service may ask for: a tab that holds the lock for longer is stuck. */
const LOCK_MS = 45_000;

export interface Listener {
  /** A token that is worth passing on, or none. */
  offer(): Token | undefined;
  /** Milliseconds since a token was asked for, as this tab's clocks tell. */
  age(token: Token): number;
  take(token: Token, age: number): void;
  out(session: string | null): void;
}

export class Tabs {
  private channel: BroadcastChannel | undefined;
  private membership: AbortController | undefined;
  private counted = false;
  private readonly id: string;
  private reply: ((token?: Token) => void) | undefined;

  constructor(
    private readonly name: string,
    private readonly env: Environment,
    private readonly listener: Listener,
  ) {
    this.id = `${env.now()}-${env.random()}`;
  }

  /** From now on this tab hears the others and is counted by them. */
  join(): void {
    this.part();
    const { signal } = (this.membership = new AbortController());
    try {
      this.channel = this.env.channel?.(this.name);
      if (this.channel) this.channel.onmessage = (event: MessageEvent<Message>) => this.hear(event.data);
      const hold = () => new Promise<void>((resolve) => ((this.counted = true), signal.addEventListener("abort", () => resolve())));
      void this.env.locks?.request(this.tabName, { mode: "shared", signal }, hold).catch(() => {});
    } catch {
      // Refused by the browser's settings: this tab is on its own, which the service forgives.
    }
  }

  /** A page that is put away holds nothing, else the browser could not keep it for the way back. */
  part(): void {
    this.channel?.close();
    this.channel = undefined;
    this.membership?.abort();
    this.counted = false;
  }

  tellToken(token: Token): void {
    this.post({ is: "token", token, age: this.listener.age(token) });
  }

  tellOut(session: string | null): void {
    this.post({ is: "out", session });
  }

  /** Alone among the tabs, where the browser can see to that. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    if (!this.env.locks) return work();
    let begun = false;
    try {
      return await this.env.locks.request(this.name, { signal: AbortSignal.timeout(LOCK_MS) }, () => {
        begun = true;
        return work();
      });
    } catch (error) {
      if (begun) throw error;
      return work();
    }
  }

  /** A token that another tab holds and that will do. */
  async ask(willDo: (token: Token) => boolean): Promise<Token | undefined> {
    if (!this.channel) return undefined;
    const others = await this.others();
    if (others <= 0) return undefined;
    return new Promise((resolve) => {
      let silent = others;
      const end = (token?: Token) => {
        clearTimeout(timer);
        this.reply = undefined;
        resolve(token);
      };
      const timer = setTimeout(end, others === Infinity ? BLIND_ANSWER_MS : ANSWER_MS);
      this.reply = (token) => {
        if (token && willDo(token)) end(token);
        else if (--silent <= 0) end();
      };
      this.post({ is: "ask", from: this.id });
    });
  }

  /** The number of tabs; infinite if it cannot be determined. */
  private async others(): Promise<number> {
    try {
      const held = (await this.env.locks?.query())?.held;
      return held ? held.filter((lock) => lock.name === this.tabName).length - (this.counted ? 1 : 0) : Infinity;
    } catch {
      return Infinity;
    }
  }

  private get tabName(): string {
    return `${this.name}:tab`;
  }

  private post(message: Message): void {
    this.channel?.postMessage(message);
  }

  private hear(message: Message): void {
    switch (message.is) {
      case "ask": {
        const token = this.listener.offer();
        return this.post(token ? { is: "token", token, age: this.listener.age(token), to: message.from } : { is: "none", to: message.from });
      }
      case "none":
        if (message.to === this.id) this.reply?.();
        return;
      case "out":
        return this.listener.out(message.session);
      case "token":
        this.listener.take(message.token, message.age);
        if (message.to === this.id) this.reply?.(message.token);
    }
  }
}
