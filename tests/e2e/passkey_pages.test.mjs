// Passkeys on the pages of the service in a real browser: added, renamed, used to sign in and as a second step, deleted; and every page looked at.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Authenticator } from "./authenticator.mjs";
import { look, seen } from "./looking.mjs";
import { start, waitFor } from "./place.mjs";
import { virtualAuthenticator } from "./virtual_authenticator.mjs";
import { PASSWORD, signIn, signUp, visitor } from "./visitor.mjs";

let place;
before(async () => (place = await start()));
after(async () => {
  await place?.stop();
  console.log(`${seen.pages.size} pages looked at ${seen.looks} times: ${seen.violations} violations of axe's rules, ${seen.policy.length} of the pages' policy`);
  assert.deepEqual(seen.policy, []);
});

const SECURITY = "/auth/account/security";
const rows = (page) => page.locator("form[id^=delete-passkey-]");

/** A user with a passkey, who is signed in. */
async function owner(name, options = {}) {
  const me = await visitor(place, options);
  await signUp(me, name);
  const device = await virtualAuthenticator(me.page, options.device);
  await me.open(SECURITY);
  await me.page.locator("#passkey-register").click();
  await rows(me.page).first().waitFor();
  assert.equal((await device.credentials()).length, 1);
  return { ...me, device };
}

/** Signs out. In a browser that offers no passkeys in fields, the button alone asks for one. */
async function leave({ page, open, context }, offers = false) {
  if (!offers) await page.addInitScript(() => (PublicKeyCredential.isConditionalMediationAvailable = async () => false));
  await context.clearCookies();
  await open("/auth/sign-in");
}

for (const locale of ["en-GB", "de-DE", "es-ES"]) {
  const language = locale.slice(0, 2);
  test(`every page of passkeys, looked at (${language})`, async () => {
    const me = await visitor(place, { locale });
    const { page, open, at, context } = me;
    await signUp(me, `ana-${language}`);
    const device = await virtualAuthenticator(page);
    await open(SECURITY);
    await look(page, `passkeys-none-${language}`);
    await page.locator("#passkey-register").click();
    await rows(page).first().waitFor();
    await look(page, `passkeys-one-${language}`);
    await page.locator("#passkeys details summary").click();
    await page.locator("form[id^=rename-passkey-] input[name=name]").fill("My laptop");
    await page.locator("form[id^=rename-passkey-] button:not([type=button])").click();
    await at(`${SECURITY}?done=passkey_renamed`);
    await look(page, `passkeys-renamed-${language}`);
    assert.equal((await device.credentials()).length, 1);
    await leave(me);
    await look(page, `passkeys-sign-in-${language}`);
    await context.close();
  });
}

test("the button of the sign-in page signs in, and leads where the browser wanted to go", async () => {
  const me = await owner("bob");
  const { page, open, at, context } = me;
  await leave(me);
  await open("/auth/sign-in?redirect_to=/auth/account/security");
  await page.locator("#passkey-sign-in").click();
  await at(SECURITY);
  assert.equal(await rows(page).count(), 1);
  await context.close();
});

test("the field of the sign-in page offers the passkey", async () => {
  const fresh = await visitor(place);
  await fresh.open("/auth/sign-in");
  assert.equal(await fresh.page.locator("#sign-in-email").getAttribute("autocomplete"), "username webauthn");
  await fresh.context.close();
  const me = await owner("carl");
  await leave(me, true);
  await me.at("/auth/account");
  await me.context.close();
});

test("a user who says no stays on the page, which says so", async () => {
  const me = await owner("dora");
  const { page, context, device } = me;
  await leave(me);
  await device.verifies(false);
  await page.locator("#passkey-sign-in").click();
  await page.locator(".said[role=alert]").waitFor();
  assert.equal(new URL(page.url()).pathname, "/auth/sign-in");
  await context.close();
});

test("a password and then the passkey as the second step", async () => {
  const me = await visitor(place);
  const { page, open, at, send, context } = me;
  await signUp(me, "emil");
  const device = await virtualAuthenticator(page, { hasUserVerification: false, isUserVerified: false });
  await open(SECURITY);
  await page.locator("#passkey-register").click();
  await rows(page).first().waitFor();
  await send("set-up", { current: PASSWORD });
  const phone = new Authenticator(await page.locator("code.key").textContent());
  await send("confirm", { code: await phone.code() });
  await at(`${SECURITY}?done=two_step_on`);
  assert.equal((await device.credentials()).length, 1);
  await leave(me);
  await signIn(me, "emil");
  await page.waitForURL((url) => url.pathname === "/auth/challenge");
  await look(page, "passkeys-challenge");
  await page.locator("#passkey-authenticate").click();
  await at("/auth/account");
  await context.close();
});

test("a passkey that is deleted on the page disappears from the authenticator", async () => {
  const { page, at, context, device } = await owner("fay");
  await rows(page).locator("button:not([type=button])").click();
  await at(`${SECURITY}?done=passkey_deleted`);
  assert.equal(await rows(page).count(), 0);
  await waitFor(async () => (await device.credentials()).length === 0, "the deleted passkey to disappear");
  await context.close();
});

test("a passkey that the service does not know any more is signalled by the page", async () => {
  const me = await owner("gus");
  const { page, context, device } = me;
  const [held] = await device.credentials();
  await page.evaluate(async () => {
    const api = document.body.dataset.api;
    const ask = (path, body) => fetch(`${api}/passkey/${path}`, body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }).then((answer) => answer.json());
    for (const { id } of await ask("list-user-passkeys")) await ask("delete-passkey", { id });
  });
  assert.deepEqual((await device.credentials()).map(({ credentialId }) => credentialId), [held.credentialId]);
  await leave(me);
  await page.locator("#passkey-sign-in").click();
  await page.locator(".said[role=alert]").waitFor();
  await waitFor(async () => (await device.credentials()).length === 0, "the unknown passkey to disappear");
  await context.close();
});

test("without script the pages say what a passkey needs", async () => {
  const { page, open, context } = await visitor(place, { javaScriptEnabled: false });
  await open("/auth/sign-in");
  assert.equal(await page.locator("#passkey-sign-in").isVisible(), false);
  assert.equal(await page.locator("#sign-in").isVisible(), true);
  await context.close();
});
