// The ticket of a refresh: a random word that all tabs share. It is stored before it is sent, and sent again until a successor has come.
import type { Environment } from "./environment.js";

export class Tickets {
  private readonly key: string;
  /** Only where the storage refuses: a session that has tickets needs some ticket. */
  private own: string | undefined;

  constructor(
    name: string,
    private readonly env: Environment,
  ) {
    this.key = `${name}:ticket`;
  }

  /** Whether tabs take turns and see the same ticket. Without either a session does not ask for tickets. */
  isPossible(): boolean {
    this.take();
    return !!this.env.locks && !this.own;
  }

  /** The ticket that is stored, or a new one, which is stored first. Only under the lock of the tabs. */
  take(): string {
    const stored = this.read() ?? this.own;
    if (stored) return stored;
    const ticket = btoa(String.fromCharCode(...this.env.bytes(16))).replaceAll("+", "-").replaceAll("/", "_").slice(0, 22);
    if (!this.tryTo((storage) => storage.setItem(this.key, ticket))) this.own = ticket;
    return ticket;
  }

  /** A successor has come for this ticket, or its session is over. Another tab may have stored another one since. */
  drop(ticket: string): void {
    this.own = undefined;
    if (this.read() === ticket) this.tryTo((storage) => storage.removeItem(this.key));
  }

  private read(): string | null {
    let read: string | null = null;
    this.tryTo((storage) => void (read = storage.getItem(this.key)));
    return read;
  }

  /** Whether there is a storage that does it. */
  private tryTo(work: (storage: Storage) => void): boolean {
    try {
      work(this.env.storage!);
      return true;
    } catch {
      return false;
    }
  }
}
