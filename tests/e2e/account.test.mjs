// What the README of the client for browsers shows of passwords, profile and devices, against the service.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { linkIn, mailsTo, start, waitFor } from "./place.mjs";

const EMAIL = "bob@example.com";
const [FIRST, SECOND, THIRD] = ["a good long password", "another good password", "yet another good one"];

let place;
before(async () => (place = await start()));
after(async () => place?.stop());

async function visit() {
  const context = await place.browser.newContext();
  const page = await context.newPage();
  await page.goto(`${place.origin}/spa`);
  const shows = (text) => waitFor(async () => (await page.locator("#state").textContent()) === text, `"${text}"`);
  await shows("signedOut");
  const call = (path, body) => page.evaluate(([path, body]) => auth.call(path, body), [path, body]);
  const signIn = (password) => page.evaluate((form) => auth.signIn(form).catch((error) => error.code), { email: EMAIL, password });
  const fresh = () => page.evaluate(() => auth.session({ fresh: true }));
  return { page, shows, call, signIn, fresh };
}

test("forgotten, changed, another name, other devices, deleted", async () => {
  const { page, shows, call, signIn, fresh } = await visit();
  await page.evaluate((form) => auth.signUp(form), { name: "bob", email: EMAIL, password: FIRST });
  await shows(EMAIL);

  // Forgotten.
  await call("/request-password-reset", { email: EMAIL, redirectTo: `${place.origin}/spa` });
  const mail = await waitFor(() => mailsTo(place, EMAIL).find((each) => /new password/i.test(each.subject)), "the mail");
  await page.goto(linkIn(mail));
  const arrived = new URL(page.url());
  assert.equal(arrived.origin + arrived.pathname, `${place.origin}/spa`);
  await call("/reset-password", { token: arrived.searchParams.get("token"), newPassword: SECOND });
  assert.equal(await fresh(), null, "a reset ends every session");
  assert.equal(await signIn(FIRST), "INVALID_EMAIL_OR_PASSWORD");
  assert.equal((await signIn(SECOND)).email, EMAIL);

  // Changed: this browser goes on in another session, another device does not.
  const other = await visit();
  await other.signIn(SECOND);
  const before = (await fresh()).session.id;
  await page.evaluate((form) => auth.changePassword(form), { currentPassword: SECOND, newPassword: THIRD });
  const after = await fresh();
  assert.notEqual(after.session.id, before);
  assert.equal(await page.evaluate(() => auth.getSnapshot().status), "signedIn");
  assert.equal(await other.fresh(), null);

  // The profile.
  await call("/update-user", { name: "Bob Berg" });
  assert.equal((await fresh()).user.name, "Bob Berg");

  // The devices.
  await other.signIn(THIRD);
  // The end is that of the newest refresh: asked again, in case the minute of a successor is over.
  const { session } = await fresh();
  const devices = await call("/list-sessions");
  assert.deepEqual(devices.map((device) => device.current).sort(), [false, true]);
  const own = devices.find((device) => device.current);
  assert.deepEqual([own.id, own.expiresAt], [after.session.id, session.expiresAt]);
  await call("/revoke-session", { token: devices.find((device) => !device.current).token });
  assert.equal(await other.fresh(), null);
  assert.equal((await fresh()).session.id, own.id);

  // Deleted.
  await call("/delete-user", { password: THIRD });
  assert.equal(await fresh(), null);
  await shows("signedOut");
  assert.equal(await signIn(THIRD), "INVALID_EMAIL_OR_PASSWORD");
});
