// What the pages of an account offer by what its user can prove, in a real browser: no password, and codes by email as the second step.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Authenticator } from "./authenticator.mjs";
import { look, looked } from "./looking.mjs";
import { address, lastCode, mailAbout, signInByCode, verified, wrong } from "./mailbox.mjs";
import { linkIn, start } from "./place.mjs";
import { PASSWORD, signIn, visitor } from "./visitor.mjs";

const SECURITY = "/auth/account/security";
let place;
before(async () => (place = await start(["two_factor.email=true"])));
after(async () => {
  await place?.stop();
  looked();
});

const says = (page, text) => page.getByText(text).first().waitFor();
const signOut = ({ page }) => page.locator("header form button").click();

for (const [locale, text] of [
  ["en-GB", { none: "This account has no password.", mailed: "Open it in this browser to delete your account.", deleted: "Your account has been deleted.", wrong: "This code is wrong.", on: "You get the codes by email.", required: "Please fill in this field.", again: "We have sent another email.", password: "first sign in again with your password" }],
  ["de-DE", { none: "Dieses Konto hat kein Passwort.", mailed: "Öffnen Sie ihn in diesem Browser, um Ihr Konto zu löschen.", deleted: "Ihr Konto wurde gelöscht.", wrong: "Dieser Code ist falsch.", on: "Sie erhalten die Codes per E-Mail.", required: "Bitte füllen Sie dieses Feld aus.", again: "Wir haben eine weitere E-Mail gesendet.", password: "melden Sie sich zuerst erneut mit Ihrem Passwort an" }],
  ["es-ES", { none: "Esta cuenta no tiene contraseña.", mailed: "Ábralo en este navegador para eliminar su cuenta.", deleted: "Se ha eliminado su cuenta.", wrong: "Este código es incorrecto.", on: "Usted recibe los códigos por correo electrónico.", required: "Rellene este campo.", again: "Hemos enviado otro correo.", password: "inicie sesión primero de nuevo con su contraseña" }],
]) {
  const language = locale.slice(0, 2);

  test(`a user without a password is asked for none (${language})`, async () => {
    const name = `ana-${language}`;
    const me = await visitor(place, { locale });
    const { page, open, at, send } = me;
    await signInByCode(place, me, name, 1);
    await at("/auth/account");
    await says(page, text.none);
    assert.equal(await page.locator("input[type=password]").count(), 0);
    await look(page, `factors-account-${language}`);
    await open(SECURITY);
    assert.equal(await page.locator("input[type=password], #by-mail").count(), 0, "a mailbox is no second step beside itself");
    await look(page, `factors-off-${language}`);
    await send("set-up", {});
    const phone = new Authenticator(await page.locator("code.key").textContent());
    await send("confirm", { code: await phone.code() });
    await at(`${SECURITY}?done=two_step_on`);
    assert.equal(await page.locator("input[type=password]").count(), 0);
    await look(page, `factors-on-${language}`);
    await send("renew", {});
    assert.equal(await page.locator(".codes code").count(), 10);
    await open(SECURITY);
    await send("turn-off", {});
    await at(`${SECURITY}?done=two_step_off`);

    // A first password comes by a link; the email address is there already.
    await open("/auth/account");
    await page.locator("main a[href='/auth/forgot-password']").click();
    assert.equal(await page.locator("#forgot-email").inputValue(), address(name));
    // The account goes by a link, too.
    await open("/auth/account");
    await page.locator("#delete button").click();
    await says(page, text.mailed);
    await look(page, `factors-delete-${language}`);
    await page.goto(linkIn(await mailAbout(place, name, /Delete your account|Löschen Sie Ihr Konto|Elimine su cuenta/)));
    await page.locator("main form button").click();
    await at("/auth/sign-in?done=deleted");
    await says(page, text.deleted);
    await me.context.close();
  });

  test(`codes by email are turned on, entered, proven again and turned off (${language})`, async () => {
    const name = `bea-${language}`;
    const me = await visitor(place, { locale });
    const { page, open, at, send, focused } = me;
    await verified(place, me, name);
    await open(SECURITY);
    await look(page, `factors-mail-off-${language}`);
    await send("by-mail", { current: "" });
    await says(page, text.required);
    await send("by-mail", { current: "not the password" });
    await focused("by-mail-current");
    await look(page, `factors-mail-refused-${language}`);
    await send("by-mail", { current: PASSWORD });
    await focused("mailed-mailed");
    await look(page, `factors-mail-sent-${language}`);
    const first = await lastCode(place, name, 1);
    await send("mailed", { mailed: wrong(first) });
    await says(page, text.wrong);
    await focused("mailed-mailed");
    await look(page, `factors-mail-wrong-${language}`);
    await send("mailed", { mailed: first });
    await at(`${SECURITY}?done=two_step_on`);
    await says(page, text.on);
    assert.equal(await page.locator("#renew").count(), 0, "recovery codes stand for an app");
    await look(page, `factors-mail-on-${language}`);
    const told = await mailAbout(place, name, /turned on|eingeschaltet|activado/);
    assert.doesNotMatch(told.text, /authenticator|autenticación/i);

    // A sign-in gets its code by email, and the browser is remembered.
    const other = await visitor(place, { locale });
    await signIn(other, name);
    await other.at("/auth/challenge");
    await other.page.locator("#send button").click();
    await other.page.locator("#trust").check();
    await other.send("mailed", { mailed: await lastCode(place, name, 2) });
    await other.at("/auth/account");
    await signOut(other);
    await signIn(other, name);
    await other.at("/auth/account");

    // No code was entered in this session: a change needs one first.
    await other.open(SECURITY);
    await look(other.page, `factors-mail-prove-${language}`);
    await other.page.locator("#send button").click();
    await other.focused("mailed-mailed");
    await look(other.page, `factors-mail-prove-sent-${language}`);
    await other.page.locator("#again button").click();
    await says(other.page, text.again);
    await other.focused("mailed-mailed");
    const last = await lastCode(place, name, 4);
    await other.send("mailed", { mailed: wrong(last) });
    await says(other.page, text.wrong);
    await look(other.page, `factors-mail-prove-wrong-${language}`);
    await other.send("mailed", { mailed: last });
    await other.at(`${SECURITY}?done=stepped_up`);
    await other.page.locator("#set-up").waitFor();
    await other.send("turn-off", { current: PASSWORD });
    await other.at(`${SECURITY}?done=two_step_off`);

    // A session that began by email needs the password first.
    const third = await visitor(place, { locale });
    await signInByCode(place, third, name, 5);
    await third.at("/auth/account");
    await third.open(SECURITY);
    await says(third.page, text.password);
    assert.equal(await third.page.locator("#by-mail").count(), 0);
    await look(third.page, `factors-mail-password-first-${language}`);
    await third.page.locator("main a[href*='again=1']").click();
    await third.send("sign-in", { email: address(name), password: PASSWORD });
    await third.at(SECURITY);
    await third.page.locator("#by-mail").waitFor();
    for (const each of [me, other, third]) await each.context.close();
  });
}

test("after too many wrong codes a new one is sent, with the password", async () => {
  const me = await visitor(place);
  const { page, open, at, send } = me;
  await verified(place, me, "dan");
  await open(SECURITY);
  await send("by-mail", { current: PASSWORD });
  const code = await lastCode(place, "dan", 1);
  for (let n = 0; n < 5; n++) await send("mailed", { mailed: wrong(code) });
  await send("mailed", { mailed: code });
  await says(page, "Please request a new code.");
  await look(page, "factors-mail-spent");
  await send("by-mail", { current: PASSWORD });
  await send("mailed", { mailed: await lastCode(place, "dan", 2) });
  await at(`${SECURITY}?done=two_step_on`);
  await me.context.close();
});

test("without script everything works; an app comes beside the codes by email, and each way leads to the others", async () => {
  const me = await visitor(place, { javaScriptEnabled: false });
  const { page, open, at, send } = me;
  await verified(place, me, "cleo");
  await open(SECURITY);
  await send("by-mail", { current: PASSWORD });
  const code = await lastCode(place, "cleo", 1);
  await send("mailed", { mailed: wrong(code) });
  assert.match(await page.locator("#mailed-mailed-wrong").textContent(), /^This code is wrong/);
  await send("mailed", { mailed: code });
  await at(`${SECURITY}?done=two_step_on`);
  await says(page, "You can also set up an authenticator app.");
  await send("set-up", { current: PASSWORD });
  const phone = new Authenticator(await page.locator("code.key").textContent());
  await send("confirm", { code: await phone.code() });
  await at(`${SECURITY}?done=two_step_on`);
  await page.locator("#renew").waitFor();

  const other = await visitor(place);
  await signIn(other, "cleo");
  await other.page.locator("#trust").check();
  await other.send("challenge", { code: await phone.code() });
  await other.at("/auth/account");
  await signOut(other);
  await signIn(other, "cleo");
  await other.at("/auth/account");
  await other.open(SECURITY);
  await look(other.page, "factors-prove-app");
  for (const way of ["Get a code by email", "Use a recovery code", "Use the authenticator app"]) await other.page.getByRole("link", { name: `${way} instead` }).click();
  await other.send("step-up", { code: await phone.code() });
  await other.at(`${SECURITY}?done=stepped_up`);
  for (const each of [me, other]) await each.context.close();
});
