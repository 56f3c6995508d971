// The whole way of a new user: by touch on a phone, by keyboard alone, and without script. After each answer the focus is where the user goes on.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { look, looked } from "./looking.mjs";
import { linkIn, mailsTo, start, waitFor } from "./place.mjs";

const FIRST = "a good long password";
const SECOND = "another good password";
const PHONE = { viewport: { width: 390, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

let place;
before(async () => (place = await start(["mail.notify_new_sign_in=true"])));
after(async () => {
  await place?.stop();
  looked();
});

const lastMail = (to, subject) => waitFor(() => mailsTo(place, to).filter((mail) => subject.test(mail.subject)).at(-1), `a mail to ${to}`);
const field = (page, label, at) => page.getByLabel(label, { exact: true }).nth(at);
const named = (page, role, name) => page.getByRole(role, { name, exact: typeof name === "string" }).first();

/** Reaches an element by Tab, and checks on the way that each stop is seen and that the way has an end. */
async function tabTo(page, element) {
  const isHere = () => element.evaluate((e) => e === document.activeElement);
  for (let presses = 0; presses < 80; presses++) {
    if (await isHere()) return;
    await page.keyboard.press("Tab");
    const ring = await page.evaluate(() => document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== "none");
    assert.ok(ring, "the focus is not seen");
  }
  assert.fail(`${await element.evaluate((e) => e.outerHTML)} cannot be reached by Tab`);
}

const HANDS = {
  touch: {
    options: PHONE,
    fill: (page, element, text) => element.fill(text),
    press: (page, element) => element.tap(),
  },
  keyboard: {
    options: {},
    fill: async (page, element, text) => {
      await tabTo(page, element);
      await page.keyboard.press("Control+A");
      await page.keyboard.type(text);
    },
    press: async (page, element) => {
      await tabTo(page, element);
      await page.keyboard.press("Enter");
    },
  },
  "no-script": {
    options: { javaScriptEnabled: false },
    fill: (page, element, text) => element.fill(text),
    press: (page, element) => element.click(),
  },
};

for (const [hand, { options, fill, press }] of Object.entries(HANDS)) {
  test(`a new user signs up, verifies, recovers the password, removes a device, changes the email address and leaves: ${hand}`, async () => {
    const hasScript = options.javaScriptEnabled !== false;
    const email = `${hand}@example.com`;
    const visit = async (userAgent) => {
      const context = await place.browser.newContext({ locale: "en-GB", ...options, userAgent });
      const page = await context.newPage();
      page.on("dialog", (dialog) => dialog.accept());
      const at = (path) => page.waitForURL((url) => url.pathname === path);
      const says = (text) => page.getByText(text).filter({ visible: true }).first().waitFor();
      /** What the service said of a field stays when the focus leaves it, as to another window. */
      const stays = async (text) => {
        await page.evaluate(() => document.activeElement.blur());
        await says(text);
      };
      const type = (label, text, nth = 0) => fill(page, field(page, label, nth), text);
      const choose = async (label, text) => {
        await type(label, text);
        if (!hasScript) await type("Repeat the password", text);
      };
      const button = (name) => press(page, named(page, "button", name));
      const follow = (name) => press(page, named(page, "link", name));
      /** Which field or message has the focus. */
      const focus = async (wanted) => assert.equal(await page.evaluate(() => document.activeElement.name || document.activeElement.className || document.activeElement.tagName), wanted);
      return { context, page, at, says, stays, type, choose, button, follow, focus };
    };
    const shown = (page, name) => (hand === "touch" ? look(page, `new-user-${name}`) : undefined);
    const { context, page, at, says, stays, type, choose, button, follow, focus } = await visit();

    // Signs up; the service refuses a password first.
    await page.goto(`${place.auth}/`);
    await at("/auth/sign-in");
    await focus("email");
    await follow("Create an account");
    await at("/auth/sign-up");
    await focus("name");
    await type("Name", "Noor 🌻 נור");
    await type("Email address", email);
    await choose("Password", "password123");
    await button("Create account");
    await says("This password is too easy to guess.");
    await page.locator("#sign-up-password[aria-invalid]").waitFor();
    await focus("password");
    await choose("Password", FIRST);
    await button("Create account");
    await at("/auth/account");
    await shown(page, "01-account");

    // Verifies, and learns what that is for.
    await says("(not verified)");
    await says("are sent to a verified email address only");
    await button("Send a verification link");
    await says("We have sent you an email with the link.");
    await focus("said");
    await shown(page, "02-link-sent");
    await page.goto(linkIn(await lastMail(email, /^Confirm your email address/)));
    await shown(page, "03-prove");
    await button("Yes, confirm it");
    await says("Your email address is verified");
    await shown(page, "04-verified");
    await follow("Continue");
    await at("/auth/account");
    await says("(verified)");
    assert.equal(await page.getByText("are sent to a verified email address only").count(), 0);

    // Signs out, mistypes the password, and recovers it.
    await button("Sign out");
    await says("You have signed out.");
    await focus("email");
    await type("Email address", email);
    await type("Password", "not the password");
    await button("Sign in");
    await says("The email address or password is incorrect.");
    await focus("password");
    if (hasScript) {
      const heard = await page.evaluate(() => (document.activeElement.getAttribute("aria-describedby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent).join(" "));
      assert.match(heard, /The email address or password is incorrect\./, "the message is read out with the field");
    }
    await shown(page, "05-wrong");
    await follow("Forgot password?");
    await at("/auth/forgot-password");
    assert.equal(await field(page, "Email address", 0).inputValue(), email);
    await button("Send the link");
    await says("Check your email");
    await shown(page, "06-mailbox");
    await page.goto(linkIn(await lastMail(email, /Choose a new password/)));
    await at("/auth/reset-password");
    await says(email);
    await focus("password");
    await choose("New password", SECOND);
    await shown(page, "07-reset");
    await button("Save the password");
    await says("Your password has been changed. Sign in with the new one.");
    assert.equal(await field(page, "Email address", 0).inputValue(), email, "it need not be typed again");
    await focus("password");
    await shown(page, "08-reset-done");
    await type("Password", SECOND);
    await button("Sign in");
    await at("/auth/account");

    // Another device, which is removed; the own one comes first.
    const other = await visit("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0");
    await other.page.goto(`${place.auth}/auth/sign-in`);
    await other.type("Email address", email);
    await other.type("Password", SECOND);
    await other.button("Sign in");
    await other.at("/auth/account");
    await lastMail(email, /^A new sign-in/);
    await page.goto(`${place.auth}/auth/account`);
    assert.match(await page.locator(".devices li").first().innerText(), /this device/);
    await shown(page, "09-devices");
    await button(/^Sign out: /);
    await says("The device has been signed out.");
    await focus("said");
    assert.equal(await page.locator(".devices li").count(), 1);
    await other.page.reload();
    await other.at("/auth/sign-in");
    await other.context.close();

    // Another email address: the old mailbox agrees, the new one is proven.
    const next = `next-${email}`;
    await type("New email address", email);
    await button("Change the email address");
    await says("This is already your email address.");
    await focus("email");
    await stays("This is already your email address.");
    await type("New email address", next);
    await button("Change the email address");
    await says("We have sent an email to your present email address.");
    await focus("said");
    await shown(page, "10-change-asked");
    await page.goto(linkIn(await lastMail(email, /^Change your email address/)));
    await shown(page, "11-agree");
    await button("Change it");
    await says("We have now sent an email to the new email address.");
    await shown(page, "12-agreed");
    await page.goto(linkIn(await lastMail(next, /^Confirm your new email address/)));
    await button("Yes, confirm it");
    await says("Your email address has been changed.");
    assert.match(await page.locator("header .who").innerText(), new RegExp(next));

    // Leaves; a wrong password deletes nothing.
    await type("Current password", "not the password", 1);
    await button("Delete my account");
    await says("This password is incorrect.");
    await focus("current");
    await stays("This password is incorrect.");
    await shown(page, "13-delete-refused");
    await type("Current password", SECOND, 1);
    await button("Delete my account");
    await says("Your account has been deleted.");
    await shown(page, "14-deleted");
    await context.close();
  });
}

test("an invited user chooses a first password and signs in without typing the email address", async () => {
  const { execFileSync } = await import("node:child_process");
  execFileSync(...place.cli("users", "invite", "invited@example.com", "--name", "Ines"));
  const context = await place.browser.newContext({ locale: "en-GB", ...PHONE });
  const page = await context.newPage();
  await page.goto(linkIn(await lastMail("invited@example.com", /^You are invited/)));
  await page.getByRole("heading", { name: "Choose a password" }).waitFor();
  await page.getByText("invited@example.com").waitFor();
  // Password managers store the password under this name; they do not see an input of the type `hidden`.
  assert.deepEqual(await page.locator("[autocomplete=username]").evaluateAll((all) => all.map((i) => [i.type, i.value, i.hidden])), [["text", "invited@example.com", true]]);
  await look(page, "new-user-invited");
  await field(page, "Password", 0).fill(FIRST);
  await page.getByRole("button", { name: "Save the password" }).tap();
  await page.getByText("Your account is ready.").waitFor();
  await look(page, "new-user-invited-done");
  await field(page, "Password", 0).fill(FIRST);
  await page.getByRole("button", { name: "Sign in", exact: true }).tap();
  await page.waitForURL((url) => url.pathname === "/auth/account");
  await context.close();
});
