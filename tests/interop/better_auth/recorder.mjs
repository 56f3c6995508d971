// What a browser would do around the client, with everything that passes written down: a cookie jar, the page's origin, one exchange a call.

import { request } from "node:http";

/** Headers that a client or a browser acts on. What is not in this list is the server's own affair (`date`, `connection`, lengths). */
const compared = [
  "set-auth-token",
  "set-auth-jwt",
  "pragma",
  "cache-control",
  "vary",
  "www-authenticate",
  "retry-after",
  "access-control-allow-origin",
  "access-control-allow-credentials",
  "access-control-expose-headers",
  "strict-transport-security",
  "content-security-policy",
  "cross-origin-opener-policy",
  "cross-origin-resource-policy",
  "permissions-policy",
  "referrer-policy",
  "x-content-type-options",
  "x-frame-options",
];

/** Sends what a browser sends when it goes to a page. Node's `fetch` marks every request as one that a script makes. */
function navigation(url, { method = "GET", headers, body }) {
  const marks = { "user-agent": "node", accept: "text/html,application/xhtml+xml,*/*;q=0.8", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": method === "GET" ? "none" : "same-origin", "sec-fetch-user": "?1" };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers: { ...Object.fromEntries(headers), ...marks } }, async (answer) => {
      const received = new Headers(Object.entries(answer.headersDistinct).flatMap(([name, values]) => values.map((value) => [name, value])));
      const parts = await answer.toArray();
      resolve(new Response(parts.length > 0 ? Buffer.concat(parts) : null, { status: answer.statusCode, headers: received }));
    });
    sent.on("error", reject).end(body);
  });
}

/** Exchanges of one user agent. */
export class Recorder {
  constructor(base, { bearer } = {}) {
    this.base = base;
    this.jar = new Map();
    this.exchanges = [];
    this.bearer = bearer;
  }

  /** For `fetchOptions.customFetchImpl`. */
  fetch = (input, init = {}) => this.exchange(input, init, fetch);

  /** Goes to a page, or sends a form of one. */
  navigate = (input, init = {}) => this.exchange(input, init, navigation);

  /** Carries out calls that have no counterpart on the other side. */
  async unrecorded(calls) {
    const { exchanges } = this;
    this.exchanges = [];
    await calls();
    this.exchanges = exchanges;
  }

  /** A page as a browser shows it; no exchange that both servers have. */
  look = (url) => navigation(url, { headers: this.headers() });

  headers(given = {}) {
    const headers = new Headers(given);
    if (this.bearer) headers.set("authorization", `Bearer ${this.bearer}`);
    if (this.jar.size > 0 && !this.bearer) headers.set("cookie", [...this.jar].map(([k, v]) => `${k}=${v}`).join("; "));
    return headers;
  }

  async exchange(input, init, by) {
    const url = new URL(typeof input === "string" ? input : input.url ?? String(input));
    const headers = this.headers(init.headers);
    headers.set("origin", this.origin ?? this.base);
    const answer = await by(url, { ...init, headers, redirect: "manual" });
    const text = await answer.clone().text();
    const cookies = answer.headers.getSetCookie();
    for (const line of cookies) {
      const [pair, ...attributes] = line.split("; ");
      const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
      if (attributes.includes("Max-Age=0")) this.jar.delete(name);
      else this.jar.set(name, value);
    }
    this.exchanges.push({
      call: `${init.method ?? "GET"} ${url.pathname.replace("/api/auth", "").replace(/^(\/reset-password)\/.+/, "$1/:token")}`,
      status: answer.status,
      origin: headers.get("origin").replace(this.base, "<base>"),
      type: answer.headers.get("content-type"),
      body: parse(text),
      raw: parse(text),
      cookies: cookies.map(cookie),
      headers: {
        ...Object.fromEntries(compared.map((n) => [n, answer.headers.get(n)?.replace(this.base, "<base>") ?? null])),
        location: answer.headers.get("location")?.replace(this.base, "<base>").replace(/token=[^&]+/, "token=<token>") ?? null,
      },
    });
    return answer;
  }
}

function parse(text) {
  try {
    return text === "" ? "" : JSON.parse(text);
  } catch {
    return text;
  }
}

/** Name and attributes with the number of seconds that the cookie lives; a value only when it is empty. */
function cookie(line) {
  const [pair, ...attributes] = line.split("; ");
  const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
  const kept = attributes.filter((a) => !a.startsWith("Expires="));
  return `${name.replace(/\.upstream\.[\w-]{8}$/, ".upstream.<state>")}=${value === "" ? "" : "…"}; ${kept.sort().join("; ")}`;
}

const shapes = [
  [/^[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, "<id>"],
  [/^css_[A-Za-z0-9_-]{43}$/, "<token>"],
  [/^[A-Za-z0-9]{32}$/, "<id>"],
  [/^(css_)?[\w-]{32,43}\.[A-Za-z0-9+/]{43}=$/, "<signed>"],
  // Theirs are ten letters and digits, ours sixteen of Crockford's alphabet: either is to be typed as it was shown.
  [/^[A-Za-z0-9]{5}-[A-Za-z0-9]{5}$/, "<backup code>"],
  [/^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}$/i, "<backup code>"],
  [/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, "<date>"],
];

/** Values that differ in every run, as what they are. `token` at sign-up and sign-in is a credential on both sides. */
export function normal(value, key = "") {
  if (Array.isArray(value)) return value.map((v) => normal(v, key));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a.localeCompare(b)).map(([k, v]) => [k, normal(v, k)]));
  if (typeof value !== "string") return value;
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(value)) return normal(jwt(value), "jwt");
  if (["url", "location"].includes(key) && /[?&]code_challenge=/.test(value)) return away(new URL(value));
  if (key === "kid" || (key === "x" && /^[\w-]{43}$/.test(value))) return "<key>";
  // Theirs are 32 bytes, ours 20; the rest of the URI is the same.
  // What an authenticator and the server make up for a passkey. Both have 32 bytes, and the user's handle has as many.
  if (key === "publicKey" && /^[A-Za-z0-9+/]{50,}={0,2}$/.test(value)) return "<public key>";
  if (["challenge", "credentialID", "id"].includes(key) && /^[\w-]{43}$/.test(value)) return "<random>";
  if (key === "totpURI") return value.replace(/\bsecret=([A-Z2-7]{32}|[A-Z2-7]{52})&/, "secret=<secret>&");
  if (key === "token" && (/^css_/.test(value) || /^[A-Za-z0-9]{32}$/.test(value) || /^[0-9a-f-]{36}$/.test(value))) return "<token>";
  return shapes.reduce((text, [shape, name]) => (shape.test(text) ? name : text), value);
}

/** Where a browser is sent to sign in: each parameter by itself, in the order of their names. What is random has to be there. */
function away({ origin, pathname, searchParams }) {
  const random = ["state", "nonce", "code_challenge"];
  const said = (name, value) => (random.includes(name) && value.length >= 32 ? "<random>" : value.replace(/^http:\/\/localhost:\d+\/api\/auth\//, "<base>/api/auth/"));
  return { at: origin + pathname, ...Object.fromEntries([...searchParams].sort().map(([name, value]) => [name, said(name, value)])) };
}

/** Header and claims of a token; points in time become lifetimes, counted from `iat`. */
function jwt(text) {
  const [header, claims] = text.split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url").toString()));
  const { iat, exp, auth_time, jti, ...rest } = claims;
  const lives = { exp: exp - iat, auth_time: auth_time && "<time>", jti: jti && "<id>" };
  // Each server is its own issuer and, by default, its own audience: an origin, and nothing else than that of `iss`.
  const names = { iss: /^http:\/\/localhost:\d+$/.test(claims.iss) ? "<base>" : claims.iss, aud: claims.aud === claims.iss ? "<base>" : claims.aud, ...(claims.client_id && { client_id: claims.client_id === claims.iss ? "<base>" : claims.client_id }) };
  return { header: { ...header, kid: "<id>" }, claims: { ...rest, ...lives, ...names } };
}

/** Paths at which two normalised values differ, with both sides. */
export function differences(theirs, ours, path = "") {
  if (JSON.stringify(theirs) === JSON.stringify(ours)) return [];
  const isObject = (v) => v && typeof v === "object";
  if (!isObject(theirs) || !isObject(ours) || Array.isArray(theirs) !== Array.isArray(ours)) return [{ path, theirs, ours }];
  const keys = new Set([...Object.keys(theirs), ...Object.keys(ours)]);
  return [...keys].flatMap((k) => differences(theirs[k], ours[k], path === "" ? k : `${path}.${k}`));
}
