// Every page under /auth in a real browser, looked at, and the look that an operator gives them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { field, lastMail, press, signIn, signUp } from "./labels.mjs";
import { look, looked, watch } from "./looking.mjs";
import { linkIn, start, waitFor } from "./place.mjs";
import { visitor } from "./visitor.mjs";

let place;
before(async () => (place = await start()));
after(async () => {
  await place?.stop();
  looked();
});

test("every page, looked at", async () => {
  const me = await visitor(place);
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
  await page.goto(linkIn(await lastMail(place, "ana@example.com", /Choose a new password/)));
  await at("/auth/reset-password");
  await look(page, "reset-password");
  await open("/auth/reset-password?token=nonsense");
  await look(page, "error-link");
  await open("/auth/verify-email");
  await look(page, "verify-email");
  await field(page, "Email address").fill("ana@example.com");
  await press(page, "Send the link");
  await look(page, "verify-email-sent");
  await page.goto(linkIn(await lastMail(place, "ana@example.com", /^Confirm your email address/)));
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
  await page.goto(linkIn(await lastMail(place, "ana@example.com", /^Change your email address/)));
  await look(page, "confirm");
  await press(page, "Change it");
  await page.goto(linkIn(await lastMail(place, "anna@example.com", /^Confirm your new email address/)));
  await press(page, "Yes, confirm it");
  await page.getByText("Your email address has been changed.").waitFor();
  await page.getByText("anna@example.com", { exact: false }).first().waitFor();
  await context.close();
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
