// node compare.mjs '[{set, theirs, ours, command, mails, place}, …]': every scenario of each set against Better Auth and against Countersign, exchange by
// exchange; exits 1 on a difference that `allowed.mjs` does not name and, where every set is played, on a rule there that nothing needs. `command` is
// our command line, to be run in the folder `place`, `mails` the folder into which ours puts mails; theirs has doors for tests. `upstream` are the URLs of
// the providers at which users of both sign in.
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { passkeyClient } from "@better-auth/passkey/client";
import { createAuthClient } from "better-auth/client";
import { adminClient, emailOTPClient, jwtClient, magicLinkClient, twoFactorClient } from "better-auth/client/plugins";
import { allowed, ownCookies, ownHeaders, sharedHeaders, stateCookies } from "./allowed.mjs";
import { mailCached, mailClosed, mailSignIn } from "./mail_sign_in.mjs";
import { passkeys } from "./passkeys.mjs";
import { Recorder, differences, normal } from "./recorder.mjs";
import { bare, cached, closed, mail, refusals, scenarios, verifying } from "./scenarios.mjs";
import { actAsBrowser } from "./software_authenticator.mjs";
import { social } from "./social.mjs";
import { twoFactor } from "./two_factor.mjs";

const sets = { scenarios: { ...scenarios, ...mail, ...refusals }, two_factor: twoFactor, mail_sign_in: mailSignIn, mail_closed: mailClosed, mail_cached: mailCached, passkeys, social, verifying, bare, closed, cached };
const pairs = JSON.parse(process.argv[2]);
actAsBrowser();

/** What a scenario works with, on one side. */
class Side {
  constructor(base, name, { promote, make, mails, asks, upstream }) {
    Object.assign(this, { base, name, promote, make, mails, asks, upstream, read: {}, exchanges: [], notes: [] });
  }

  email = (name) => `${name.toLowerCase()}-${this.name.replaceAll(/[^a-z]+/gi, "-").toLowerCase()}@example.com`;

  agent({ twoFactor, ...options } = {}) {
    const recorder = new Recorder(this.base, options);
    recorder.exchanges = new Proxy(recorder.exchanges, {
      get: (target, key) => (key === "push" ? (exchange) => (this.exchanges.push(exchange), target.push(exchange)) : Reflect.get(target, key)),
    });
    const fetchOptions = { customFetchImpl: recorder.fetch };
    const client = createAuthClient({ baseURL: this.base, plugins: [jwtClient(), adminClient(), twoFactorClient(twoFactor), emailOTPClient(), magicLinkClient(), passkeyClient()], fetchOptions });
    return { client, recorder };
  }

  /** The link of the next mail to this address that has one, and with this text in it. */
  link = (to, text = "") => this.next(to, ({ url }) => (url?.includes(text) ? url : undefined));

  /** The code of the next mail to this address that has one. */
  code = (to) => this.next(to, ({ code }) => code);

  /** Reads the mails to this address in their order, up to the first that has what is wanted. */
  next = async (to, wanted) => {
    for (let tries = 0; tries < 400; tries += 1) {
      const mails = (await this.mails()).filter((m) => m.to === to);
      const at = mails.findIndex((mail, n) => n >= (this.read[to] ?? 0) && wanted(mail));
      if (at >= 0) {
        this.read[to] = at + 1;
        return wanted(mails[at]);
      }
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(`no mail to ${to}`);
  };

  /** Opens a link and, where a page asks, says yes; the answer to that is what counts. */
  agree = async (agent, url) => {
    const cookie = [...agent.recorder.jar].map(([k, v]) => `${k}=${v}`).join("; ");
    const page = this.asks ? await fetch(url, { headers: cookie ? { cookie } : {}, redirect: "manual" }) : null;
    if (!page?.headers.get("content-type")?.includes("html")) return agent.recorder.fetch(url);
    const field = (html, name) => new RegExp(`name="${name}" value="([^"]*)"`).exec(html)[1];
    const html = await page.text();
    const form = new URLSearchParams({ token: field(html, "token"), callbackURL: field(html, "callbackURL").replaceAll("&#x2F;", "/").replaceAll("&#47;", "/") });
    const target = new URL(url);
    target.search = "";
    return agent.recorder.fetch(target, { method: "POST", body: form.toString(), headers: { "content-type": "application/x-www-form-urlencoded" } });
  };

  /** Goes to a link as a browser does and, where a page asks, presses its button. */
  open = async ({ recorder }, url) => {
    const page = this.asks ? await recorder.look(url) : null;
    if (!page?.headers.get("content-type")?.includes("html")) return recorder.navigate(url);
    const form = (await page.text()).match(/<form[^]*?<\/form>/g).find((part) => part.includes('name="token"'));
    const attribute = (tag, name) => new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1].replaceAll(/&(?:#x([0-9a-f]+)|#(\d+)|amp);/gi, (_, hex, decimal) => (hex ? String.fromCodePoint(Number.parseInt(hex, 16)) : String.fromCodePoint(Number(decimal ?? 38))));
    const fields = form.match(/<input[^>]*>/g).map((input) => [attribute(input, "name"), attribute(input, "value") ?? ""]);
    return recorder.navigate(new URL(attribute(form.match(/<form[^>]*>/)[0], "action") ?? "", url), { method: "POST", body: new URLSearchParams(fields).toString(), headers: { "content-type": "application/x-www-form-urlencoded" } });
  };

  note = (result) => this.notes.push({ data: result.data ?? null, error: result.error ? { status: result.error.status, code: result.error.code } : null });

  raw = async (method, path, body, headers = {}, recorder = this.agent().recorder) => {
    const own = headers.origin;
    const init = { method, body, headers: { "content-type": "application/json", ...headers } };
    if (own) recorder.origin = own;
    await recorder.fetch(`${this.base}/api/auth${path}`, init);
  };
}

/** Ours: the mails of a folder, oldest first. A file appears whole and is never changed, so each is read once. */
function folder(path) {
  const files = readdirSync(path).filter((name) => name.endsWith(".eml")).map((name) => join(path, name));
  return files.sort().map((file) => known.get(file) ?? known.set(file, contents(readFileSync(file, "utf8"))).get(file));
}

const known = new Map();

function contents(raw) {
  // A link may wrap before two hyphens of its token: only the whole boundary ends the part.
  const boundary = /boundary="([^"]+)"/.exec(raw)[1];
  const plain = raw.split("text/plain")[1].split(`\r\n--${boundary}`)[0].replaceAll("=\r\n", "").replaceAll("=3D", "=");
  return { to: /^To: (.*)$/m.exec(raw)[1].trim(), url: /https?:\/\/\S+/.exec(plain)?.[0], code: /^\s*(\d{6})\s*$/m.exec(plain)?.[1] };
}

async function play(base, run, name, doors) {
  const side = new Side(base, name, doors);
  try {
    await run(side);
  } catch (error) {
    side.notes.push({ threw: String(error) });
  }
  return side;
}

/** What each side has for tests. */
function doors({ theirs, command: [binary, ...settings], mails, place, upstream }) {
  return {
    theirs: {
      asks: false,
      upstream,
      promote: async (email) => fetch(`${theirs}/promote?email=${encodeURIComponent(email)}`),
      make: async (email, password) => fetch(`${theirs}/make?${new URLSearchParams({ email, password })}`),
      mails: async () => (await fetch(`${theirs}/mails`)).json(),
    },
    ours: {
      asks: true,
      upstream,
      promote: async (email) => execFileSync(binary, [...settings, "users", "set-role", email, "admin"], { stdio: "pipe", cwd: place }),
      make: async (email, password) => execFileSync(binary, [...settings, "users", "create", email, "--name", "Ana", "--email-verified"], { input: `${password}\n`, stdio: "pipe", cwd: place }),
      mails: async () => folder(mails),
    },
  };
}

// A rule names scenarios or calls, and a path of the answer. One that fits everything would hide differences that it does not know.
for (const { path, scenario, call, why } of allowed) {
  const everyCall = call && ["GET /a-path-that-is-none", "POST /a-path-that-is-none"].some((none) => call.test(none));
  const everyScenario = scenario?.test("a scenario that is none");
  const wide = (call ? everyCall : true) && (scenario ? everyScenario : true);
  if (wide || path.test("a.path.that.no.answer.has")) throw new Error(`too wide a rule: ${path} (${why})`);
}

const used = new Set();
let [exchanges, count, bad] = [0, 0, 0];
// Most of the time is spent waiting for mails, so several scenarios run at once. Each has its own users.
const LANES = 6;
for (const pair of pairs) {
  const door = doors(pair);
  const left = Object.entries(sets[pair.set]);
  const lane = async () => {
    for (let next = left.shift(); next; next = left.shift()) {
      const [name, run] = next;
      count += 1;
      compare(name, await play(pair.theirs, run, name, door.theirs), await play(pair.ours, run, name, door.ours));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

function compare(name, a, b) {
  const found = [];
  if (a.exchanges.length !== b.exchanges.length) found.push({ path: "exchanges", theirs: a.exchanges.map((e) => e.call), ours: b.exchanges.map((e) => e.call) });
  const judge = (d, t, o) => {
    const fits = (r) => r.path.test(d.path) && (r.scenario?.test(name) ?? true) && (r.call?.test(t.call) ?? true) && (r.status ? r.status === t.status : true);
    const rule = allowed.findIndex((r) => fits(r) && (r.only?.(d.theirs, d.ours, t, o) ?? true));
    if (rule >= 0) used.add(rule);
    else found.push({ call: t.call, status: `${t.status}/${o.status}`, ...d });
  };
  for (const [n, exchange] of a.exchanges.entries()) {
    exchanges += 1;
    const [t, o] = [normal(strip(exchange)), normal(strip(b.exchanges[n] ?? {}))];
    for (const d of withoutOwn(t, o)) found.push({ call: t.call, status: `${t.status}/${o.status}`, ...d });
    for (const d of differences(t, o)) judge(d, t, o);
  }
  // One that breaks down on both sides proves nothing.
  for (const [side, { notes }] of Object.entries({ theirs: a, ours: b })) for (const { threw } of notes) if (threw) found.push({ path: side, [side]: threw });
  for (const d of differences(normal(a.notes.map(outcome)), normal(b.notes.map(outcome)), "client")) judge(d, {}, {});
  if (found.length > 0) {
    bad += 1;
    console.log(`✗ ${name}`);
    for (const d of found) console.log(`    ${d.call ?? ""} ${d.status ?? ""} ${d.path}\n      theirs ${JSON.stringify(d.theirs)}\n      ours   ${JSON.stringify(d.ours)}`);
  }
}

const idle = pairs.length < Object.keys(sets).length ? [] : allowed.filter((_, n) => !used.has(n));
for (const rule of idle) console.log(`a rule that nothing needs: ${rule.path} (${rule.why})`);
console.log(`${count} scenarios, ${exchanges} exchanges, ${used.size} rules used, ${bad} scenarios with differences`);
process.exitCode = bad + idle.length > 0 ? 1 : 0;

function strip({ raw, ...exchange }) {
  const cookies = exchange.cookies?.filter((line) => ![...ownCookies, ...stateCookies].some((name) => line.startsWith(`${name}=`)));
  return { ...exchange, cookies };
}

/** Takes out of both sides the headers that only ours sends, and tells where ours does not send exactly what it should. */
function withoutOwn(t, o) {
  if (!o.headers) return [];
  const wrong = [];
  for (const [name, value] of Object.entries(ownHeaders)) {
    const wanted = value(o);
    if (t.headers[name] === null && o.headers[name] !== wanted) wrong.push({ path: `headers.${name}`, theirs: `(none; ours should be ${JSON.stringify(wanted)})`, ours: o.headers[name] });
    if (t.headers[name] === null) delete t.headers[name], delete o.headers[name];
  }
  for (const name of sharedHeaders) {
    const [theirs, ours] = [t, o].map((side) => (side.headers[name] ?? "").toLowerCase().split(/,\s*/).filter(Boolean));
    if (theirs.every((value) => ours.includes(value))) delete t.headers[name], delete o.headers[name];
  }
  return wrong;
}

/** What an application sees first: did it work, and what is the error called. */
function outcome(note) {
  return note.threw ? note : { ok: note.error === null, nothing: note.data === null, error: note.error };
}
