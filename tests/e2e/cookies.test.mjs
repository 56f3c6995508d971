// What a real browser does with cookies of one name for several domains, and with refusals that come late.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cookie, start } from "./place.mjs";

const PASSWORD = "a good long password";
const SESSION = cookie("session_token");

/** Posts or gets as a page of this origin does: the status and the answer. */
async function ask(page, path, body) {
  return page.evaluate(
    async ([url, content]) => {
      const how = content ? { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(content) } : {};
      const response = await fetch(url, how);
      return { status: response.status, body: await response.json() };
    },
    [path, body],
  );
}

const form = (name) => ({ name, email: `${name}@example.com`, password: PASSWORD });
const signIn = (page, name) => ask(page, "/api/auth/sign-in/email", form(name));
const signUp = (page, name) => ask(page, "/api/auth/sign-up/email", form(name));
const whoIs = async (page) => {
  const { status, body } = await ask(page, "/api/auth/session");
  return [status, body.user?.email];
};

/** The places for which the browser holds this cookie. */
const heldFor = async (context, name) => (await context.cookies()).filter((c) => c.name === name).map((c) => `${c.domain} ${c.path}`).sort();

/** The service at `auth.app.localhost`, which a browser takes for loopback, with a page of it and one of a host beside it. */
async function besides(t) {
  const place = await start();
  t.after(place.stop);
  const url = new URL(place.auth);
  const own = `http://auth.app.localhost:${url.port}`;
  const settings = [`server.public_url=${own}`, "server.allow_insecure=true", "sessions.cookie_cache=1m"];
  await place.again(settings);
  const context = await place.browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  await page.goto(`${own}/health`);
  const sibling = async () => {
    const beside = await context.newPage();
    await beside.goto(`http://evil.app.localhost:${new URL(place.evil).port}/`);
    return beside;
  };
  return { place, own, settings, context, page, sibling };
}

test("a cookie domain that is set later leaves two session cookies: the new one counts, and signing out clears both", async (t) => {
  const { place, settings, context, page } = await besides(t);
  assert.equal((await signUp(page, "ana")).status, 200);
  assert.deepEqual(await heldFor(context, SESSION), ["auth.app.localhost /"]);
  await place.again([...settings, "sessions.cookie_domain=app.localhost"]);
  assert.deepEqual(await whoIs(page), [200, "ana@example.com"], "the session from before goes on");
  assert.equal((await signIn(page, "ana")).status, 200);
  assert.deepEqual(await heldFor(context, SESSION), [".app.localhost /", "auth.app.localhost /"], "the browser holds both");
  assert.deepEqual(await whoIs(page), [200, "ana@example.com"]);
  assert.equal((await ask(page, "/api/auth/refresh", {})).status, 200);
  assert.equal((await ask(page, "/api/auth/sign-out", {})).status, 200);
  assert.deepEqual(await heldFor(context, SESSION), [], "the one of the host and the one of the domain");
  assert.deepEqual(await heldFor(context, cookie("refresh_token")), []);
  assert.deepEqual((await whoIs(page))[0], 401);
  assert.equal((await signIn(page, "ana")).status, 200);
  assert.deepEqual(await whoIs(page), [200, "ana@example.com"]);
});

test("a session cookie planted by a sibling host: a dead one is passed over, a live one makes both count for nothing until signing out clears them", async (t) => {
  const { place, context, page, sibling } = await besides(t);
  // What the other host got for its own account, once ended and once alive.
  const other = await place.browser.newContext({ bypassCSP: true });
  const elsewhere = await other.newPage();
  await elsewhere.goto(page.url());
  const eve = async () => (await other.cookies()).find((c) => c.name === SESSION).value;
  await signUp(elsewhere, "eve");
  const dead = await eve();
  await ask(elsewhere, "/api/auth/sign-out", {});
  await signIn(elsewhere, "eve");
  const live = await eve();
  const beside = await sibling();
  const plant = (value, path) => beside.evaluate((line) => (document.cookie = line), `${SESSION}=${value}; Domain=app.localhost; Path=${path}`);

  assert.equal((await signUp(page, "ana")).status, 200);
  // The longer path stands first in what the browser sends.
  for (const path of ["/", "/api/auth"]) {
    await plant(dead, path);
    assert.deepEqual(await whoIs(page), [200, "ana@example.com"], `planted at ${path}`);
  }
  assert.equal((await heldFor(context, SESSION)).length, 3);
  assert.equal((await ask(page, "/api/auth/sign-out", {})).status, 200);
  assert.deepEqual(await heldFor(context, SESSION), [], "of every host and path");

  assert.equal((await signIn(page, "ana")).status, 200);
  await plant(live, "/api/auth");
  assert.equal((await whoIs(page))[0], 401, "two live sessions are neither");
  assert.equal((await heldFor(context, SESSION)).length, 2);
  assert.equal((await ask(page, "/api/auth/sign-out", {})).status, 200);
  assert.deepEqual(await heldFor(context, SESSION), []);
  assert.equal((await signIn(page, "ana")).status, 200);
  assert.deepEqual(await whoIs(page), [200, "ana@example.com"]);
});

test("a slow refusal of the session that a sign-in replaced, delivered after the new cookies, clears none of them", async (t) => {
  // Two answers are held: that of the sign-in, until the refusal has been made, and the refusal, until the new cookies have arrived.
  const gate = () => {
    const own = {};
    own.open = new Promise((resolve) => (own.release = resolve));
    own.reached = new Promise((resolve) => (own.reach = resolve));
    own.hold = async () => {
      own.reach();
      await own.open;
    };
    return own;
  };
  const [second, refusal] = [gate(), gate()];
  const seen = [];
  const hears = async (request, answer) => {
    if (request.url.endsWith("/sign-in/email?second")) await second.hold();
    if (request.url.endsWith("/refresh") && answer.statusCode === 401) {
      seen.push(answer.headers["set-cookie"] ?? []);
      await refusal.hold();
    }
  };
  const place = await start([], hears);
  t.after(place.stop);
  const context = await place.browser.newContext({ bypassCSP: true });
  const [page, tab] = [await context.newPage(), await context.newPage()];
  await Promise.all([page, tab].map((each) => each.goto(`${place.auth}/health`)));
  await signUp(page, "bob");
  await signUp(page, "ana");
  const before = (await context.cookies()).find((c) => c.name === SESSION).value;

  const entering = ask(tab, "/api/auth/sign-in/email?second", form("bob"));
  await second.reached;
  const late = ask(page, "/api/auth/refresh", {});
  await refusal.reached;
  second.release();
  assert.equal((await entering).status, 200);
  const held = await heldFor(context, SESSION);
  assert.notEqual((await context.cookies()).find((c) => c.name === SESSION).value, before, "the new cookies are there");
  refusal.release();
  const answer = await late;
  assert.deepEqual([answer.status, answer.body.code], [401, "REFRESH_TOKEN_REVOKED"]);
  assert.deepEqual(await heldFor(context, SESSION), held);
  assert.deepEqual(seen, [[]], "one refusal, and it clears nothing");
  assert.deepEqual(await whoIs(page), [200, "bob@example.com"]);
  assert.equal((await ask(page, "/api/auth/refresh", {})).status, 200, "the refresh cookie is the new one as well");
});
