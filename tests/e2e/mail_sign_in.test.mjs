// Sign-in by email in a real browser: by the code and by the link, in the browser that asked and in another one, in two languages, with script and without; codes by email as a second step; scanners.
import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { Authenticator } from "./authenticator.mjs";
import { look, looked } from "./looking.mjs";
import { address, codeIn, lookAtMail, codeMails as mailsWithCodes, verified, wrong } from "./mailbox.mjs";
import { linkIn, start } from "./place.mjs";
import { PASSWORD, signIn, visitor } from "./visitor.mjs";

const FORM = "/auth/sign-in/email";
let place;
before(async () => (place = await start(["two_factor.email=true"])));
after(async () => {
  await place?.stop();
  looked();
});

const codeMails = (name, count) => mailsWithCodes(place, name, count);

/** Asks for the mail on the page, and gives it. */
async function ask({ open, at, send }, name, path = FORM, count = 1) {
  await open(path);
  await send("email-sign-in", { email: address(name) });
  await at(FORM);
  return (await codeMails(name, count)).at(-1);
}

/** Whether this browser is signed in; its other pages stay as they are. */
async function isSignedIn(context) {
  const page = await context.newPage();
  await page.goto(`${place.auth}/auth/account`);
  const { pathname } = new URL(page.url());
  await page.close();
  return pathname === "/auth/account";
}

/** Signs up, verifies the mailbox and turns two-step sign-in on. */
async function secured(me, name) {
  await verified(place, me, name);
  await me.open("/auth/account/security");
  await me.send("set-up", { current: PASSWORD });
  const phone = new Authenticator(await me.page.locator("code.key").textContent());
  await me.send("confirm", { code: await phone.code() });
  await me.at("/auth/account/security?done=two_step_on");
  return phone;
}

const LANGUAGES = [
  [
    "en-GB",
    {
      subject: "Your link and code to sign in – Notes",
      missing: "Please fill in this field.",
      digits: "Please enter the six digits of the code.",
      wrong: "This code is wrong.",
      again: "We have sent another email.",
      used: "This link has expired or has already been used.",
      asked: "This sign-in was asked for in another browser:",
      unknown: "Sign in to Notes as",
      mail: "Get a code by email instead",
      second: "is your code to confirm that it is you – Notes",
    },
  ],
  [
    "de-DE",
    {
      subject: "Ihr Link und Ihr Code zur Anmeldung – Notes",
      missing: "Bitte füllen Sie dieses Feld aus.",
      digits: "Bitte geben Sie die sechs Ziffern des Codes ein.",
      wrong: "Dieser Code ist falsch.",
      again: "Wir haben eine weitere E-Mail gesendet.",
      used: "Dieser Link ist abgelaufen oder wurde bereits verwendet.",
      asked: "Diese Anmeldung wurde in einem anderen Browser angefordert:",
      unknown: "Bei Notes als",
      mail: "Stattdessen einen Code per E\u2011Mail erhalten",
      second: "ist Ihr Code, um zu bestätigen, dass Sie es sind – Notes",
    },
  ],
];

for (const [locale, says] of LANGUAGES) {
  const language = locale.slice(0, 2);

  test(`a new user signs in with the code (${language})`, async () => {
    const name = `ana-${language}`;
    const me = await visitor(place, { locale });
    const { page, open, at, send, focused, context } = me;
    await open("/auth/sign-in?redirect_to=%2Fauth%2Faccount%3Fx%3D1");
    await look(page, `mail-sign-in-offer-${language}`);
    await page.locator("#sign-in-email").fill(address(name));
    await page.locator(`.links a[href^="${FORM}"]`).click();
    // What was typed into the other form is there already.
    assert.equal(await page.locator("#email-sign-in-email").inputValue(), address(name));
    await page.locator("#email-sign-in-email").fill("");
    await page.locator("#email-sign-in button").click();
    await page.getByText(says.missing).waitFor();
    await focused("email-sign-in-email");
    await look(page, `mail-sign-in-email-${language}`);

    await send("email-sign-in", { email: address(name) });
    await at(FORM);
    await focused("email-code-code");
    await page.locator("main strong", { hasText: address(name) }).waitFor();
    await look(page, `mail-sign-in-code-${language}`);
    const [first] = await codeMails(name, 1);
    assert.equal(first.subject, says.subject);
    assert.ok(first.html.includes(`>${codeIn(first)}<`), first.html);
    await lookAtMail(me, first, `mail-sign-in-mail-${language}`);
    await send("email-code", { code: "123" });
    await page.getByText(says.digits).waitFor();
    await focused("email-code-code");
    await page.locator("#remember").uncheck();
    await send("email-code", { code: wrong(codeIn(first)) });
    await page.getByText(says.wrong).waitFor();
    await focused("email-code-code");
    assert.ok(!(await page.locator("#remember").isChecked()), "what was chosen stays");
    await look(page, `mail-sign-in-code-wrong-${language}`);

    await page.locator("#again button").click();
    await page.getByText(says.again).waitFor();
    await focused("email-code-code");
    await look(page, `mail-sign-in-code-again-${language}`);
    const [, second] = await codeMails(name, 2);
    if (codeIn(first) !== codeIn(second)) {
      await send("email-code", { code: codeIn(first) });
      await page.getByText(says.wrong).waitFor();
    }
    const code = codeIn(second);
    await page.locator("#email-code-code").fill(`${code.slice(0, 3)} ${code.slice(3)}`);
    await page.keyboard.press("Enter");
    await at("/auth/account?x=1");
    await page.locator("header .who", { hasText: address(name) }).waitFor();
    // The page before says nothing any more: there is nothing left to enter.
    await open(FORM);
    await at("/auth/account");
    await context.close();
  });

  test(`the link signs in the browser in which it is opened (${language})`, async () => {
    const name = `bea-${language}`;
    const me = await visitor(place, { locale });
    const link = linkIn(await ask(me, name, `${FORM}?redirect_to=%2Fauth%2Faccount%3Fx%3D2`));

    // Another browser: the page names what was asked for, and waits.
    const other = await visitor(place, { locale });
    await other.page.goto(link);
    await other.page.getByText(says.asked).waitFor();
    const text = await other.page.locator("main").innerText();
    assert.ok(text.includes(says.unknown) && text.includes(address(name)), text);
    assert.match(text, /Linux/);
    assert.ok(text.includes(String(new Date().getFullYear())), text);
    await look(other.page, `magic-link-elsewhere-${language}`);
    assert.ok(!(await isSignedIn(other.context)) && !(await isSignedIn(me.context)));
    await other.page.locator("main form button").click();
    await other.at("/auth/account?x=2");
    await other.page.locator("header .who", { hasText: address(name) }).waitFor();
    assert.ok(!(await isSignedIn(me.context)), "the browser that asked is not signed in");

    // The link was used up: the page for another mail says so.
    await me.page.goto(link);
    await me.page.getByText(says.used).waitFor();
    assert.equal(new URL(me.page.url()).pathname, FORM);
    await look(me.page, `magic-link-used-${language}`);

    // The browser that asked: the page as it is before its script runs, then with it.
    await me.send("email-sign-in", { email: address(name) });
    const own = linkIn((await codeMails(name, 2)).at(-1));
    const script = "**/auth/assets/*.js";
    await me.page.route(script, (route) => route.abort());
    await me.page.goto(own);
    await me.page.locator("form[data-post-now]").waitFor();
    await look(me.page, `magic-link-own-${language}`);
    assert.ok(!(await isSignedIn(me.context)));
    await me.page.unroute(script);
    await me.page.goto(own);
    await me.at("/auth/account?x=2");
    await me.page.locator("header .who", { hasText: address(name) }).waitFor();
    for (const each of [me, other]) await each.context.close();
  });

  test(`two-step sign-in and codes by email (${language})`, async () => {
    const name = `cleo-${language}`;
    const me = await visitor(place, { locale });
    const phone = await secured(me, name);

    // A mailbox is one factor: the code of the app is asked for, and no further mail is offered.
    const other = await visitor(place, { locale });
    const mail = await ask(other, name, `${FORM}?redirect_to=%2Fauth%2Faccount%3Fx%3D3`);
    await other.send("email-code", { code: codeIn(mail) });
    await other.at("/auth/challenge");
    await other.focused("challenge-code");
    assert.equal(await other.page.locator('a[href*="with=email"]').count(), 0);
    await other.send("challenge", { code: await phone.code() });
    await other.at("/auth/account?x=3");
    await other.page.locator("header form button").click();
    await other.at("/auth/sign-in");
    const second = await ask(other, name, `${FORM}?redirect_to=%2Fauth%2Faccount%3Fx%3D4`, 2);
    await other.page.goto(linkIn(second));
    await other.at("/auth/challenge");
    await other.send("challenge", { code: await phone.code() });
    await other.at("/auth/account?x=4");

    // After the password a code by email counts.
    const third = await visitor(place, { locale });
    await signIn(third, name, "/auth/sign-in?redirect_to=%2Fauth%2Faccount%3Fx%3D5");
    await third.at("/auth/challenge");
    await look(third.page, `challenge-mail-offer-${language}`);
    await third.page.getByRole("link", { name: says.mail }).click();
    await third.page.locator("#send button").waitFor();
    await look(third.page, `challenge-mail-before-${language}`);
    await codeMails(name, 2);
    await third.page.locator("#send button").click();
    await third.focused("mailed-mailed");
    await look(third.page, `challenge-mail-${language}`);
    const [, , asked] = await codeMails(name, 3);
    assert.equal(asked.subject, `${codeIn(asked)} ${says.second}`);
    assert.ok(!asked.text.includes("/magic-link/"), asked.text);
    await lookAtMail(third, asked, `challenge-mail-mail-${language}`);
    await third.send("mailed", { mailed: "12" });
    await third.page.getByText(says.digits).waitFor();
    await third.send("mailed", { mailed: wrong(codeIn(asked)) });
    await third.page.getByText(says.wrong).waitFor();
    await third.focused("mailed-mailed");
    await look(third.page, `challenge-mail-wrong-${language}`);
    await third.page.locator("#again button").click();
    await third.page.getByText(says.again).waitFor();
    const [, , , last] = await codeMails(name, 4);
    await third.send("mailed", { mailed: codeIn(last) });
    await third.at("/auth/account?x=5");
    for (const each of [me, other, third]) await each.context.close();
  });
}

test("the link leads on to an application of another origin", async () => {
  const me = await visitor(place);
  const to = encodeURIComponent(`${place.origin}/notes`);
  const mail = await ask(me, "dan", `${FORM}?redirect_to=${to}`);
  await me.page.goto(linkIn(mail));
  await me.page.waitForURL(`${place.origin}/notes`);
  assert.ok(await isSignedIn(me.context));
  await me.context.close();
});

test("a link that is opened in another tab waits until the tab is seen", async () => {
  const me = await visitor(place);
  const mail = await ask(me, "eve");
  await me.context.addInitScript(() => {
    let state = "hidden";
    Object.defineProperty(document, "visibilityState", { get: () => state });
    globalThis.show = () => {
      state = "visible";
      document.dispatchEvent(new Event("visibilitychange"));
    };
  });
  await me.page.goto(linkIn(mail));
  await me.page.locator("form[data-post-now]").waitFor();
  await me.page.waitForLoadState("networkidle");
  assert.ok(await me.page.locator("form[data-post-now] button").isEnabled());
  await me.page.evaluate(() => globalThis.show());
  await me.at("/auth/account");
  await me.context.close();
});

test("without script everything works", async () => {
  const me = await visitor(place, { javaScriptEnabled: false });
  const { page, open, at, send } = me;
  await open("/auth/sign-in");
  await page.getByRole("link", { name: "Sign in by email instead" }).click();
  await send("email-sign-in", { email: "fay@example" });
  await send("email-sign-in", { email: address("fay") });
  await at(FORM);
  const [first] = await codeMails("fay", 1);
  await send("email-code", { code: wrong(codeIn(first)) });
  assert.match(await page.locator("#email-code-code-wrong").textContent(), /^This code is wrong/);
  await page.locator("#again button").click();
  await page.getByText("We have sent another email.").waitFor();
  const [, second] = await codeMails("fay", 2);
  await page.goto(linkIn(second));
  await page.getByText("You asked for this sign-in in this browser.").waitFor();
  await page.locator("main form button").click();
  await at("/auth/account");
  const other = await visitor(place, { javaScriptEnabled: false });
  const third = await ask(other, "fay", FORM, 3);
  await other.send("email-code", { code: codeIn(third) });
  await other.at("/auth/account");
  for (const each of [me, other]) await each.context.close();
});

test("too many wrong codes end the code, and a new one works", async () => {
  const me = await visitor(place);
  const mail = await ask(me, "gus");
  for (let n = 0; n < 5; n++) await me.send("email-code", { code: wrong(codeIn(mail)) });
  await me.send("email-code", { code: codeIn(mail) });
  await me.page.getByText("Too many wrong codes were entered.").waitFor();
  assert.equal(await me.page.locator("#email-code").count(), 0);
  await look(me.page, "mail-sign-in-code-spent");
  await me.page.locator("#again button").click();
  const [, next] = await codeMails("gus", 2);
  await me.send("email-code", { code: codeIn(next) });
  await me.at("/auth/account");
  await me.context.close();
});

/** Opens a URL as a program without cookies does; gives the status. */
const opened = (url, method, headers) =>
  new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve({ status: answer.statusCode, cookies: answer.headers["set-cookie"] ?? [] }));
    });
    sent.on("error", reject).end();
  });

test("what scans mail changes nothing by opening the link", async () => {
  const me = await visitor(place);
  const mail = await ask(me, "hal");
  const link = linkIn(mail);
  const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
  for (const method of ["HEAD", "GET"])
    for (const headers of [{}, { accept: browser }, { accept: "*/*" }, { accept: browser, "sec-fetch-mode": "navigate" }]) {
      const { status, cookies } = await opened(link, method, headers);
      assert.deepEqual([status, cookies], [200, []], `${method} ${JSON.stringify(headers)}`);
    }
  // One that runs the scripts of the page, and waits.
  const scanner = await visitor(place);
  await scanner.page.goto(link);
  await scanner.page.waitForLoadState("networkidle");
  assert.equal(new URL(scanner.page.url()).pathname, new URL(link).pathname);
  assert.equal(await scanner.page.locator("form[data-post-now]").count(), 0);
  assert.ok(!(await isSignedIn(scanner.context)));
  // Nothing was used up.
  await me.page.goto(link);
  await me.at("/auth/account");
  for (const each of [me, scanner]) await each.context.close();
});
