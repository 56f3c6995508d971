// node compare.mjs THEIRS OURS 'PROMOTE…': every scenario against Better Auth and against Countersign, exchange by exchange; exits 1 on a difference
// that `allowed.mjs` does not name, and on a rule there that nothing needs. PROMOTE is our command line as JSON; theirs has a door for tests.
import { execFileSync } from "node:child_process";
import { createAuthClient } from "better-auth/client";
import { adminClient, jwtClient } from "better-auth/client/plugins";
import { allowed, ownCookies } from "./allowed.mjs";
import { Recorder, differences, normal } from "./recorder.mjs";
import { scenarios } from "./scenarios.mjs";

const [theirs, ours, command] = process.argv.slice(2);
const [binary, ...settings] = JSON.parse(command);

/** What a scenario works with, on one side. */
class Side {
  constructor(base, name, promote) {
    Object.assign(this, { base, name, promote, exchanges: [], notes: [] });
  }

  email = (name) => `${name.toLowerCase()}-${this.name.replaceAll(/[^a-z]+/gi, "-").toLowerCase()}@example.com`;

  agent(options) {
    const recorder = new Recorder(this.base, options);
    recorder.exchanges = new Proxy(recorder.exchanges, {
      get: (target, key) => (key === "push" ? (exchange) => (this.exchanges.push(exchange), target.push(exchange)) : Reflect.get(target, key)),
    });
    const fetchOptions = { customFetchImpl: recorder.fetch };
    const client = createAuthClient({ baseURL: this.base, plugins: [jwtClient(), adminClient()], fetchOptions });
    return { client, recorder };
  }

  note = (result) => this.notes.push({ data: result.data ?? null, error: result.error ? { status: result.error.status, code: result.error.code } : null });

  raw = async (method, path, body, headers = {}, recorder = this.agent().recorder) => {
    const own = headers.origin;
    const init = { method, body, headers: { "content-type": "application/json", ...headers } };
    if (own) recorder.origin = own;
    await recorder.fetch(`${this.base}/api/auth${path}`, init);
  };
}

async function play(base, name, promote) {
  const side = new Side(base, name, promote);
  try {
    await scenarios[name](side);
  } catch (error) {
    side.notes.push({ threw: String(error) });
  }
  return side;
}

const promoteTheirs = async (email) => fetch(`${theirs}/promote?email=${encodeURIComponent(email)}`);
const promoteOurs = async (email) => execFileSync(binary, [...settings, "users", "set-role", email, "admin"], { stdio: "pipe", cwd: process.env.PLACE });

const used = new Set();
let exchanges = 0;
let bad = 0;
for (const name of Object.keys(scenarios)) {
  const [a, b] = [await play(theirs, name, promoteTheirs), await play(ours, name, promoteOurs)];
  const found = [];
  if (a.exchanges.length !== b.exchanges.length) found.push({ path: "exchanges", theirs: a.exchanges.map((e) => e.call), ours: b.exchanges.map((e) => e.call) });
  const judge = (d, t, o) => {
    const rule = allowed.findIndex((r) => r.path.test(d.path) && (r.call?.test(t.call) ?? true) && (r.status ? r.status === t.status : true) && (r.only?.(d.theirs, d.ours, t, o) ?? true));
    if (rule >= 0) used.add(rule);
    else found.push({ call: t.call, status: `${t.status}/${o.status}`, ...d });
  };
  for (const [n, exchange] of a.exchanges.entries()) {
    exchanges += 1;
    const [t, o] = [normal(strip(exchange)), normal(strip(b.exchanges[n] ?? {}))];
    for (const d of differences(t, o)) judge(d, t, o);
  }
  for (const d of differences(normal(a.notes.map(outcome)), normal(b.notes.map(outcome)), "client")) judge(d, {}, {});
  if (found.length > 0) {
    bad += 1;
    console.log(`✗ ${name}`);
    for (const d of found) console.log(`    ${d.call ?? ""} ${d.status ?? ""} ${d.path}\n      theirs ${JSON.stringify(d.theirs)}\n      ours   ${JSON.stringify(d.ours)}`);
  }
}
const idle = allowed.filter((_, n) => !used.has(n));
for (const rule of idle) console.log(`a rule that nothing needs: ${rule.path} (${rule.why})`);
console.log(`${Object.keys(scenarios).length} scenarios, ${exchanges} exchanges, ${used.size} rules used, ${bad} scenarios with differences`);
process.exitCode = bad + idle.length > 0 ? 1 : 0;

function strip({ raw, ...exchange }) {
  const cookies = exchange.cookies?.filter((line) => !ownCookies.some((name) => line.startsWith(`${name}=`)));
  return { ...exchange, cookies };
}

/** What an application sees first: did it work, and what is the error called. */
function outcome(note) {
  return note.threw ? note : { ok: note.error === null, nothing: note.data === null, error: note.error };
}
