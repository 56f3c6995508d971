// What the service says, and what the client tells about it.
import type { Demand } from "./challenge.js";

/** A user, as every answer of the service shows one. */
export interface User {
  id: string;
  name: string;
  email: string;
  emailVerified: boolean;
  image: string | null;
  createdAt: string;
  updatedAt: string;
  /** The names of all roles, joined by commas, as Better Auth has it. */
  role: string;
  /** The roles that the access token carries. */
  roles: string[];
  /** What the roles permit, such as `note:write`, as the access token tells it to backends. They decide; a page only hides what would be refused. */
  permissions: string[];
  banned: boolean;
  banReason: string | null;
  banExpires: string | null;
  /** Whether a sign-in asks for a second step. */
  twoFactorEnabled: boolean;
}

/** The session of this browser. */
export interface Session {
  id: string;
  /** The absolute end (ISO 8601): however it is used, the session lasts no longer. It may end before, such as when it is not used for a while. */
  expiresAt: string;
}

/** A session in the list of `/list-sessions`. */
export interface Device extends Session {
  /** Names the session for `/revoke-session`; no secret. */
  token: string;
  createdAt: string;
  ipAddress: string;
  userAgent: string;
  /** Such as `Firefox on Linux`; `null` if the user agent tells nothing. */
  device: string | null;
  /** Whether it is this browser's. */
  current: boolean;
}

/** What an application shows. A new object whenever something in it changes, and only then. */
export interface State {
  /** `loading` until the service has said who this is; `error` if three attempts to ask it have failed. It is asked again, and `error` ends with the first answer. */
  readonly status: "loading" | "signedIn" | "signedOut" | "error";
  readonly user: User | null;
  readonly session: Session | null;
  /** Why the service could not be asked the last time; this signs no user out. */
  readonly error: Error | null;
  /** With the status `error`, for developers: what is probably wrong. */
  readonly hint: string | null;
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
  /**
   * A backend wants another proof from the user (RFC 9470). Shows a form, gives the proof with `stepUp` or `secondStep`, and says whether to send the
   * request again. Without it the page goes to the service's own page, which leads back.
   */
  onStepUp?: (needed: StepUpNeeded) => boolean | Promise<boolean>;
}

/** What a backend demands of the session, and what the user can do about it. */
export interface StepUpNeeded extends Demand {
  /** By what it can be done: `password`, `totp`, `passkey`, `otp`, `backup_code`, `email`. */
  methods: string[];
  /** What the user has to set up first: `totp`, `passkey`. */
  enrol?: string[];
}

/** What is demanded, and the proof: a password or one of the codes. Without a proof it is a question. */
export interface StepUp extends Demand, Omit<SecondStep, "trustDevice"> {
  password?: string;
}

/** What the session has proved, as its access token tells it. */
export interface Proven {
  /** The level, such as `urn:countersign:acr:2fa`. */
  acr: string;
  /** The proofs, such as `pwd` and `otp`. */
  amr: string[];
  /** When they were given, in seconds since 1970. */
  authTime: number;
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

/** A new password for the account that is signed in. */
export interface ChangePassword {
  currentPassword: string;
  newPassword: string;
}

/** Who signs in. */
export interface SignIn {
  email: string;
  password: string;
  /** `false`: until the browser is closed, and 24 hours at most. */
  rememberMe?: boolean;
}

/** A code of the authenticator app, or one of the others in its place. */
export interface SecondStep {
  code?: string;
  /** The code of a mail, which `call("/two-factor/send-otp", {})` sends. */
  emailCode?: string;
  recoveryCode?: string;
  /** Leaves the second step out in this browser for the service's `two_factor.remember_device`. */
  trustDevice?: boolean;
}
