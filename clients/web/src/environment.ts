// Everything of the browser that the client uses, in one place: tests give another.

export interface Environment {
  fetch: typeof fetch;
  /** Wall clock in milliseconds; may jump. */
  now(): number;
  /** Milliseconds since some moment; never goes back, and may stand still while the device sleeps. */
  ticks(): number;
  random(): number;
  locks: LockManager | undefined;
  /** What all tabs of an origin share; `undefined` on a server and where the browser refuses it. */
  storage: Storage | undefined;
  /** As many random bytes. */
  bytes(count: number): Uint8Array;
  channel: ((name: string) => BroadcastChannel) | undefined;
  /** Where `online`, `focus` and the like are told; `undefined` on a server. */
  window: Pick<EventTarget, "addEventListener" | "removeEventListener"> | undefined;
  document: Pick<Document, "addEventListener" | "removeEventListener" | "visibilityState"> | undefined;
  isOnline(): boolean;
  /** The origin of the page; `undefined` on a server. */
  origin: string | undefined;
  /** The address of the page. */
  address(): string;
  /** Goes to another page. */
  leave(url: string): void;
  /** Tells the developer something. */
  warn(text: string): void;
}

/** The browser's own; on a server next to nothing. */
export function environment(): Environment {
  const inBrowser = typeof window !== "undefined" && typeof document !== "undefined";
  return {
    fetch: (...call) => fetch(...call),
    now: () => Date.now(),
    ticks: () => performance.now(),
    random: () => Math.random(),
    locks: inBrowser ? navigator.locks : undefined,
    storage: inBrowser ? storage() : undefined,
    bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    channel: inBrowser && typeof BroadcastChannel !== "undefined" ? (name) => new BroadcastChannel(name) : undefined,
    window: inBrowser ? window : undefined,
    document: inBrowser ? document : undefined,
    isOnline: () => !inBrowser || navigator.onLine !== false,
    origin: inBrowser ? location.origin : undefined,
    address: () => location.href,
    leave: (url) => location.assign(url),
    warn: (text) => console.warn(text),
  };
}

/** The settings of a browser may refuse even to name it. */
function storage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}
