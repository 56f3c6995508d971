// examples/spa-fastapi as its users have it: its own start script, three origins, a real browser. What testers of a sign-in go through, one by one.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { look, looked, watch } from "./looking.mjs";
import { binary, cookie, reservePorts, waitFor } from "./place.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const PASSWORD = "a good long password";
let browser, example, app, auth, api, data, reserved;

before(async () => {
  data = mkdtempSync(join(tmpdir(), "countersign-spa-"));
  reserved = await reservePorts(3);
  const [AUTH_PORT, API_PORT, APP_PORT] = reserved.ports;
  [auth, api, app] = [AUTH_PORT, API_PORT, APP_PORT].map((port) => `http://localhost:${port}`);
  const log = openSync(join(data, "log"), "a");
  const settings = "--set passwords.argon2_memory_kib=64 --set passwords.argon2_iterations=1 --set server.ops_listen=off --set passwords.blocklist=true";
  const environment = { AUTH_PORT, API_PORT, APP_PORT, DATA: data, BIN: binary, SETTINGS: settings, PYTHON: join(root, "target/interop/venv/bin/python") };
  example = spawn(join(root, "examples/spa-fastapi/start.sh"), { env: { ...process.env, ...environment }, stdio: ["ignore", log, log] });
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const up = async (url) => (await fetch(url)).status < 500;
  await waitFor(async () => {
    assert.equal(example.exitCode, null, readFileSync(join(data, "log"), "utf8"));
    return (await up(`${auth}/health`)) && (await up(`${api}/notes`)) && (await up(app));
  }, "all three", 120);
});
after(async () => {
  await browser?.close();
  example?.kill("SIGTERM");
  if (example?.exitCode === null) await new Promise((resolve) => example.once("exit", resolve));
  reserved?.release();
  looked();
});

async function visitor(path = "/") {
  const context = await browser.newContext({ locale: "en-GB" });
  await watch(context);
  const page = await context.newPage();
  const open = (path) => page.goto(app + path);
  await open(path);
  return { context, page, open };
}

const field = (page, label) => page.getByLabel(label, { exact: true });
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
const heading = (page, name) => page.getByRole("heading", { name, exact: true }).waitFor();
const is = (page, hash) => page.waitForURL((url) => url.hash === hash);

async function signUp(page, name, { password = PASSWORD, again = password, email = `${name}@example.com` } = {}) {
  await page.goto(`${app}/#/sign-up`);
  await heading(page, "Create an account");
  for (const [label, value] of [["Name", name], ["Email address", email], ["Password", password], ["Repeat the password", again]]) await field(page, label).fill(value);
  await press(page, "Create account");
}

async function signIn(page, name, password = PASSWORD) {
  await page.goto(`${app}/#/sign-in`);
  await heading(page, "Sign in");
  await field(page, "Email address").fill(`${name}@example.com`);
  await field(page, "Password").fill(password);
  await press(page, "Sign in");
}

test("signing up: a bad address, a weak password, two that differ, a good one, a taken address", async () => {
  const { page, context } = await visitor();
  await is(page, "#/sign-in");
  await look(page, "spa-sign-in");
  await signUp(page, "ana", { email: "ana@" });
  await page.getByText("Please enter an email address such as name@example.com.").waitFor();
  await signUp(page, "ana", { password: "short" });
  await page.getByText("Please use at least 8 characters.").waitFor();
  await signUp(page, "ana", { again: "something else" });
  await page.getByText("The two passwords are not the same.").waitFor();
  await signUp(page, "ana", { password: "password123" });
  await page.getByText("This password is too easy to guess.").waitFor();
  await look(page, "spa-sign-up-weak");
  await signUp(page, "ana");
  await heading(page, "Your notes");
  await look(page, "spa-notes");
  const other = await visitor();
  await signUp(other.page, "ana");
  await other.page.getByText("User already exists. Use another email.").waitFor();
  await Promise.all([context.close(), other.context.close()]);
});

test("signing in: wrong, unknown, right; guarded views both ways; a reload keeps the session", async () => {
  const { page, context, open } = await visitor("/#/admin");
  await is(page, "#/sign-in");
  const texts = [];
  for (const name of ["ana", "unknown"]) {
    await signIn(page, name, "not the password");
    await page.getByText("Invalid email or password").waitFor();
    texts.push(await page.locator(".fault").textContent());
    await page.reload();
  }
  assert.equal(texts[0], texts[1]);
  await open("/#/admin");
  await is(page, "#/sign-in");
  await field(page, "Email address").fill("ana@example.com");
  await field(page, "Password").fill(PASSWORD);
  await press(page, "Sign in");
  await is(page, "#/admin");
  await page.getByText("You are not allowed to see this.").waitFor();
  await look(page, "spa-403");
  await open("/#/sign-in");
  await is(page, "#/admin");
  await page.reload();
  await page.getByText("ana@example.com").waitFor();
  execFileSync(binary, ["users", "set-role", "ana@example.com", "admin"], { cwd: data });
  await waitFor(async () => {
    await page.reload();
    await page.getByRole("heading").waitFor();
    return page.getByText("People with notes:").isVisible();
  }, "the role in a new token");
  await context.close();
});

test("401, 404, 422, 500, and a network that is away", async () => {
  const { page, context, open } = await visitor();
  await signUp(page, "bob");
  await heading(page, "Your notes");
  await field(page, "Text").fill("ab");
  await press(page, "Save");
  await page.getByText("String should have at least 3 characters").waitFor();
  assert.equal(await field(page, "Text").getAttribute("aria-invalid"), "true");
  await look(page, "spa-422");
  await press(page, "Fail on purpose");
  await page.getByText("The backend had a fault. It is not you.").waitFor();
  await press(page, "Ask for nothing");
  await page.getByText("There is nothing here.").waitFor();
  await open("/#/nowhere");
  await heading(page, "404");
  await look(page, "spa-404");
  await open("/#/notes");
  await heading(page, "A new note");
  // A 401 in flight: the note is saved all the same, by one refresh.
  let [refused, refreshes] = [0, 0];
  page.on("request", (request) => request.url().endsWith("/refresh") && refreshes++);
  await page.route(`${api}/notes`, async (route) => {
    if (route.request().method() !== "POST" || refused++) return route.fallback();
    await route.fulfill({ status: 401, headers: { "access-control-allow-origin": app }, json: { detail: "invalid token" } });
  });
  await field(page, "Text").fill("healed in flight");
  await press(page, "Save");
  await page.getByRole("listitem").getByText("healed in flight").waitFor();
  assert.deepEqual([refused, refreshes], [2, 1]);
  await page.unrouteAll();
  await press(page, "Spoil the token");
  await page.getByText("/notes: 401, /api/auth/refresh: 200, /notes: 200").waitFor();
  await context.setOffline(true);
  await field(page, "Text").fill("into the void");
  await press(page, "Save");
  await page.getByText("No answer came.").waitFor();
  assert.equal(await field(page, "Text").inputValue(), "into the void");
  await context.setOffline(false);
  await press(page, "Save");
  await page.getByRole("listitem").getByText("into the void").waitFor();
  await context.close();
});

test("the network goes while one signs in; then too many attempts, with a timer", async () => {
  const { page, context } = await visitor();
  await signUp(page, "carl");
  await heading(page, "Your notes");
  await press(page, "Sign out");
  await is(page, "#/sign-in");
  await context.setOffline(true);
  await field(page, "Email address").fill("carl@example.com");
  await field(page, "Password").fill("not the password");
  await press(page, "Sign in");
  await page.getByText("The network is away. Nothing is lost: please try again.").waitFor();
  await look(page, "spa-offline");
  await context.setOffline(false);
  for (let i = 0; i < 8 && !(await page.getByText(/You can try again in \d+ s/).count()); i++) {
    const told = page.waitForResponse((response) => response.url().endsWith("/sign-in/email"));
    await press(page, "Sign in");
    await told;
    await page.locator(".fault:not(:empty)").waitFor();
  }
  await page.getByText(/You can try again in \d+ s/).waitFor();
  assert.equal(await page.getByRole("button", { name: "Sign in" }).isDisabled(), true);
  await look(page, "spa-429");
  await waitFor(() => page.getByRole("button", { name: "Sign in" }).isEnabled(), "the end of the wait", 60);
  await context.close();
});

test("time passes: renewed before it ends; a session that was ended leads to the sign-in", async () => {
  const { page, context } = await visitor();
  await page.clock.install();
  await signUp(page, "dora");
  await heading(page, "Your notes");
  const refreshed = page.waitForResponse((response) => response.url().endsWith("/refresh") && response.ok());
  await page.clock.fastForward("14:00");
  await refreshed;
  await field(page, "Text").fill("after a quarter of an hour");
  await press(page, "Save");
  await page.getByRole("listitem").getByText("after a quarter of an hour").waitFor();
  execFileSync(binary, ["sessions", "revoke", "--user", "dora@example.com", "--yes"], { cwd: data });
  await page.clock.fastForward("14:00");
  await is(page, "#/sign-in");
  assert.deepEqual((await context.cookies()).map((c) => c.name), [cookie("known_device")], "what is over is cleared");
  await context.close();
});

test("two tabs are in step; signing out here, and everywhere", async () => {
  const { page, context, open } = await visitor();
  await signUp(page, "emil");
  await heading(page, "Your notes");
  const second = await context.newPage();
  await second.goto(app);
  await heading(second, "Your notes");
  await press(page, "Sign out");
  await is(page, "#/sign-in");
  await is(second, "#/sign-in");
  assert.deepEqual((await context.cookies()).map((c) => c.name), [cookie("known_device")]);
  const stored = await page.evaluate(() => [...Object.entries(localStorage), ...Object.entries(sessionStorage)]);
  // The ticket of a refresh opens nothing.
  const others = stored.filter(([key, value]) => !key.endsWith(":ticket") || value.length !== 22);
  assert.deepEqual(others, [], "no token lies about");
  await signIn(second, "emil");
  await heading(second, "Your notes");
  await heading(page, "Your notes");
  const elsewhere = await visitor();
  await signIn(elsewhere.page, "emil");
  await heading(elsewhere.page, "Your notes");
  await open("/#/notes");
  await press(page, "Sign out everywhere");
  await is(page, "#/sign-in");
  await elsewhere.page.reload();
  await is(elsewhere.page, "#/sign-in");
  await Promise.all([context.close(), elsewhere.context.close()]);
});
