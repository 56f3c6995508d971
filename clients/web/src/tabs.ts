// The other tabs of this browser: one of them refreshes, all of them have the token.
import type { Environment } from "./environment.js";
import type { Token } from "./types.js";

/** What tabs say to each other; only pages of the same origin hear it. */
type Message =
  | { is: "token"; token: Token; to?: string }
  | { is: "none"; to: string }
  | { is: "ask"; from: string }
  | { is: "out"; session: string | null };

/** A tab that is asleep does not answer. */
const ANSWER_MS = 300;
/** Where locks are missing nobody knows whether there are others. */
const BLIND_ANSWER_MS = 100;
/** Longer than three attempts at a refresh: whoever holds the lock for longer is stuck, and the service forgives two at once. */
const LOCK_MS = 25_000;

export interface Listener {
  /** A token that is worth passing on, or none. */
  offer(): Token | undefined;
  take(token: Token): void;
  out(session: string | null): void;
}

export class Tabs {
  private channel: BroadcastChannel | undefined;
  private leave: (() => void) | undefined;
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
    this.channel = this.env.channel?.(this.name);
    if (this.channel) this.channel.onmessage = (event: MessageEvent<Message>) => this.hear(event.data);
    if (!this.leave) {
      void this.env.locks?.request(this.tabName, { mode: "shared" }, () => new Promise<void>((resolve) => (this.leave = resolve))).catch(() => {});
    }
  }

  /** A page that is put away holds nothing, else the browser could not keep it for the way back. */
  part(): void {
    this.channel?.close();
    this.channel = undefined;
    this.leave?.();
    this.leave = undefined;
  }

  tellToken(token: Token): void {
    this.post({ is: "token", token });
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
    let others = Infinity;
    if (this.env.locks) {
      const held = (await this.env.locks.query()).held ?? [];
      others = held.filter((lock) => lock.name === this.tabName).length - (this.leave ? 1 : 0);
    }
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
        return this.post(token ? { is: "token", token, to: message.from } : { is: "none", to: message.from });
      }
      case "none":
        if (message.to === this.id) this.reply?.();
        return;
      case "out":
        return this.listener.out(message.session);
      case "token":
        this.listener.take(message.token);
        if (message.to === this.id) this.reply?.(message.token);
    }
  }
}
