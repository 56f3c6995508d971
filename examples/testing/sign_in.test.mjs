// A browser test with `countersign dev` and Playwright: the browser is signed in by one request, and the link of a mail is opened without a mailbox.
//
//   npm install playwright-core && COUNTERSIGN=path/to/countersign node --test sign_in.test.mjs
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

let service, browser, base;

before(async () => {
  // Below the ports that the system gives to clients: no other program takes it before the service does.
  const port = 10_000 + Math.floor(Math.random() * 20_000);
  base = `http://localhost:${port}`;
  service = spawn(process.env.COUNTERSIGN ?? "countersign", ["dev", "--port", String(port)], { stdio: "ignore" });
  for (let tries = 0; tries < 300; tries += 1) {
    if (await fetch(`${base}/health/ready`).then((answer) => answer.ok, () => false)) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  service?.kill();
});

test("a browser is signed in without a password", async () => {
  const context = await browser.newContext();
  const answer = await context.request.post(`${base}/dev/sessions`, { data: { user: "dev@example.com" } });
  assert.equal(answer.status(), 200);
  const page = await context.newPage();
  await page.goto(`${base}/auth/account`);
  assert.match(await page.textContent("body"), /dev@example\.com/);
});

test("a forgotten password is changed through the mail", async () => {
  const page = await (await browser.newContext()).newPage();
  await page.request.post(`${base}/api/auth/request-password-reset`, { data: { email: "dev@example.com" } });
  const { items } = await (await page.request.get(`${base}/dev/inbox?to=dev@example.com`)).json();
  await page.goto(items[0].links[0]);
  assert.ok(await page.$('input[type="password"]'), "the link leads to a page that asks for a new password");
});
