// The pages under /auth in a real browser: with script and without, by keyboard alone, in three languages, and every one looked at.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { look, seen, watch } from "./looking.mjs";
import { cookie, linkIn, mailsTo, start, waitFor } from "./place.mjs";

const PASSWORD = "a good long password";
const OTHER = "another good password";
let place;
before(async () => (place = await start()));
after(async () => {
  await place?.stop();
  console.log(`${seen.pages.size} pages looked at ${seen.looks} times: ${seen.violations} violations of axe's rules, ${seen.policy.length} of the pages' policy`);
  assert.deepEqual(seen.policy, []);
});

async function visitor(options = {}) {
  const context = await place.browser.newContext({ locale: "en-GB", ...options });
  await watch(context);
  const page = await context.newPage();
  const open = (path) => page.goto(place.auth + path);
  const at = (path) => page.waitForURL((url) => url.pathname + url.search === path || url.pathname === path);
  return { context, page, open, at };
}

const field = (page, label) => page.getByLabel(label, { exact: true });
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();

async function signUp({ page, open, at }, name, password = PASSWORD) {
  await open("/auth/sign-up");
  await field(page, "Name").fill(name);
  await field(page, "Email address").fill(`${name}@example.com`);
  await newPassword(page, "Password", password);
  await press(page, "Create account");
  await at("/auth/account");
}

/** A new password; without script it is typed twice. */
async function newPassword(page, label, password, again = password) {
  await field(page, label).fill(password);
  const second = field(page, "Repeat the password");
  if (await second.count()) await second.fill(again);
}

async function signIn({ page, open }, name, password = PASSWORD, path = "/auth/sign-in") {
  await open(path);
  await field(page, "Email address").fill(`${name}@example.com`);
  await field(page, "Password").fill(password);
  await press(page, "Sign in");
}

const lastMail = (to, subject) => waitFor(() => mailsTo(place, to).filter((m) => subject.test(m.subject)).at(-1), `a mail to ${to}`);

test("every page, looked at", async () => {
  const me = await visitor();
  const { page, open, at, context } = me;
  await open("/");
  await at("/auth/sign-in?redirect_to=%2Fauth%2Faccount");
  await look(page, "sign-in");
  await open("/auth/sign-up");
  await look(page, "sign-up");
  await field(page, "Name").fill("ana");
  await field(page, "Email address").fill("ana@");
  await field(page, "Password").fill("short");
  await press(page, "Create account");
  await page.getByText("Please use at least 8 characters.").waitFor();
  await look(page, "sign-up-wrong");
  await signUp(me, "ana");
  await look(page, "account");
  await open("/auth/sign-in?again=1");
  await signIn(me, "ana", "wrong", "/auth/sign-in?again=1");
  await page.getByText("The email address or password is incorrect.").waitFor();
  await look(page, "sign-in-wrong");
  await open("/auth/forgot-password");
  await look(page, "forgot-password");
  await field(page, "Email address").fill("ana@example.com");
  await press(page, "Send the link");
  await look(page, "forgot-password-sent");
  await page.goto(linkIn(await lastMail("ana@example.com", /Choose a new password/)));
  await at("/auth/reset-password");
  await look(page, "reset-password");
  await open("/auth/reset-password?token=nonsense");
  await look(page, "error-link");
  await open("/auth/verify-email");
  await look(page, "verify-email");
  await field(page, "Email address").fill("ana@example.com");
  await press(page, "Send the link");
  await look(page, "verify-email-sent");
  await page.goto(linkIn(await lastMail("ana@example.com", /^Confirm your email address/)));
  await look(page, "prove-address");
  await press(page, "Yes, confirm it");
  await page.getByText("Your email address is verified").waitFor();
  await look(page, "verify-email-done");
  await open("/auth/verify-email?error=INVALID_TOKEN");
  await look(page, "verify-email-bad-link");
  await open("/auth/error?error=INVALID_TOKEN");
  await look(page, "error");
  assert.equal((await open("/auth/nowhere")).status(), 404);
  await look(page, "error-404");
  assert.equal((await open("/auth/admin/users")).status(), 403);
  await look(page, "error-403");
  await open("/auth/account?done=name");
  await page.getByText("Your name has been saved.").waitFor();

  execFileSync(...place.cli("users", "set-role", "ana@example.com", "admin"));
  await waitFor(async () => (await open("/auth/admin/users")).status() === 200, "the role");
  await look(page, "admin-users");
  await page.getByRole("link", { name: "ana@example.com" }).click();
  await look(page, "admin-user");
  await open("/auth/admin/keys");
  await look(page, "admin-keys");
  await open("/auth/admin/audit");
  await look(page, "admin-audit");
  await open("/api/auth/error?error=TOKEN_EXPIRED");
  await look(page, "api-error");
  await open("/auth/account");
  await field(page, "New email address").fill("anna@example.com");
  await press(page, "Change the email address");
  // The old mailbox agrees, the new one is proven.
  await page.goto(linkIn(await lastMail("ana@example.com", /^Change your email address/)));
  await look(page, "confirm");
  await press(page, "Change it");
  await page.goto(linkIn(await lastMail("anna@example.com", /^Confirm your new email address/)));
  await press(page, "Yes, confirm it");
  await page.getByText("Your email address has been changed.").waitFor();
  await page.getByText("anna@example.com", { exact: false }).first().waitFor();
  await context.close();
});

test("what is typed is checked while it is typed; buttons rest while a form is sent; passwords can be seen", async () => {
  const { page, open, context, at } = await visitor();
  await open("/auth/sign-up");
  await field(page, "Name").fill("bob");
  const email = field(page, "Email address");
  await email.fill("not an address");
  await email.blur();
  await page.getByText("Please enter an email address such as name@example.com.").waitFor();
  assert.equal(await email.getAttribute("aria-invalid"), "true");
  await email.fill("bob@example.com");
  assert.equal(await email.getAttribute("aria-invalid"), null);
  const password = field(page, "Password");
  await password.fill("1234");
  await password.blur();
  await page.getByText("Please use at least 8 characters.").waitFor();
  const strength = page.locator(".strength");
  assert.equal(await strength.isVisible(), false, "nothing is said about what is too short");
  for (const [typed, said] of [["password123", "This password is too easy to guess."], ["bob@example.com", "This password is too easy to guess."], ["aaaaaaaaab", "Easy to guess"], ["clumsy trumpet orbit walnut", "Strong"]]) {
    await password.fill(typed);
    await strength.getByText(said).waitFor();
    assert.equal(await strength.locator("meter").evaluate((m) => m.value), said === "Strong" ? 3 : 1, typed);
  }
  await password.fill(PASSWORD);
  await strength.getByText("Strong").waitFor();
  assert.deepEqual(await page.locator("input").evaluateAll((all) => all.filter((i) => i.type !== "hidden").map((i) => i.autocomplete)), ["name", "username", "new-password"]);
  await page.getByRole("button", { name: "Show" }).first().click();
  assert.equal(await password.getAttribute("type"), "text");
  await page.getByRole("button", { name: "Hide" }).click();
  assert.equal(await password.getAttribute("type"), "password");
  await email.fill("bob@");
  await press(page, "Create account");
  await waitFor(() => email.evaluate((i) => i === document.activeElement), "what is wrong to have the focus");
  await email.fill("bob@example.com");
  let [sent, rests] = [0, false];
  page.on("request", (request) => request.method() === "POST" && request.isNavigationRequest() && sent++);
  page.on("console", (message) => (rests ||= message.text() === "rests"));
  await page.evaluate(() => addEventListener("submit", ({ submitter }) => setTimeout(() => submitter.disabled && console.log("rests"))));
  await page.getByRole("button", { name: "Create account" }).dblclick();
  await at("/auth/account");
  assert.deepEqual([sent, rests], [1, true]);
  await press(page, "Sign out");
  await page.getByText("You have signed out.").waitFor();
  assert.deepEqual((await context.cookies()).map((c) => c.name), [cookie("known_device")]);
  await context.close();
});

test("the service refuses what a browser let through, with the reason at its field", async () => {
  const me = await visitor({ javaScriptEnabled: false });
  const { page, open, context } = me;
  await signUp(me, "carl");
  const again = await visitor({ javaScriptEnabled: false });
  await again.open("/auth/sign-up");
  for (const [label, value] of [["Name", "carl"], ["Email address", "carl@example.com"], ["Password", PASSWORD], ["Repeat the password", PASSWORD]]) await field(again.page, label).fill(value);
  await press(again.page, "Create account");
  await again.page.getByText("There is already an account for this email address.").waitFor();
  assert.equal(await field(again.page, "Name").inputValue(), "carl", "what was typed is still there");
  assert.equal(await field(again.page, "Password").inputValue(), "", "but no password");
  for (const [password, second, reason] of [["password1", "password1", "This password is too easy to guess"], [PASSWORD, OTHER, "The two passwords are not the same."], ["x", "x", "This password is too short."]]) {
    await field(again.page, "Email address").fill("carla@example.com");
    await field(again.page, "Password").fill(password);
    await field(again.page, "Repeat the password").fill(second);
    await press(again.page, "Create account");
    // What stands in a noscript element is found by its place.
    const place = reason.startsWith("The two") ? "again" : "password";
    await waitFor(async () => (await again.page.locator(`#sign-up-${place}-wrong`).textContent()).startsWith(reason), reason);
  }
  await again.context.close();
  // A wrong password and an unknown address read the same.
  await press(page, "Sign out");
  const texts = [];
  for (const name of ["carl", "unknown"]) {
    await signIn(me, name, "not the password");
    texts.push(await page.getByRole("alert").first().innerText());
  }
  assert.deepEqual(texts, Array(2).fill("The email address or password is incorrect."));
  await open("/auth/account");
  assert.match(page.url(), /sign-in\?redirect_to=%2Fauth%2Faccount$/);
  await context.close();
});

test("everything with script turned off", async () => {
  const me = await visitor({ javaScriptEnabled: false });
  const { page, open, at, context } = me;
  await signUp(me, "dora");
  await field(page, "Name").fill("Dora D.");
  await press(page, "Save");
  await page.getByText("Your name has been saved.").waitFor();
  await press(page, "Send a verification link");
  await page.getByText("We have sent you an email with the link.").waitFor();
  const other = await visitor();
  await signIn(other, "dora");
  await other.at("/auth/account");
  await open("/auth/account");
  assert.equal(await page.getByRole("button", { name: /^Sign out: / }).count(), 1);
  await page.getByRole("button", { name: /^Sign out: / }).click();
  await page.getByText("The device has been signed out.").waitFor();
  await other.open("/auth/account");
  await other.at("/auth/sign-in?redirect_to=%2Fauth%2Faccount");
  await signIn(other, "dora");
  await open("/auth/account");
  await press(page, "Sign out everywhere else");
  await page.getByText("All other devices have been signed out.").waitFor();
  await other.open("/auth/account");
  await other.at("/auth/sign-in?redirect_to=%2Fauth%2Faccount");
  await other.context.close();

  await field(page, "Current password").first().fill("not the password");
  await field(page, "New password").fill(OTHER);
  await field(page, "Repeat the password").fill(OTHER);
  await press(page, "Change the password");
  await page.getByText("This password is incorrect.").waitFor();
  await field(page, "Current password").first().fill(PASSWORD);
  await field(page, "New password").fill(OTHER);
  await field(page, "Repeat the password").fill(OTHER);
  await press(page, "Change the password");
  await page.getByText("Your password has been changed. All other devices have been signed out.").waitFor();
  await press(page, "Sign out");

  await open("/auth/forgot-password");
  await field(page, "Email address").fill("dora@example.com");
  await press(page, "Send the link");
  await page.getByText("If there is an account for").waitFor();
  const link = linkIn(await lastMail("dora@example.com", /Choose a new password/));
  await page.goto(link);
  await field(page, "New password").fill(PASSWORD);
  await field(page, "Repeat the password").fill(PASSWORD);
  await press(page, "Save the password");
  await page.getByText("Your password has been changed. Sign in with the new one.").waitFor();
  await page.goto(link);
  await page.getByText("This link has expired or has already been used.").waitFor();
  await signIn(me, "dora");
  await at("/auth/account");
  await field(page, "Current password").last().fill(PASSWORD);
  await press(page, "Delete my account");
  await page.getByText("Your account has been deleted.").waitFor();
  await signIn(me, "dora");
  await page.getByText("The email address or password is incorrect.").waitFor();
  await context.close();
});

test("by keyboard alone: signing up, changing a name, signing out, signing in", async () => {
  const { page, open, at, context } = await visitor();
  const keys = page.keyboard;
  /** Tabs on until this has the focus. */
  async function to(role, name) {
    const target = page.getByRole(role, { name, exact: true }).first();
    for (let i = 0; i < 60; i++) {
      if (await target.evaluate((e) => e === document.activeElement)) {
        const outline = await target.evaluate((e) => getComputedStyle(e).outlineStyle);
        return assert.notEqual(outline, "none", `${name}: the focus is seen`);
      }
      await keys.press("Tab");
    }
    assert.fail(`${name} is not reached`);
  }
  await open("/auth/sign-in");
  await to("link", "Create an account");
  await keys.press("Enter");
  await at("/auth/sign-up");
  await to("textbox", "Name");
  await keys.type("emil");
  await to("textbox", "Email address");
  await keys.type("emil@example.com");
  await to("textbox", "Password");
  await keys.type(PASSWORD);
  await keys.press("Enter");
  await at("/auth/account");
  await keys.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await keys.press("Enter");
  await to("textbox", "Name");
  await keys.press("Control+A");
  await keys.type("Emil E.");
  await to("button", "Save");
  await keys.press("Space");
  await page.getByText("Your name has been saved.").waitFor();
  // The password, with a current one that is wrong: the reason is read out, and the field is reached again.
  for (const [label, text] of [["Current password", "not the password"], ["New password", OTHER]]) {
    await to("textbox", label);
    await keys.type(text);
  }
  await keys.press("Enter");
  await page.getByText("This password is incorrect.").waitFor();
  await look(page, "account-refused");
  execFileSync(...place.cli("users", "set-role", "emil@example.com", "admin"));
  await waitFor(async () => (await page.goto(`${place.auth}/auth/admin`)).status() === 200, "the role");
  await to("searchbox", "Email address or name");
  await keys.type("emil");
  await to("button", "Search");
  await keys.press("Enter");
  await to("link", "emil@example.com");
  await keys.press("Enter");
  await page.getByRole("heading", { name: "What happened" }).waitFor();
  await to("button", "End all sessions");
  await to("checkbox", "admin");
  await to("button", "Set roles");
  await to("link", "Keys");
  await keys.press("Enter");
  await at("/auth/admin/keys");
  await to("button", "Rotate now");
  await to("link", "Audit trail");
  await keys.press("Enter");
  await at("/auth/admin/audit");
  await to("searchbox", "User (email address or ID)");
  await keys.type("emil@example.com");
  await keys.press("Enter");
  await page.getByText("created an account.").first().waitFor();
  await to("button", "Sign out");
  await keys.press("Enter");
  await at("/auth/sign-in");
  await to("link", "Forgot password?");
  await keys.press("Enter");
  await to("textbox", "Email address");
  await keys.type("emil@example.com");
  await keys.press("Enter");
  await page.getByText("If there is an account for").waitFor();
  await to("link", "Go to sign-in");
  await keys.press("Enter");
  await at("/auth/sign-in");
  await to("textbox", "Email address");
  await keys.type("emil@example.com");
  await to("textbox", "Password");
  await keys.type(PASSWORD);
  await to("checkbox", "Stay signed in on this device");
  await keys.press("Space");
  await to("button", "Sign in");
  await keys.press("Enter");
  await at("/auth/account");
  const kept = (await context.cookies()).filter((c) => c.expires !== -1 && c.name !== cookie("known_device"));
  assert.deepEqual(kept, [], "not to stay signed in");
  await context.close();
});

test("nothing is wider than a screen of 320 pixels, with a long email address, an emoji and letters from right to left", async () => {
  const address = `${"l".repeat(52)}@example.com`;
  assert.equal(address.length, 64);
  for (const locale of ["en-GB", "de-DE", "es-ES"]) {
    const { page, open, context } = await visitor({ locale, viewport: { width: 320, height: 640 } });
    const narrow = async (what) => {
      const wide = await page.evaluate(() => [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > 320.5 && !e.matches(".skip")).map((e) => e.outerHTML.slice(0, 120)));
      assert.deepEqual([await page.evaluate(() => document.documentElement.scrollWidth), wide], [320, []], `${what}, ${locale}`);
    };
    const own = `${locale.slice(0, 2)}${address.slice(2)}`;
    await open("/auth/sign-up");
    await page.locator("#sign-up-name").fill("🌻 שלום Ana 👩‍👩‍👧‍👦");
    await page.locator("#sign-up-email").fill(own);
    await page.locator("#sign-up-password").fill("password123");
    await page.locator(".strength").waitFor();
    await narrow("sign-up");
    await page.locator("#sign-up button.full").click();
    await page.locator("#sign-up-password[aria-invalid]").waitFor();
    await narrow("sign-up, refused");
    await page.locator("#sign-up-password").fill(PASSWORD);
    await page.locator("#sign-up button.full").click();
    await page.waitForURL((url) => url.pathname === "/auth/account");
    await narrow("account");
    if (locale === "en-GB") await look(page, "account-long");
    await page.locator("form[action$='/verify'] button").click();
    await page.locator(".said").waitFor();
    await narrow("account, done");
    const mail = await waitFor(() => mailsTo(place, own).at(-1), "a mail");
    await page.goto(linkIn(mail));
    await narrow("the link of a mail");
    await page.locator("button").click();
    await page.waitForLoadState();
    await narrow("verified");
    for (const path of ["account/name", "account?done=email", "nowhere", "error?error=INVALID_TOKEN", "admin/users"]) {
      await open(`/auth/${path}`);
      await narrow(path);
    }
    await open("/auth/account");
    await page.locator("header button").click();
    await page.locator("#sign-in").waitFor();
    await page.locator("#sign-in-email").fill(own);
    await page.locator("#sign-in-password").fill("wrong");
    await page.locator("#sign-in button.full").click();
    await page.locator(".said.bad").waitFor();
    await narrow("sign-in, refused");
    for (const path of ["sign-in", "forgot-password", "verify-email", "reset-password?token=nonsense", "sign-in?done=ended"]) {
      await open(`/auth/${path}`);
      await narrow(path);
    }
    await open("/auth/forgot-password");
    assert.equal(await page.locator("#forgot-email").inputValue(), own, "it goes along");
    await page.locator("#forgot button.full").click();
    await page.locator("#again").waitFor();
    await page.getByText(own).waitFor();
    await narrow("the mailbox");
    if (locale === "en-GB") await look(page, "mailbox-long");
    const reset = await waitFor(() => mailsTo(place, own).find((m) => m.text.includes("reset-password")), "the mail");
    await page.goto(linkIn(reset));
    await narrow("reset-password");
    await context.close();
  }
});

test("a typed email address goes along to the next form, and what was typed survives the end of a session", async () => {
  const me = await visitor();
  const { page, open, at, context } = me;
  await open("/auth/sign-in");
  const has = (name) => page.locator(`[id$="-${name}"]`).evaluate((i) => i === document.activeElement);
  assert.equal(await has("email"), true, "one types at once");
  await page.keyboard.type("gil@example.com");
  await page.getByRole("link", { name: "Forgot password?" }).click();
  await at("/auth/forgot-password");
  assert.equal(await field(page, "Email address").inputValue(), "gil@example.com");
  await page.getByRole("link", { name: "Go to sign-in" }).click();
  await page.getByRole("link", { name: "Create an account" }).click();
  assert.equal(await field(page, "Email address").inputValue(), "gil@example.com");
  await signUp(me, "gil");
  await field(page, "Name").fill("Gil 🌻");
  execFileSync(...place.cli("sessions", "revoke", "--all", "--yes"));
  await press(page, "Save");
  await page.getByText("You have been signed out in the meantime.").waitFor();
  await look(page, "sign-in-ended");
  await field(page, "Email address").fill("gil@example.com");
  await field(page, "Password").fill(PASSWORD);
  await press(page, "Sign in");
  await at("/auth/account");
  await page.getByText("We have kept what you typed").waitFor();
  assert.equal(await field(page, "Name").inputValue(), "Gil 🌻");
  await look(page, "account-kept");
  await press(page, "Save");
  await page.getByText("Your name has been saved.").waitFor();
  await context.close();
});

test("from there one goes on to trusted places, and nowhere else", async () => {
  const me = await visitor();
  await signUp(me, "fay");
  await press(me.page, "Sign out");
  const to = (target) => `/auth/sign-in?redirect_to=${encodeURIComponent(target)}`;
  await signIn(me, "fay", PASSWORD, to(`${place.origin}/notes?a=1#b`));
  await me.page.waitForURL(`${place.origin}/notes?a=1#b`);
  await me.open(to("/auth/account?done=name"));
  await me.at("/auth/account?done=name");
  for (const target of [place.evil, "//evil.example", "javascript:alert(1)", `${place.origin}.evil.example/`, "/\\evil.example"]) {
    assert.equal((await me.open(to(target))).status(), 403, target);
    await me.page.getByText("The page to continue to belongs to a site that is not trusted here.").waitFor();
  }
  // Nor by a form that was tampered with.
  await me.context.clearCookies();
  await me.open("/auth/sign-in");
  await me.page.locator("input[name=redirect_to]").evaluate((i, evil) => (i.value = evil), place.evil);
  await field(me.page, "Email address").fill("fay@example.com");
  await field(me.page, "Password").fill(PASSWORD);
  await press(me.page, "Sign in");
  await me.page.getByText("The page to continue to belongs to a site that is not trusted here.").waitFor();
  await me.context.close();
});

test("a form of another session is refused, and a page of a stranger's cannot send one", async () => {
  const [gus, hal] = [await visitor(), await visitor()];
  await signUp(gus, "gus");
  await signUp(hal, "hal");
  const token = await hal.page.locator("input[name=csrf]").first().inputValue();
  await gus.page.locator("form[action$='/name'] input[name=csrf]").evaluate((i, token) => (i.value = token), token);
  await press(gus.page, "Save");
  await gus.page.getByText("This form was out of date").waitFor();
  await hal.page.goto(place.evil);
  await hal.page.evaluate((auth) => {
    document.body.innerHTML = `<form method="post" action="${auth}/auth/account/sessions/end-others"></form>`;
    document.forms[0].submit();
  }, place.auth);
  await hal.page.getByRole("heading", { name: "Not allowed" }).waitFor();
  await Promise.all([gus.context.close(), hal.context.close()]);
});

test("the console: search, roles, ban, sessions, keys, audit", async () => {
  const me = await visitor();
  const ines = await visitor();
  await signUp(me, "root");
  await signUp(ines, "ines");
  execFileSync(...place.cli("users", "set-role", "root@example.com", "admin"));
  const { page, open, context } = me;
  page.on("dialog", (dialog) => dialog.accept());
  await waitFor(async () => (await open("/auth/admin/users")).status() === 200, "the role");
  await page.getByLabel("Email address or name").fill("ines");
  await press(page, "Search");
  await page.getByText("1–1 of 1 user").waitFor();
  await page.getByRole("link", { name: "ines@example.com" }).click();
  await page.getByLabel("user", { exact: true }).uncheck();
  await press(page, "Set roles");
  await page.getByText("Choose at least one role.").waitFor();
  await page.getByLabel("admin", { exact: true }).check();
  await press(page, "Set roles");
  await page.getByText("The roles are set.").waitFor();
  await page.getByLabel("admin", { exact: true }).uncheck();
  await page.getByLabel("user", { exact: true }).check();
  await press(page, "Set roles");
  await page.getByText("The roles are set.").waitFor();
  await page.getByLabel("Reason").fill("spam <b>");
  await page.getByLabel("Until (optional)").fill("2099-01-31");
  await press(page, "Ban");
  await page.getByText("The user is banned.").waitFor();
  await page.getByText(": spam <b>").waitFor();
  await look(page, "admin-user-banned");
  await page.getByText("This user is not signed in on any device.").waitFor();
  await ines.open("/auth/account");
  await signIn(ines, "ines");
  await ines.page.getByText("This account is banned.").waitFor();
  await look(ines.page, "sign-in-banned");
  await press(page, "Lift the ban");
  await page.getByText("The ban is lifted.").waitFor();
  await signIn(ines, "ines");
  await ines.at("/auth/account");
  await page.reload();
  await page.getByRole("button", { name: /^End this session: / }).click();
  await page.getByText("The session has ended.").waitFor();
  await ines.open("/auth/account");
  await ines.page.getByRole("heading", { name: "Sign in" }).waitFor();
  await open("/auth/admin/keys");
  await page.getByRole("cell", { name: "standby", exact: true }).waitFor();
  await press(page, "Rotate now");
  await page.getByText("Nothing was changed: not every verifier knows the next key").waitFor();
  await look(page, "admin-keys-refused");
  await open("/auth/admin/audit?kind=user.");
  await page.getByText("root banned ines until").first().waitFor();
  await Promise.all([context.close(), ines.context.close()]);
});

test("in German and Spanish, and in English for all other visitors", async () => {
  for (const [locale, lang, title] of [["de-AT", "de", "Anmelden"], ["es-MX", "es", "Iniciar sesión"], ["ja-JP", "en", "Sign in"]]) {
    const { page, open, context } = await visitor({ locale });
    await open("/auth/sign-in");
    assert.equal(await page.locator("html").getAttribute("lang"), lang);
    await page.getByRole("heading", { name: title }).waitFor();
    if (lang !== "en") {
      await look(page, `sign-in-${lang}`);
      await open("/auth/sign-up");
      for (const [name, text] of [["name", lang], ["email", `${lang}@example.com`], ["password", PASSWORD]]) await page.locator(`#sign-up-${name}`).fill(text);
      await page.locator("#sign-up button.full").click();
      await page.waitForURL((url) => url.pathname === "/auth/account");
      assert.match(await page.locator(".devices li").innerText(), lang === "de" ? /Chrome unter Linux/ : /Chrome en Linux/);
      await look(page, `account-${lang}`);
    }
    await context.close();
  }
});

test("if the mailbox has to be verified first, no user is signed in before, and the redirect target is kept", async () => {
  const strict = await start(["sign_up.require_email_verification=true"]);
  try {
    const context = await strict.browser.newContext({ locale: "en-GB" });
    await watch(context);
    const page = await context.newPage();
    const query = `?redirect_to=${encodeURIComponent(`${strict.origin}/welcome`)}`;
    await page.goto(`${strict.auth}/auth/sign-up${query}`);
    for (const [label, value] of [["Name", "jo"], ["Email address", "jo@example.com"], ["Password", PASSWORD]]) await field(page, label).fill(value);
    await press(page, "Create account");
    await page.getByText("Check your email").waitFor();
    await look(page, "sign-up-mailed");
    await page.goto(`${strict.auth}/auth/sign-in${query}`);
    await field(page, "Email address").fill("jo@example.com");
    await field(page, "Password").fill(PASSWORD);
    await press(page, "Sign in");
    await page.getByText("Your email address has not been verified yet.").waitFor();
    await page.getByRole("link", { name: "Send a new verification link" }).waitFor();
    await look(page, "sign-in-unverified");
    const mail = await waitFor(() => mailsTo(strict, "jo@example.com").find((m) => /^Confirm your email address/.test(m.subject)), "the mail");
    await page.goto(linkIn(mail));
    await press(page, "Yes, confirm it");
    await page.getByText("Your email address is verified").waitFor();
    await page.getByRole("link", { name: "Continue" }).click();
    await field(page, "Email address").fill("jo@example.com");
    await field(page, "Password").fill(PASSWORD);
    await press(page, "Sign in");
    await page.waitForURL(`${strict.origin}/welcome`);
    await context.close();
  } finally {
    await strict.stop();
  }
});

test("an operator's name, logo and colours; too many attempts, with the time to wait; pages turned off", async () => {
  const folder = mkdtempSync(join(tmpdir(), "countersign-theme-"));
  writeFileSync(join(folder, "logo.svg"), '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><circle cx="20" cy="20" r="20" fill="#b0006d"/><script>alert(1)</script></svg>');
  writeFileSync(join(folder, "fr.json"), JSON.stringify({ "sign_in.heading": "Connexion à {app}" }));
  const themed = await start([`pages.logo=${folder}/logo.svg`, "pages.name=Notes & more", "pages.accent=#b0006d", "pages.accent_dark=#ff9ad5", `pages.languages_dir=${folder}`, "rate_limits.enabled=true", "rate_limits.sign_in=5/1m"]);
  try {
    const context = await themed.browser.newContext({ locale: "fr-FR" });
    await watch(context);
    const page = await context.newPage();
    await page.goto(`${themed.auth}/auth/sign-in`);
    await page.getByRole("heading", { name: "Connexion" }).waitFor();
    assert.match(await page.title(), /Notes & more$/);
    assert.equal(await page.getByRole("button", { name: "Sign in", exact: true }).evaluate((b) => getComputedStyle(b).backgroundColor), "rgb(176, 0, 109)");
    assert.equal(await page.locator(".brand img").evaluate((i) => i.naturalWidth > 0), true);
    await look(page, "sign-in-themed");
    for (let i = 0; i < 7 && !(await page.locator("[data-wait]").count()); i++) {
      await field(page, "Email address").fill("ana@example.com");
      await field(page, "Password").fill("wrong");
      const answered = page.waitForEvent("load");
      await press(page, "Sign in");
      await answered;
    }
    await page.getByText("Too many attempts. Please wait before you try again.").waitFor();
    assert.equal(await page.getByRole("button", { name: "Sign in", exact: true }).isDisabled(), true);
    const left = async () => Number(/\d+/.exec(await page.locator("[data-wait]").innerText())[0]);
    const first = await left();
    assert.ok(first > 0);
    await look(page, "too-many");
    await waitFor(async () => !(await page.locator("[data-wait]").count()) || (await left()) < first, "the timer to run", 90);
    await context.close();
  } finally {
    await themed.stop();
  }
  const off = await start(["pages.enabled=false"]);
  try {
    for (const path of ["/", "/auth", "/auth/sign-in", "/auth/admin/users"]) assert.equal((await fetch(off.auth + path)).status, 404, path);
    assert.equal((await fetch(`${off.auth}/api/auth/error`)).status, 200);
  } finally {
    await off.stop();
  }
});
