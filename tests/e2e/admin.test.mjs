// The console of admins in a real browser: at three widths, light and dark, with long and unusual names, by keyboard alone, without script.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { complaints } from "./looking.mjs";
import { mailsTo, pictures, start, waitFor } from "./place.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PASSWORD = "a good long password";
const LONG = `${"extraordinarily".repeat(4)}name@${"example".repeat(8)}.com`;
/** An email address of 64 characters before the @, a name of emoji, text from right to left, a word that does not end. */
const PEOPLE = [
  ["root@example.com", "Root"],
  ["ana@example.com", "Ana"],
  [LONG, "👩‍👩‍👧‍👦🏳️‍🌈🧑🏽‍🚀"],
  ["layla@example.com", "ليلى بنت عبد الله"],
  ["word@example.com", "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"],
];
const WIDTHS = [1280, 390, 320];
let place, admin;

const run = (...words) => execFileSync(...place.cli(...words));
const open = (page, path) => page.goto(place.auth + path);
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();

async function signedIn(options = {}) {
  const context = await place.browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  await open(page, "/auth/sign-in");
  await page.getByLabel("Email address", { exact: true }).fill("root@example.com");
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await press(page, "Sign in");
  await page.waitForURL(/\/auth\/account/);
  return { context, page };
}

before(async () => {
  place = await start(["audiences.billing.algorithm=RS256", "roles.a_role_with_a_long_name_that_gives_much=user:list,user:get,session:list,audit:list,key:list,notes:read,notes:write"]);
  for (const [email, name] of PEOPLE) {
    const answer = await fetch(`${place.auth}/api/auth/sign-up/email`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: place.origin, "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36" },
      body: JSON.stringify({ email, name, password: PASSWORD }),
    });
    assert.equal(answer.status, 200, `${email}: ${await answer.text()}`);
  }
  run("users", "set-role", "root@example.com", "admin");
  admin = await signedIn();
});
after(async () => place?.stop());

/** The path of a user's page. */
async function pathOf(page, email) {
  await open(page, `/auth/admin/users?q=${encodeURIComponent(email)}`);
  return page.getByRole("link", { name: email }).getAttribute("href");
}

async function looked(page, name) {
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 800 });
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.screenshot({ path: join(pictures, `console-${name}-${width}-${colorScheme}.png`), fullPage: true });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" | ")}`), [], `${name}, ${width}, ${colorScheme}`);
    }
    assert.deepEqual(await complaints(page), [], `${name}, ${width}`);
    const scrollWidth = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(scrollWidth <= width, `${name}: ${scrollWidth} pixels wide at ${width}`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}

test("every page of the console at 1280, 390 and 320 pixels, light and dark, whatever users are called", async () => {
  const { page } = admin;
  const long = await pathOf(page, LONG);
  const layla = await pathOf(page, "layla@example.com");
  await open(page, "/auth/admin/users");
  await page.getByText("1–5 of 5 users").waitFor();
  await looked(page, "users");
  await open(page, "/auth/admin/users?q=nothing");
  await looked(page, "users-none");
  await open(page, layla);
  await looked(page, "user-right-to-left");
  await open(page, long);
  await looked(page, "user");
  page.once("dialog", (dialog) => dialog.accept());
  await page.getByLabel("Reason").fill("x".repeat(200));
  await page.getByLabel("Until (optional)").fill("2099-01-31");
  await press(page, "Ban");
  await page.getByText("The user is banned.").waitFor();
  await looked(page, "user-banned");
  await press(page, "Lift the ban");
  await page.getByLabel("Metadata of the application, as a JSON object").fill(`["${"y".repeat(300)}"]`);
  await press(page, "Save the metadata");
  await page.getByText("This is not a JSON object").waitFor();
  await looked(page, "user-refused");
  await open(page, "/auth/admin/keys");
  await looked(page, "keys");
  await page.getByRole("link", { name: /^Revoke: / }).first().click();
  await page.getByRole("heading", { name: "Revoke a signing key" }).waitFor();
  await looked(page, "revoke-key");
  await page.getByLabel(/^Reason/).fill("leaked ".repeat(40));
  await press(page, "Revoke this key");
  await page.getByText("The key is revoked.").waitFor();
  await looked(page, "keys-revoked");
  await open(page, "/auth/admin/audit");
  await page.getByText("Root banned 👩‍👩‍👧‍👦").waitFor();
  for (const more of await page.locator("details").all()) await more.evaluate((e) => (e.open = true));
  await looked(page, "audit");
  await open(page, "/auth/admin/audit?ip=nonsense");
  await looked(page, "audit-refused");
  await open(page, "/auth/admin/audit?kind=user.unbanned&user=root%40example.com");
  await looked(page, "audit-none");
});

test("an admin acts as a user and comes back from any page", async () => {
  const { page } = admin;
  const path = await pathOf(page, LONG);
  await open(page, path);
  page.once("dialog", (dialog) => dialog.accept());
  await press(page, "Act as this user");
  await page.waitForURL(/\/auth\/account/);
  await looked(page, "acting");
  await open(page, "/auth/nowhere");
  await open(page, "/auth/account");
  await press(page, "Stop acting as this user");
  await page.getByText("You act as yourself again.").waitFor();
  assert.equal(new URL(page.url()).pathname, path);
  await page.getByText("Root began to act as").first().waitFor();
});

test("without script: a link, a ban, metadata and the deletion of a user", async () => {
  const { context, page } = await signedIn({ javaScriptEnabled: false });
  const path = await pathOf(page, "word@example.com");
  await open(page, path);
  await press(page, "Send a link to choose a new password");
  await page.getByText("The link is on its way to the mailbox of the user.").waitFor();
  await waitFor(() => mailsTo(place, "word@example.com").some((mail) => /Choose a new password/.test(mail.subject)), "the mail");
  await press(page, "Ban");
  await page.getByText("The user is banned.").waitFor();
  await page.getByLabel("Metadata of the application, as a JSON object").fill('{"team":"blue"}');
  await press(page, "Save the metadata");
  await page.getByText("The metadata is saved.").waitFor();
  await page.getByLabel("Type the email address of the user to confirm").fill("other@example.com");
  await press(page, "Delete this user");
  await page.getByText("Nothing was deleted").waitFor();
  await page.getByLabel("Type the email address of the user to confirm").fill("word@example.com");
  await press(page, "Delete this user");
  await page.getByText("The user is deleted.").waitFor();
  await context.close();
});

test("by keyboard alone: from the list to a user, to the bottom of the page, and a key is revoked", async () => {
  const { context, page } = await signedIn();
  const keys = page.keyboard;
  /** Presses Tab until this is reached. */
  const to = async (role, name) => {
    for (let presses = 0; presses < 120; presses++) {
      await keys.press("Tab");
      const here = page.locator(":focus");
      if ((await here.count()) && (await page.getByRole(role, { name, exact: true }).and(here).count())) return;
    }
    throw new Error(`${role} "${name}" cannot be reached by Tab`);
  };
  page.on("dialog", (dialog) => dialog.accept());
  await open(page, "/auth/admin/users");
  await to("link", "ana@example.com");
  await keys.press("Enter");
  await page.getByRole("heading", { name: "Ana", exact: true }).waitFor();
  await to("button", "Disable");
  await keys.press("Enter");
  await page.getByText("The account is disabled").first().waitFor();
  await to("button", "Enable");
  await keys.press("Enter");
  await page.getByText("The account is enabled.").waitFor();
  await to("textbox", "Type the email address of the user to confirm");
  await open(page, "/auth/admin/keys");
  await page.getByRole("link", { name: /^Revoke: / }).last().focus();
  await keys.press("Enter");
  await page.getByRole("heading", { name: "Revoke a signing key" }).waitFor();
  await to("textbox", "Reason (stored with the key and in the audit trail)");
  await keys.type("a test");
  await keys.press("Enter");
  await page.getByText("The key is revoked.").waitFor();
  await context.close();
});
