// Passkeys on the pages, in a real browser with virtual authenticators: add, name, delete, sign in by the button and by the list of the field, as the second step, where a policy asks for one, and what the browser's store is told; in three languages, and every page looked at.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { Authenticator } from "./authenticator.mjs";
import { look, looked } from "./looking.mjs";
import { address, lastCode, verified } from "./mailbox.mjs";
import { start, waitFor } from "./place.mjs";
import { virtualAuthenticator } from "./virtual_authenticator.mjs";
import { PASSWORD, signIn, signUp, visitor } from "./visitor.mjs";

const SECURITY = "/auth/account/security";
let place;
before(async () => (place = await start(["policies.admin.require=2fa", "roles.keeper=notes:read", "policies.keeper.require=phr"])));
after(async () => {
  await place?.stop();
  looked();
});

const says = (page, text) => page.getByText(text).first().waitFor();
const signOut = async ({ page, at }) => {
  await page.locator("header form button").click();
  await at("/auth/sign-in?done=signed_out");
};

/** A visitor with a device. A virtual device answers the list under the field of the sign-in page by itself, so that most tests go without the list. */
async function person(options = {}, device = {}, hasList = false) {
  const me = await visitor(place, options);
  if (!hasList) await me.context.addInitScript(() => (PublicKeyCredential.isConditionalMediationAvailable = async () => false));
  return { ...me, device: await virtualAuthenticator(me.page, device) };
}

/** Presses a button for a passkey, with the device in hand. */
async function press({ page, device }, way) {
  await device.plug(true);
  await page.locator(`#passkey-${way}`).click();
}

/** Adds a passkey, and stands on the page of the list again. */
async function add(me) {
  await me.open(SECURITY);
  await press(me, "register");
  await me.at(`${SECURITY}?done=passkey_added`);
  await me.device.plug(false);
}

const listed = (page) => page.locator("#passkeys li strong").allTextContents();

for (const [locale, text] of [
  ["en-GB", { none: "You have no passkey yet.", added: "The passkey has been added.", named: "The passkey has a new name.", deleted: "The passkey has been deleted.", required: "Please fill in this field.", device: "On one device only", synced: "Synced between your devices", have: "This device already has a passkey for this account.", unknown: "This passkey is not known here.", cancelled: "No passkey was used" }],
  ["de-DE", { none: "Sie haben noch keinen Passkey.", added: "Der Passkey wurde hinzugefügt.", named: "Der Passkey hat einen neuen Namen.", deleted: "Der Passkey wurde gelöscht.", required: "Bitte füllen Sie dieses Feld aus.", device: "Nur auf einem Gerät", synced: "Zwischen Ihren Geräten synchronisiert", have: "Dieses Gerät hat schon einen Passkey für dieses Konto.", unknown: "Dieser Passkey ist hier nicht bekannt.", cancelled: "Es wurde kein Passkey verwendet" }],
  ["es-ES", { none: "Todavía no tiene ninguna clave de acceso.", added: "Se ha añadido la clave de acceso.", named: "La clave de acceso tiene un nombre nuevo.", deleted: "Se ha eliminado la clave de acceso.", required: "Rellene este campo.", device: "En un solo dispositivo", synced: "Sincronizada entre sus dispositivos", have: "Este dispositivo ya tiene una clave de acceso para esta cuenta.", unknown: "Esta clave de acceso no se conoce aquí.", cancelled: "No se usó ninguna clave de acceso" }],
]) {
  const language = locale.slice(0, 2);

  test(`a passkey is added, named, used and deleted (${language})`, async () => {
    const name = `ana-${language}`;
    const me = await person({ locale });
    const { page, open, at, send, focused, device } = me;
    await device.plug(false);
    await signUp(me, name);
    await look(page, `passkeys-account-${language}`);
    await page.locator("a[href$='#passkeys']").click();
    await says(page, text.none);
    await look(page, `passkeys-none-${language}`);
    await add(me);
    await says(page, text.added);
    await says(page, text.device);
    assert.match((await listed(page))[0], /Chrom/);
    const [made] = await device.credentials();
    assert.ok(made.isResidentCredential && made.rpId === "localhost");
    assert.equal(made.userName, address(name));
    await look(page, `passkeys-one-${language}`);

    // One device makes one passkey.
    await press(me, "register");
    await says(page, text.have);
    await look(page, `passkeys-have-${language}`);

    // The name.
    await page.locator("#passkeys summary").click();
    await page.locator("#passkey-name-1").fill("");
    await page.locator("#rename-passkey-1 button").click();
    await says(page, text.required);
    await focused("passkey-name-1");
    await look(page, `passkeys-unnamed-${language}`);
    await page.locator("#passkey-name-1").fill("My <b>laptop</b>");
    await page.keyboard.press("Enter");
    await says(page, text.named);
    assert.deepEqual(await listed(page), ["My <b>laptop</b>"]);

    // The button signs in, without the password, and leads where the visitor wanted to go.
    await device.plug(false);
    await signOut(me);
    await open("/auth/sign-in?redirect_to=%2Fauth%2Faccount%3Fx%3D1");
    await look(page, `passkeys-sign-in-${language}`);
    await press(me, "sign-in");
    await at("/auth/account?x=1");
    await device.plug(false);
    await page.locator("header .who", { hasText: address(name) }).waitFor();

    // A store that synchronises, on another device.
    const other = await person({ locale }, { defaultBackupEligibility: true, defaultBackupState: true });
    await other.device.plug(false);
    await signIn(other, name);
    await other.at("/auth/account");
    await add(other);
    await says(other.page, text.synced);
    await look(other.page, `passkeys-two-${language}`);

    // A passkey that was deleted elsewhere is not known, and the store of the browser drops it.
    await other.page.locator("#delete-passkey-1 button").click();
    await says(other.page, text.deleted);
    assert.equal((await listed(other.page)).length, 1);
    await look(other.page, `passkeys-deleted-${language}`);
    await signOut(me);
    assert.equal((await device.credentials()).length, 1);
    await press(me, "sign-in");
    await says(page, text.unknown);
    await waitFor(async () => (await device.credentials()).length === 0, "the store without the passkey");
    await look(page, `passkeys-unknown-${language}`);
    await press(me, "sign-in");
    await says(page, text.cancelled);
    await send("sign-in", { email: address(name), password: PASSWORD });
    await at("/auth/account");
    for (const each of [me, other]) await each.context.close();
  });
}

test("the list under the field of the sign-in page signs in, without a button", async () => {
  const fresh = await visitor(place);
  await fresh.open("/auth/sign-in");
  assert.equal(await fresh.page.locator("#sign-in-email").getAttribute("autocomplete"), "username webauthn");
  await fresh.context.close();
  const me = await person({}, {}, true);
  await me.device.plug(false);
  await signUp(me, "bob");
  await add(me);
  await signOut(me);
  await me.open("/auth/sign-in?redirect_to=%2Fauth%2Faccount%3Fx%3D2");
  await me.page.locator("#passkey-sign-in").waitFor();
  await me.device.plug(true);
  // The browser asks its devices again when a request begins.
  await me.page.reload();
  await me.at("/auth/account?x=2");
  await me.context.close();
});

test("the browser's store learns the user's name and passkeys after a sign-in and after a change", async () => {
  const me = await person();
  const { page, open, at, send, device } = me;
  await device.plug(false);
  await signUp(me, "cleo");
  await add(me);
  await open("/auth/account");
  await send("name", { name: "Cleo the Second" });
  await at("/auth/account?done=name");
  await waitFor(async () => (await device.credentials())[0].userDisplayName === "Cleo the Second", "the new name");
  await open(SECURITY);
  await page.locator("#delete-passkey-1 button").click();
  await at(`${SECURITY}?done=passkey_deleted`);
  await waitFor(async () => (await device.credentials()).length === 0, "the store without the passkey");
  await me.context.close();
});

test("a passkey is the second step beside the app, and proves again who is there", async () => {
  const me = await person();
  const { page, open, at, send, device } = me;
  await device.plug(false);
  await signUp(me, "dora");
  await add(me);
  await send("set-up", { current: PASSWORD });
  const phone = new Authenticator(await page.locator("code.key").textContent());
  await send("confirm", { code: await phone.code() });
  await at(`${SECURITY}?done=two_step_on`);
  await signOut(me);
  await signIn(me, "dora", "/auth/sign-in?redirect_to=%2Fauth%2Faccount%3Fx%3D3");
  await at("/auth/challenge");
  await look(page, "passkeys-challenge");
  await press(me, "authenticate");
  await at("/auth/account?x=3");
  await device.plug(false);
  // A passkey that verifies its user is enough by itself.
  await signOut(me);
  await press(me, "sign-in");
  await at("/auth/account");
  await device.plug(false);
  // The passkey of the sign-in is also the proof that a change needs.
  await open(SECURITY);
  assert.equal(await page.locator("#turn-off, #delete-passkey-1").count(), 2);
  await me.context.close();
});

test("a user whom the device does not recognise stays on the page, which says so", async () => {
  const me = await person();
  await signUp(me, "ivo");
  await add(me);
  await signOut(me);
  await me.device.verifies(false);
  await press(me, "sign-in");
  await me.page.locator(".said[role=alert]").waitFor();
  assert.equal(new URL(me.page.url()).pathname, "/auth/sign-in");
  await me.context.close();
});

test("a passkey that does not verify its user is the second step after the password", async () => {
  const me = await person({}, { hasUserVerification: false, isUserVerified: false });
  const { page, at, send } = me;
  await signUp(me, "jan");
  await add(me);
  await send("set-up", { current: PASSWORD });
  const phone = new Authenticator(await page.locator("code.key").textContent());
  await send("confirm", { code: await phone.code() });
  await at(`${SECURITY}?done=two_step_on`);
  await signOut(me);
  await signIn(me, "jan");
  await at("/auth/challenge");
  await press(me, "authenticate");
  await at("/auth/account");
  await me.context.close();
});

test("in a remembered browser the passkey proves again who is there, before anything is changed", async () => {
  const me = await person();
  const { page, open, at, send, device } = me;
  await device.plug(false);
  await signUp(me, "hana");
  await add(me);
  await send("set-up", { current: PASSWORD });
  const phone = new Authenticator(await page.locator("code.key").textContent());
  await send("confirm", { code: await phone.code() });
  await at(`${SECURITY}?done=two_step_on`);
  await signOut(me);
  await signIn(me, "hana");
  await page.locator("#trust").check();
  await press(me, "authenticate");
  await at("/auth/account");
  await device.plug(false);
  await signOut(me);
  await signIn(me, "hana");
  await at("/auth/account");
  await open(SECURITY);
  assert.equal(await page.locator("#turn-off, #delete-passkey-1, #passkey-register").count(), 0);
  await look(page, "passkeys-prove");
  await press(me, "authenticate");
  await at(`${SECURITY}?done=stepped_up`);
  await page.locator("#turn-off").waitFor();
  await page.locator("#delete-passkey-1").waitFor();
  await me.context.close();
});

/** Signs a user in whose role has a policy, up to the proof of the mailbox. */
async function atEnrolment(me, name, role) {
  await verified(place, me, name);
  execFileSync(...place.cli("users", "set-role", address(name), role));
  await signIn(me, name, "/auth/sign-in?again=1&redirect_to=%2Fauth%2Faccount%3Fx%3D4");
  await me.at("/auth/challenge");
  await me.page.locator("#send button").click();
  await me.send("mailed", { mailed: await lastCode(place, name, 1) });
  await me.page.locator("#passkey-register").waitFor();
}

test("where two factors are required, a new passkey finishes the sign-in as an app would", async () => {
  const me = await person();
  await me.device.plug(false);
  await atEnrolment(me, "eva", "admin");
  await me.page.locator("#enrol").waitFor();
  await look(me.page, "passkeys-enrol");
  await press(me, "register");
  await me.at("/auth/account?x=4");
  await me.device.plug(false);
  await me.open(SECURITY);
  assert.equal((await listed(me.page)).length, 1);
  await me.context.close();
});

test("where only a passkey is enough, the sign-in asks for one and for nothing else", async () => {
  const me = await person();
  await me.device.plug(false);
  await atEnrolment(me, "fred", "keeper");
  assert.equal(await me.page.locator("main form").count(), 0);
  await look(me.page, "passkeys-enrol-alone");
  await press(me, "register");
  await me.at("/auth/account?x=4");
  await me.device.plug(false);
  await signOut(me);
  await signIn(me, "fred");
  await me.at("/auth/challenge");
  assert.equal(await me.page.locator("main form").count(), 0);
  await look(me.page, "passkeys-challenge-alone");
  await press(me, "authenticate");
  await me.at("/auth/account");
  await me.context.close();
});

test("without script the pages say what a passkey needs, and name and delete one", async () => {
  const me = await person();
  await me.device.plug(false);
  await signUp(me, "gwen");
  await add(me);
  await me.context.close();
  const plain = await visitor(place, { javaScriptEnabled: false });
  const { page, open, at } = plain;
  await open("/auth/sign-in");
  assert.equal(await page.locator("#passkey-sign-in").isVisible(), false);
  await signIn(plain, "gwen");
  await at("/auth/account");
  await open(SECURITY);
  await says(page, "A passkey needs a browser that supports passkeys");
  assert.equal(await page.locator("#passkey-register").isVisible(), false);
  await page.locator("#passkeys summary").click();
  await page.locator("#passkey-name-1").fill("Old key");
  await page.locator("#rename-passkey-1 button").click();
  await at(`${SECURITY}?done=passkey_renamed`);
  assert.deepEqual(await listed(page), ["Old key"]);
  await page.locator("#delete-passkey-1 button").click();
  await at(`${SECURITY}?done=passkey_deleted`);
  await says(page, "You have no passkey yet.");
  await plain.context.close();
});
