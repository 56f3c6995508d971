// A role that needs two-step sign-in, in a real browser: a user without a second factor proves the mailbox and sets up an authenticator app in the sign-in itself, in three languages, with script and without, and every page looked at.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Authenticator } from "./authenticator.mjs";
import { look, looked } from "./looking.mjs";
import { address, lastCode, mailAbout, signInByCode, verified, wrong } from "./mailbox.mjs";
import { start } from "./place.mjs";
import { signIn, visitor } from "./visitor.mjs";

let place;
before(async () => (place = await start(["policies.admin.require=2fa", "two_factor.email=true"])));
after(async () => {
  await place?.stop();
  looked();
});

const listed = (page) => page.locator(".codes code").allTextContents();
const scan = async (page) => new Authenticator(await page.locator("code.key").textContent());
const says = (page, text) => page.getByText(text).first().waitFor();

/** An admin whose mailbox is verified, and who has no second factor. */
async function admin(name) {
  const me = await visitor(place);
  await verified(place, me, name);
  execFileSync(...place.cli("users", "set-role", address(name), "admin"));
  await me.context.close();
}

/** Signs in with the password, and proves the mailbox; stands before the setting up then. */
async function proven(me, name, path) {
  await signIn(me, name, path);
  await me.at("/auth/challenge");
  await me.page.locator("#send button").click();
  await me.page.locator("#mailed").waitFor();
  await me.send("mailed", { mailed: await lastCode(place, name, 1) });
  await me.page.locator("#enrol").waitFor();
}

for (const [locale, text] of [
  ["en-GB", { first: "First confirm that you can read the email", digits: "Please enter the six digits of the code.", wrong: "This code is wrong.", needs: "This account needs two-step sign-in.", same: "stay the same", begun: "You have begun before.", on: "Two-step sign-in is on." }],
  ["de-DE", { first: "Bestätigen Sie zuerst, dass Sie die E-Mails", digits: "Bitte geben Sie die sechs Ziffern des Codes ein.", wrong: "Dieser Code ist falsch.", needs: "Dieses Konto braucht die Anmeldung in zwei Schritten.", same: "bleiben dieselben", begun: "Sie haben schon einmal begonnen.", on: "Die Anmeldung in zwei Schritten ist eingeschaltet." }],
  ["es-ES", { first: "Confirme primero que puede leer el correo", digits: "Escriba los seis dígitos del código.", wrong: "Este código es incorrecto.", needs: "Esta cuenta exige el inicio de sesión en dos pasos.", same: "siguen siendo los mismos", begun: "Ya había empezado antes.", on: "El inicio de sesión en dos pasos está activado." }],
]) {
  const language = locale.slice(0, 2);
  const name = `root-${language}`;

  test(`an admin sets up the app in the sign-in, every page looked at (${language})`, async () => {
    await admin(name);
    const me = await visitor(place, { locale });
    const { page, open, at, send, focused, context } = me;
    await signIn(me, name, "/auth/sign-in?redirect_to=%2Fauth%2Faccount%3Fx%3D1");
    await at("/auth/challenge");
    await says(page, text.first);
    assert.equal(await page.locator("#trust, a[href*='with=']").count(), 0, "nothing else leads further");
    await look(page, `policies-mailbox-${language}`);
    await page.locator("#send button").click();
    await focused("mailed-mailed");
    await says(page, text.first);
    assert.equal(await page.locator("#trust").count(), 0);
    await look(page, `policies-mailbox-sent-${language}`);
    const code = await lastCode(place, name, 1);
    await send("mailed", { mailed: "12" });
    await says(page, text.digits);
    await send("mailed", { mailed: wrong(code) });
    await says(page, text.wrong);
    await focused("mailed-mailed");
    await look(page, `policies-mailbox-wrong-${language}`);

    await send("mailed", { mailed: code });
    await page.locator("#enrol").waitFor();
    await says(page, text.needs);
    await look(page, `policies-enrol-begin-${language}`);
    await page.locator("#enrol button").click();
    await page.locator(".qr svg").waitFor();
    await look(page, `policies-enrol-${language}`);
    const [early, codes] = [await scan(page), await listed(page)];
    assert.equal(codes.length, 10);
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("a[download]").click()]);
    const file = readFileSync(await download.path(), "utf8").trim().split("\n");
    assert.ok(file[0].includes(address(name)), file[0]);
    assert.deepEqual(file.slice(2), codes);
    await send("confirm", { code: "123" });
    await says(page, text.digits);
    await focused("confirm-code");
    await send("confirm", { code: early.wrong() });
    await says(page, text.wrong);
    await focused("confirm-code");
    await says(page, text.same);
    assert.deepEqual((await scan(page)).secret, early.secret);
    assert.equal((await listed(page)).length, 0, "they are shown once");
    await look(page, `policies-enrol-wrong-${language}`);

    // Who comes back begins again: no page shows the secret by its URL.
    await open("/auth/challenge?redirect_to=%2Fauth%2Faccount%3Fx%3D1");
    await says(page, text.begun);
    assert.equal(await page.locator("code.key").count(), 0);
    await look(page, `policies-enrol-begun-${language}`);
    await page.locator("#enrol button").click();
    await page.locator(".qr svg").waitFor();
    const phone = await scan(page);
    assert.notDeepEqual(phone.secret, early.secret);
    assert.ok((await listed(page)).every((each) => !codes.includes(each)));
    await page.locator("#confirm-code").fill(await phone.code());
    await page.keyboard.press("Enter");
    await at("/auth/account?x=1");
    await page.locator("header .who", { hasText: address(name) }).waitFor();
    await open("/auth/account/security");
    await says(page, text.on);
    const mail = await mailAbout(place, name, /turned on|eingeschaltet|activado/);
    assert.doesNotMatch(mail.text, /authenticator|autenticación/i);

    // The next sign-in asks for the app, or for a code by email.
    const other = await visitor(place, { locale });
    await signIn(other, name);
    await other.at("/auth/challenge");
    await other.focused("challenge-code");
    await other.send("challenge", { code: await phone.code() });
    await other.at("/auth/account");
    for (const each of [context, other.context]) await each.close();
  });
}

test("without script everything works, by the button that begins again, too", async () => {
  await admin("bob");
  const me = await visitor(place, { javaScriptEnabled: false });
  const { page, open, at, send, context } = me;
  await proven(me, "bob", "/auth/sign-in?redirect_to=%2Fauth%2Faccount%3Fx%3D2");
  await page.locator("#enrol button").click();
  const early = await scan(page);
  await send("confirm", { code: early.wrong() });
  assert.match(await page.locator("#confirm-code-wrong").textContent(), /^This code is wrong/);
  await page.getByRole("button", { name: "Begin again" }).click();
  const phone = await scan(page);
  assert.notDeepEqual(phone.secret, early.secret);
  assert.equal((await listed(page)).length, 10);
  const code = await phone.code();
  await send("confirm", { code: `${code.slice(0, 3)} ${code.slice(3)}` });
  await at("/auth/account?x=2");
  // A reload of the form's path leads to the account, not to an error.
  await open("/auth/challenge/enrol");
  await at("/auth/account");
  await context.close();
});

test("of two windows the later one counts, and the earlier one says so", async () => {
  await admin("cleo");
  const me = await visitor(place);
  await proven(me, "cleo");
  await me.page.locator("#enrol button").click();
  const early = await scan(me.page);
  const later = await me.context.newPage();
  await later.goto(`${place.auth}/auth/challenge`);
  await later.locator("#enrol button").click();
  const phone = await scan(later);
  assert.notDeepEqual(phone.secret, early.secret);
  // The right code, after the wrong recovery codes were saved.
  await me.send("confirm", { code: await phone.code() });
  await says(me.page, "Another window has begun to set up the app after this one");
  await look(me.page, "policies-enrol-replaced");
  await later.locator("#confirm input[name=code]").fill(await phone.code());
  await later.locator("#confirm button").click();
  await later.waitForURL((url) => url.pathname === "/auth/account");
  // The sign-in of the earlier window is over: it was finished in the other one.
  await me.page.locator("#enrol button").click();
  await me.at("/auth/account");
  await me.context.close();
});

test("five wrong codes end the sign-in, and a thief of the password sets up nothing", async () => {
  await admin("dan");
  const me = await visitor(place);
  await proven(me, "dan");
  await me.page.locator("#enrol button").click();
  const phone = await scan(me.page);
  for (let n = 0; n < 3; n++) {
    await me.send("confirm", { code: phone.wrong() });
    await says(me.page, "This code is wrong.");
  }
  const thief = await visitor(place);
  await signIn(thief, "dan");
  await thief.at("/auth/challenge");
  await thief.page.evaluate(() => document.body.append(Object.assign(document.createElement("form"), { method: "post", action: "/auth/challenge/enrol", id: "own" })));
  await thief.page.evaluate(() => document.getElementById("own").submit());
  await says(thief.page, "First confirm that you can read the email");
  assert.equal(await thief.page.locator("code.key").count(), 0);
  for (let n = 0; n < 3 && new URL(me.page.url()).pathname !== "/auth/sign-in"; n++) await me.send("confirm", { code: phone.wrong() });
  await me.at("/auth/sign-in?done=challenge_spent");
  for (const each of [me, thief]) await each.context.close();
});

test("a sign-in by email has proven the mailbox: the app is set up at once, without a password", async () => {
  const first = await visitor(place);
  await signInByCode(place, first, "eve", 1);
  await first.at("/auth/account");
  await first.context.close();
  execFileSync(...place.cli("users", "set-role", address("eve"), "admin"));
  const me = await visitor(place);
  const { page, open, at, send } = me;
  await signInByCode(place, me, "eve", 2, "/auth/sign-in/email?redirect_to=%2Fauth%2Faccount%3Fx%3D3");
  await page.locator("#enrol button").click();
  const phone = await scan(page);
  await send("confirm", { code: await phone.code() });
  await at("/auth/account?x=3");
  await open("/auth/account/security");
  assert.equal(await page.locator("input[type=password]").count(), 0);
  await send("turn-off", {});
  await says(page, "Two-step sign-in is required for your account");
  await me.context.close();
});
