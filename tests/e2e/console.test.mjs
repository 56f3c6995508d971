// What a developer sees of the client for browsers: an empty console for a visit without a session, and why a page is refused.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { start, waitFor } from "./place.mjs";

let place;
before(async () => (place = await start()));
after(async () => place?.stop());

/** A page with the client, and the errors and warnings of its console. */
async function visit(origin) {
  const context = await place.browser.newContext();
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`${origin}/spa`);
  const shows = (text) => waitFor(async () => (await page.locator("#state").textContent()) === text, `"${text}"`);
  return { context, page, complaints, shows };
}

test("a visit without a session writes nothing to the console; nor does one that finds its session", async () => {
  const { context, page, complaints, shows } = await visit(place.origin);
  await shows("signedOut");
  assert.deepEqual(complaints, []);
  // The browser does print an answer with an error status.
  await page.evaluate((url) => fetch(url, { method: "POST", credentials: "include" }), `${place.auth}/api/auth/refresh`);
  await waitFor(() => complaints.length, "a complaint");
  assert.match(complaints.splice(0).join(), /401/);
  await page.evaluate(() => auth.signUp({ name: "ana", email: "ana@example.com", password: "a good long password" }));
  await shows("ana@example.com");
  // The access token is gone with the page; the session is found by the refresh.
  await page.reload();
  await shows("ana@example.com");
  assert.equal(await page.evaluate(() => auth.getSnapshot().user.roles.join()), "user");
  await page.evaluate(() => auth.signOut());
  await shows("signedOut");
  await page.reload();
  await shows("signedOut");
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a page whose origin is not trusted learns of it, and goes on once it is", async () => {
  const { context, page, complaints, shows } = await visit(place.evil);
  await shows("error");
  const hint = await waitFor(() => page.evaluate(() => auth.getSnapshot().hint), "the hint");
  assert.equal(hint, `${place.auth}/api/auth refuses requests of this page. Add "${place.evil}" to server.trusted_origins.`);
  const told = () => complaints.filter((text) => text.startsWith("@countersign/web"));
  assert.deepEqual(told(), [`@countersign/web: ${hint}`]);
  await place.again([`server.trusted_origins=${place.origin},${place.evil}`]);
  await page.evaluate(() => dispatchEvent(new Event("focus")));
  await shows("signedOut");
  assert.equal(await page.evaluate(() => auth.getSnapshot().hint), null);
  assert.equal(told().length, 1);
  await context.close();
});
