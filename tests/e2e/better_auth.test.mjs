// The npm client of Better Auth in a real browser: the page and we are two origins, cookies and CORS are the browser's.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { cookie, everyMail, linkIn, mailsTo, pictures, start, waitFor } from "./place.mjs";

const PASSWORD = "a good long password";
let place;
before(async () => (place = await start()));
after(async () => place?.stop());

const who = (page, says) => page.waitForFunction((text) => document.querySelector("#who")?.textContent.includes(text), says, { timeout: 10_000 });

/** A user's browser, with the application open. */
async function visitor(path = "/") {
  const context = await place.browser.newContext();
  const page = await context.newPage();
  const refused = [];
  page.on("console", (message) => message.type() === "error" && refused.push(message.text()));
  await page.goto(place.origin + path);
  await who(page, "");
  return { context, page, refused };
}

const signUp = (page, name, rest = {}) =>
  page.evaluate(([form]) => client.signUp.email(form), [{ name, email: `${name}@example.com`, password: PASSWORD, ...rest }]);

const signIn = (page, name, rest = {}) => page.evaluate(([form]) => client.signIn.email(form), [{ email: `${name}@example.com`, password: PASSWORD, ...rest }]);

test("a sign-up shows in useSession at once, and after a reload", async () => {
  const { page, context } = await visitor();
  await who(page, "signed out");
  const { data, error } = await signUp(page, "ana");
  assert.equal(error, null);
  assert.equal(data.user.email, "ana@example.com");
  await who(page, "ana <ana@example.com>");
  await page.reload();
  await who(page, "ana <ana@example.com>");
  assert.equal(await page.evaluate(() => document.cookie), "", "no script reads a cookie of ours");
  const cookies = await context.cookies();
  assert.deepEqual(cookies.map((c) => [c.name, c.httpOnly, c.sameSite]).sort(), [[cookie("known_device"), true, "Lax"], [cookie("refresh_token"), true, "Strict"], [cookie("session_token"), true, "Lax"]]);
  await context.close();
});

test("what one tab does shows in the other: signing out, another name", async () => {
  const { page, context } = await visitor();
  await signUp(page, "bob");
  const other = await context.newPage();
  await other.goto(place.origin);
  await who(other, "bob <bob@example.com>");
  await page.evaluate(() => client.signOut());
  await who(page, "signed out");
  await who(other, "signed out");
  // Signing in is told to no other tab by the client; a change of name is.
  await signIn(other, "bob");
  await who(other, "bob <bob@example.com>");
  await other.evaluate(() => client.updateUser({ name: "robert" }));
  await who(other, "robert <bob@example.com>");
  await who(page, "robert <bob@example.com>");
  await context.close();
});

test("a wrong password is an error and signs no user in", async () => {
  const { page, context } = await visitor();
  const { data, error } = await signIn(page, "ana", { password: "another good password" });
  assert.equal(data, null);
  assert.deepEqual([error.status, error.code], [401, "INVALID_EMAIL_OR_PASSWORD"]);
  await who(page, "signed out");
  await context.close();
});

test("an access token is refreshed from the page and good for a backend", async () => {
  const { page, context } = await visitor();
  await signUp(page, "carl");
  const { data } = await page.evaluate(() => client.token());
  const claims = JSON.parse(Buffer.from(data.token.split(".")[1], "base64url"));
  assert.equal(claims.email, "carl@example.com");
  const { data: keys } = await page.evaluate(() => client.jwks());
  assert.ok(keys.keys.length >= 2);
  const stranger = await context.newPage();
  await stranger.goto(place.evil);
  assert.equal(await stranger.evaluate(async (auth) => (await fetch(`${auth}/api/auth/jwks`)).status, place.auth), 200, "keys are public");
  const refreshed = await page.evaluate(async (auth) => {
    const answer = await fetch(`${auth}/api/auth/refresh`, { method: "POST", credentials: "include" });
    return [answer.status, (await answer.json()).tokenType, answer.headers.get("x-request-id") !== null];
  }, place.auth);
  assert.deepEqual(refreshed, [200, "Bearer", true]);
  const { data: session } = await page.evaluate(() => client.getSession());
  assert.equal(session.user.name, "carl");
  await context.close();
});

test("an untrusted page reads nothing and changes nothing", async () => {
  const { page, context } = await visitor();
  await signUp(page, "dora");
  const evil = await context.newPage();
  await evil.goto(place.evil);
  const read = await evil.evaluate(async (auth) => fetch(`${auth}/api/auth/get-session`, { credentials: "include" }).then((a) => a.text(), (e) => String(e)), place.auth);
  assert.match(read, /TypeError/);
  // It is sent, cookies and all; not even that there is an answer is told.
  const sent = evil.waitForRequest((request) => request.url().endsWith("/sign-out") && request.method() === "POST");
  const told = await evil.evaluate(async (auth) => fetch(`${auth}/api/auth/sign-out`, { method: "POST", credentials: "include", mode: "no-cors" }).then(() => "an answer", (e) => String(e)), place.auth);
  await sent;
  assert.match(told, /TypeError/);
  await page.reload();
  await who(page, "dora <dora@example.com>");
  await context.close();
});

test("who is only here until the browser closes is not there afterwards", async () => {
  const { page, context } = await visitor();
  await signUp(page, "emil");
  await page.evaluate(() => client.signOut());
  await signIn(page, "emil", { rememberMe: false });
  await who(page, "emil <emil@example.com>");
  const kept = (await context.cookies()).filter((c) => c.expires !== -1).map((c) => c.name);
  assert.deepEqual(kept, [cookie("known_device")], "which signs no user in");
  await context.close();
});

test("a forgotten password, by the link of the mail", async () => {
  const { page, context } = await visitor();
  await signUp(page, "fay");
  await page.evaluate(() => client.signOut());
  await page.evaluate((redirectTo) => client.requestPasswordReset({ email: "fay@example.com", redirectTo }), `${place.origin}/reset`);
  const [mail] = await waitFor(() => (mailsTo(place, "fay@example.com").length > 0 ? mailsTo(place, "fay@example.com") : null), "the mail");
  await page.goto(linkIn(mail));
  assert.equal(new URL(page.url()).origin, place.origin);
  await who(page, "signed out");
  const token = new URL(page.url()).searchParams.get("token");
  const { error } = await page.evaluate((token) => client.resetPassword({ newPassword: "another good password", token }), token);
  assert.equal(error, null);
  await signIn(page, "fay", { password: "another good password" });
  await who(page, "fay");
  await context.close();
});

test("another address: the link asks, and its button changes it", async () => {
  const { page, context, refused } = await visitor();
  await signUp(page, "gus");
  await page.evaluate((callbackURL) => client.changeEmail({ newEmail: "gustav@example.com", callbackURL }), `${place.origin}/changed`);
  const [mail] = await waitFor(() => (mailsTo(place, "gustav@example.com").length > 0 ? mailsTo(place, "gustav@example.com") : null), "the mail");
  await page.goto(linkIn(mail));
  await page.screenshot({ path: join(pictures, "confirm-change.png") });
  await page.getByRole("button", { name: "Yes, confirm it" }).click();
  await page.waitForURL(`${place.origin}/changed`);
  await who(page, "gus <gustav@example.com>");
  assert.deepEqual(refused, [], "the page's own policy lets it work");
  await context.close();
});

test("an account is deleted by the button behind its mail, and cookies go", async () => {
  const { page, context, refused } = await visitor();
  await signUp(page, "hal");
  await page.evaluate((callbackURL) => client.deleteUser({ callbackURL }), `${place.origin}/bye`);
  const [mail] = await waitFor(() => (mailsTo(place, "hal@example.com").length > 0 ? mailsTo(place, "hal@example.com") : null), "the mail");
  await page.goto(linkIn(mail));
  await page.screenshot({ path: join(pictures, "confirm-delete.png") });
  await page.getByRole("button", { name: "Delete my account" }).click();
  await page.waitForURL(`${place.origin}/bye`);
  await who(page, "signed out");
  assert.deepEqual((await context.cookies()).map((c) => c.name), [cookie("known_device")]);
  assert.deepEqual(refused, []);
  await context.close();
});

test("an admin acts as a user and is the admin again", async () => {
  const { page, context } = await visitor();
  await signUp(page, "root");
  execFileSync(...place.cli("users", "set-role", "root@example.com", "admin"));
  const { data: users } = await page.evaluate(() => client.admin.listUsers({ query: { searchValue: "ana@" } }));
  await page.evaluate((userId) => client.admin.impersonateUser({ userId }), users.users[0].id);
  await who(page, "ana <ana@example.com>");
  const { data } = await page.evaluate(() => client.token());
  assert.ok(JSON.parse(Buffer.from(data.token.split(".")[1], "base64url")).act.sub, "marked");
  await page.evaluate(() => client.admin.stopImpersonating());
  await who(page, "root <root@example.com>");
  await context.close();
});

test("mails, as their readers see them", async () => {
  const { page: asking, context } = await visitor();
  await asking.evaluate(() => client.sendVerificationEmail({ email: "ana@example.com" }));
  execFileSync(...place.cli("users", "invite", "ines@example.com", "--name", "Ines", "--redirect-to", "/welcome"));
  await context.close();
  // No notice goes to an address that was never proven.
  const kinds = ["Choose a new password", "Your password was changed", "Confirm", "Delete", "Confirm your email address", "You are invited"];
  const bySubject = (all) => new Map(all.map((mail) => [mail.subject, mail]));
  const mails = await waitFor(() => (bySubject(everyMail(place)).size >= kinds.length ? bySubject(everyMail(place)) : null), "every kind of mail");
  const page = await place.browser.newPage({ viewport: { width: 640, height: 480 } });
  for (const [subject, mail] of mails) {
    await page.setContent(mail.html);
    const name = subject.replaceAll(/[^a-z]+/gi, "-").toLowerCase();
    await page.screenshot({ path: join(pictures, `mail-${name}.png`) });
    // Mails that are sent for their link have a button, a notice has a link to the page where its reader acts.
    const isNotice = /was changed/.test(subject);
    const box = await page.locator("a").first().boundingBox();
    assert.ok(box.width > 80 && box.height > (isNotice ? 15 : 30) && box.x >= 0 && box.x + box.width <= 640, `${subject}: the button is there`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 640), `${subject}: nothing is cut off`);
    assert.ok((await page.locator("p").count()) >= 2, subject);
  }
  console.log([...mails.keys()].join("; "));
  await page.close();
});
