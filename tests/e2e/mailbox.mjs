// What tests do with the mailbox of a user of the pages: codes, links, a mail looked at.
import assert from "node:assert/strict";
import { join } from "node:path";
import { linkIn, mailsTo, pictures, waitFor } from "./place.mjs";
import { signUp } from "./visitor.mjs";

export const address = (name) => `${name}@example.com`;

/** The code in a mail stands alone in its line. */
export const codeIn = (mail) => /^\d{6}\r?$/m.exec(mail.text)?.[0].trim();

/** Six digits that are none of these codes. */
export const wrong = (...codes) => ["000000", "111111", "222222", "333333"].find((code) => !codes.includes(code));

/** The mails with a code to a user; there are `count` of them. */
export async function codeMails(place, name, count) {
  const found = () => mailsTo(place, address(name)).filter(codeIn);
  await waitFor(() => found().length >= count, `mail ${count} to ${name}`);
  assert.equal(found().length, count);
  return found();
}

/** The code of the newest mail to a user; there are `count` mails with one. */
export const lastCode = async (place, name, count) => codeIn((await codeMails(place, name, count)).at(-1));

/** The newest mail to a user whose subject is like this. */
export const mailAbout = (place, name, subject) => waitFor(() => mailsTo(place, address(name)).findLast((mail) => subject.test(mail.subject)), `a mail ${subject} to ${name}`);

/** Signs up with a password, and verifies the mailbox. */
export async function verified(place, me, name) {
  await signUp(me, name);
  await me.page.locator("form[action$='/verify'] button").click();
  await me.page.goto(linkIn(await waitFor(() => mailsTo(place, address(name)).at(-1), "the link")));
  await me.page.locator("main form button").click();
  await me.page.waitForURL((url) => url.search.includes("done"));
}

/** Signs in by the code of a mail, the mail with a code number `count`; without an account this makes one. */
export async function signInByCode(place, me, name, count, path = "/auth/sign-in/email") {
  await me.open(path);
  await me.send("email-sign-in", { email: address(name) });
  await me.at("/auth/sign-in/email");
  await me.send("email-code", { code: await lastCode(place, name, count) });
}

/** A mail as a mail program shows it, wide and narrow. */
export async function lookAtMail({ context }, mail, name) {
  const page = await context.newPage();
  for (const width of [640, 320]) {
    await page.setViewportSize({ width, height: 700 });
    await page.setContent(mail.html);
    await page.screenshot({ path: join(pictures, `${name}-${width}.png`), fullPage: true });
    assert.ok(await page.evaluate((width) => document.documentElement.scrollWidth <= width, width), `${name}: wider than ${width} pixels`);
  }
  await page.close();
}
