// A backend that wants another proof (RFC 9470), in a real browser: the client for browsers meets its challenge, by a form of the page or by the page of
// the service, and the other tabs go on in the session that has begun.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Authenticator } from "./authenticator.mjs";
import { reservePorts, start, waitFor } from "./place.mjs";

const PASSWORD = "a good long password";
const SECOND = "urn:countersign:acr:2fa";
let place, backend, api, reserved, sent;
const demand = {};

/** Answers who has a token, and demands what the test says; verifying tokens is not what is tested here. */
function answer(request, response) {
  const cors = { "access-control-allow-origin": place.origin, "access-control-allow-headers": "authorization, content-type", "access-control-expose-headers": "WWW-Authenticate" };
  if (request.method === "OPTIONS") return response.writeHead(204, cors).end();
  const parts = [];
  request.on("data", (part) => parts.push(part)).on("end", () => {
    sent.push(Buffer.concat(parts).toString());
    const token = request.headers.authorization?.slice(7);
    if (!token) return response.writeHead(401, cors).end();
    const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
    const old = Date.now() / 1_000 - claims.auth_time > (demand.maxAge ?? Infinity);
    if (!old && (!demand.acr || demand.acr === claims.acr)) return response.writeHead(200, cors).end(JSON.stringify(claims));
    const says = ["Bearer error=\"insufficient_user_authentication\"", ...(demand.acr ? [`acr_values="${demand.acr}"`] : []), ...(demand.maxAge === undefined ? [] : [`max_age=${demand.maxAge}`])];
    response.writeHead(demand.status ?? 401, { ...cors, "www-authenticate": `Basic realm="a, b", ${says.join(", ")}` }).end("{}");
  });
}

before(async () => {
  place = await start();
  reserved = await reservePorts(1);
  api = `http://localhost:${reserved.ports[0]}`;
  backend = createServer(answer).listen(reserved.ports[0], "127.0.0.1");
});
after(async () => {
  backend?.close().closeAllConnections();
  reserved?.release();
  await place?.stop();
});

// What makes every proof of the service a minute older, in place of waiting.
const AGE = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=10)
for session, proofs in database.execute("SELECT id, proofs FROM sessions").fetchall():
    older = " ".join(f"{name}:{int(at) - 60_000}" for name, at in (pair.split(":") for pair in proofs.split(" ")))
    database.execute("UPDATE sessions SET auth_time = auth_time - 60000, proofs = ? WHERE id = ?", (older, session))
database.commit()
`;

/** Makes every proof a minute older. The page, which is loaded again, has a token that says so, unless another tab hands an earlier one on. */
async function age(page) {
  execFileSync("python3", ["-c", AGE, join(place.cli()[2].cwd, "data", "countersign.db")]);
  await page.reload();
}

const shows = (page, text) => waitFor(async () => (await page.locator("#state").textContent()) === text, `"${text}"`);
const session = (page) => page.evaluate(() => auth.getSnapshot().session?.id);

/** A user who is signed in with a password in a page of an application. With an app, the factor is on and its proof is not in this session. */
async function user(name, { form = true, secured = true } = {}) {
  Object.assign(demand, { acr: undefined, maxAge: undefined, status: undefined });
  sent = [];
  const context = await place.browser.newContext({ locale: "en-GB" });
  const page = await context.newPage();
  const path = form ? "/both?form" : "/both";
  await page.goto(place.origin + path);
  await shows(page, "signedOut");
  const email = `${name}@example.com`;
  await page.evaluate(([name, email, password]) => auth.signUp({ name, email, password }), [name, email, PASSWORD]);
  await shows(page, email);
  let phone;
  if (secured) {
    const { totpURI } = await page.evaluate((password) => auth.call("/two-factor/enable", { password }), PASSWORD);
    phone = new Authenticator(new URL(totpURI).searchParams.get("secret"));
    await page.evaluate((code) => auth.secondStep({ code }), await phone.code());
  }
  const call = (body) => page.evaluate(async ([url, body]) => {
    const answer = await auth.fetch(url, { method: "POST", body });
    return { status: answer.status, ...(answer.ok ? await answer.json() : {}) };
  }, [`${api}/notes`, body]);
  return { context, page, email, phone, call };
}

/** Makes the page's form give codes of the phone, and counts how often it was shown. */
async function formOf(page, phone) {
  await page.exposeFunction("codeOf", () => phone.code());
  await page.evaluate(() => {
    window.asked = [];
    window.form = async (needed) => {
      window.asked.push(needed);
      await auth.stepUp({ code: await codeOf() });
      return true;
    };
  });
}

for (const status of [401, 403]) {
  test(`a ${status} that demands a recent proof: a form of the page, one for several requests, and each is sent again`, async () => {
    const { page, context, phone, call } = await user(`ana-${status}`);
    await age(page);
    await shows(page, `ana-${status}@example.com`);
    await formOf(page, phone);
    const other = await context.newPage();
    await other.goto(`${place.origin}/spa`);
    await shows(other, `ana-${status}@example.com`);
    const first = await session(page);
    assert.equal(await session(other), first);
    assert.equal((await call("before")).acr, SECOND);
    Object.assign(demand, { maxAge: 30, status });
    sent = [];
    const answers = await Promise.all(["a", "b", "c"].map(call));
    assert.deepEqual(answers.map((answer) => answer.status), [200, 200, 200]);
    assert.deepEqual(sent.slice(3).sort(), ["a", "b", "c"]);
    const asked = await page.evaluate(() => window.asked);
    assert.equal(asked.length, 1);
    assert.equal(asked[0].maxAge, 30);
    assert.ok(asked[0].methods.includes("totp"), asked[0].methods.join());
    const second = await session(page);
    assert.notEqual(second, first, "a new session has replaced the old one");
    await waitFor(async () => (await session(other)) === second, "the other tab in the new session");
    const { status: there } = await other.evaluate(async (url) => ({ status: (await auth.fetch(url)).status }), `${api}/notes`);
    assert.equal(there, 200);
    await shows(other, `ana-${status}@example.com`);
    await context.close();
  });
}

test("a user who gives up has the backend's answer, and stays signed in", async () => {
  const { page, context, call, email } = await user("bob");
  await page.evaluate(() => (window.form = () => false));
  Object.assign(demand, { acr: "urn:countersign:acr:phr" });
  assert.equal((await call("a")).status, 401);
  assert.equal(sent.length, 1);
  await shows(page, email);
  await context.close();
});

test("the password in the session is a proof, and a wrong one is none", async () => {
  const { page, context } = await user("carl", { secured: false });
  const first = await session(page);
  const wrong = await page.evaluate(() => auth.stepUp({ password: "another good password" }).catch(({ status, code }) => ({ status, code })));
  assert.deepEqual(wrong, { status: 400, code: "INVALID_PASSWORD" });
  const weak = await page.evaluate((acrValues) => auth.stepUp({ acrValues }).catch(({ status, code, methods, enrol }) => ({ status, code, methods, enrol })), SECOND);
  assert.equal(weak.code, "INSUFFICIENT_USER_AUTHENTICATION");
  assert.ok(weak.enrol?.includes("totp") || weak.methods.length > 0, JSON.stringify(weak));
  const proven = await page.evaluate((password) => auth.stepUp({ password, maxAge: 60 }), PASSWORD);
  assert.deepEqual([proven.amr, typeof proven.authTime], [["pwd"], "number"]);
  assert.notEqual(await session(page), first);
  assert.equal((await page.evaluate(() => client.getSession())).data.session.id, await session(page), "one session for both clients");
  await context.close();
});

test("without a form the page of the service asks, and leads back", async () => {
  const { page, context, phone, call } = await user("dora", { form: false });
  await age(page);
  await shows(page, "dora@example.com");
  Object.assign(demand, { maxAge: 30 });
  await Promise.all([page.waitForURL((url) => url.pathname === "/auth/step-up"), call("a").catch(() => {})]);
  assert.equal(new URL(page.url()).searchParams.get("max_age"), "30");
  await page.locator("#challenge input[name=code]").fill(await phone.code());
  await page.locator("#challenge button:not([type=button])").click();
  await page.waitForURL(`${place.origin}/both`);
  await shows(page, "dora@example.com");
  assert.equal((await call("b")).status, 200);
  await context.close();
});
