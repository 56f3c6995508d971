// The pages of the account and of the console in a real browser: without script, by keyboard alone, and only by forms of one's own session.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { OTHER, PASSWORD, field, lastMail, press, signIn, signUp } from "./labels.mjs";
import { look, looked } from "./looking.mjs";
import { cookie, linkIn, start, waitFor } from "./place.mjs";
import { visitor } from "./visitor.mjs";

let place;
before(async () => (place = await start()));
after(async () => {
  await place?.stop();
  looked();
});

test("everything with script turned off", async () => {
  const me = await visitor(place, { javaScriptEnabled: false });
  const { page, open, at, context } = me;
  await signUp(me, "dora");
  await field(page, "Name").fill("Dora D.");
  await press(page, "Save");
  await page.getByText("Your name has been saved.").waitFor();
  await press(page, "Send a verification link");
  await page.getByText("We have sent you an email with the link.").waitFor();
  const other = await visitor(place);
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
  const link = linkIn(await lastMail(place, "dora@example.com", /Choose a new password/));
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
  const { page, open, at, context } = await visitor(place);
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

test("a form of another session is refused, and a page of a stranger's cannot send one", async () => {
  const [gus, hal] = [await visitor(place), await visitor(place)];
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
  const me = await visitor(place);
  const ines = await visitor(place);
  await signUp(me, "root");
  await signUp(ines, "ines");
  execFileSync(...place.cli("users", "set-role", "root@example.com", "admin"));
  const { page, open, context } = me;
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
