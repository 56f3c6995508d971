// The npm client of Better Auth and ours in one page: one session.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { start, waitFor } from "./place.mjs";

let place;
before(async () => (place = await start()));
after(async () => place?.stop());

test("who signs in with one is signed in with the other, in the same session", async () => {
  const context = await place.browser.newContext();
  const page = await context.newPage();
  await page.goto(`${place.origin}/both`);
  const shows = (text) => waitFor(async () => (await page.locator("#state").textContent()) === text, `"${text}"`);
  await shows("signedOut");
  await page.evaluate(() => client.signUp.email({ name: "ana", email: "ana@example.com", password: "a good long password" }));
  const known = await page.evaluate(() => auth.session({ fresh: true }));
  assert.equal(known.user.email, "ana@example.com");
  await shows("ana@example.com");
  const { data } = await page.evaluate(() => client.getSession());
  assert.equal(data.session.id, known.session.id, "one session");
  // Ours refreshes; theirs goes on.
  for (let i = 0; i < 3; i++) await page.evaluate(() => auth.session({ fresh: true }));
  assert.equal((await page.evaluate(() => client.getSession())).data.session.id, known.session.id);
  const { data: token } = await page.evaluate(() => client.token());
  assert.equal(JSON.parse(Buffer.from(token.token.split(".")[1], "base64url")).sid, known.session.id);
  await page.reload();
  await shows("ana@example.com");
  await page.waitForFunction(() => document.querySelector("#who")?.textContent.includes("ana@example.com"));
  // Theirs signs out: ours notices at the next question.
  await page.evaluate(() => client.signOut());
  assert.equal(await page.evaluate(() => auth.session({ fresh: true })), null);
  await shows("signedOut");
  await page.evaluate(() => auth.signIn({ email: "ana@example.com", password: "a good long password" }));
  assert.equal((await page.evaluate(() => client.getSession())).data.user.email, "ana@example.com");
  await context.close();
});
