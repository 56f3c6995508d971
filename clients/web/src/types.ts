// What the service says, and what the client tells about it.

/** A user, as every answer of the service shows one. */
export interface User {
  id: string;
  name: string;
  email: string;
  emailVerified: boolean;
  image: string | null;
  createdAt: string;
  updatedAt: string;
  role: string;
  banned: boolean;
  banReason: string | null;
  banExpires: string | null;
}

/** The session of this browser. */
export interface Session {
  id: string;
  /** When it ends unless it is used (ISO 8601); `null` between a sign-in and the first refresh, which tells it. */
  expiresAt: string | null;
}

/** What an application shows. A new object whenever something in it changes, and only then. */
export interface State {
  /** `loading` until the service has said who this is. */
  readonly status: "loading" | "signedIn" | "signedOut";
  readonly user: User | null;
  readonly session: Session | null;
  /** Why the service could not be asked the last time; this signs no user out. */
  readonly error: Error | null;
}

/** An access token and how long it lasts. Times are the device's own and only their differences are used, so that a wrong clock does no harm. */
export interface Token {
  value: string;
  user: User;
  session: Session;
  /** Milliseconds that it was good for when it was asked for. */
  lifetime: number;
  /** `Date.now()` when it was asked for. */
  at: number;
}

/** How to make a client. */
export interface Options {
  /** Where the service is, such as `https://auth.example.com`. */
  baseURL: string;
  /** The service's `server.base_path`; `/api/auth` unless said otherwise. */
  basePath?: string;
  /** Origins that `fetch` sends the token to; all, if none is named. Name them where a URL may come from another party. */
  origins?: string[];
}

/** A new account. */
export interface SignUp {
  name: string;
  email: string;
  password: string;
  image?: string;
  /** Where the mail's link leads to, if addresses must be verified. */
  callbackURL?: string;
  rememberMe?: boolean;
}

/** Who signs in. */
export interface SignIn {
  email: string;
  password: string;
  /** `false`: until the browser is closed, and 24 hours at most. */
  rememberMe?: boolean;
}
