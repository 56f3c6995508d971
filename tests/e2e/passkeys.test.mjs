// Passkeys in a real browser: Chromium's virtual authenticators by CDP, and a page of a trusted origin with the npm clients of Better Auth, unmodified.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Authenticator } from "./authenticator.mjs";
import { cookie, start, waitFor } from "./place.mjs";
import { virtualAuthenticator } from "./virtual_authenticator.mjs";

const PASSWORD = "a good long password";
const [FIRST, THIRD] = ["1fa", "phr"].map((level) => `urn:countersign:acr:${level}`);
let place;
before(async () => (place = await start()));
after(async () => place?.stop());

/** A page of the application in a browser of its own, with an authenticator. */
async function visitor(options, path = "/") {
  const context = await place.browser.newContext({ locale: "en-GB" });
  const page = await context.newPage();
  await page.goto(place.origin + path);
  await page.waitForFunction(() => window.client);
  return { context, page, device: options && (await virtualAuthenticator(page, options)) };
}

/** Calls of the client in the page: what they made of the answer. */
const call = (page, path, ...rest) => page.evaluate(([path, rest]) => path.split(".").reduce((at, part) => at[part], client)(...rest), [path, rest]);
const get = (page, path) => page.evaluate((path) => client.$fetch(path, { method: "GET" }), path);
const list = async (page) => (await get(page, "/passkey/list-user-passkeys")).data;
const good = ({ data, error }) => (assert.equal(error, null, JSON.stringify(error)), data);

async function signUp(page, name) {
  good(await call(page, "signUp.email", { name, email: `${name}@example.com`, password: PASSWORD }));
}

/** The claims of a new access token, as a backend sees them. */
async function claims(page) {
  const { token } = good(await call(page, "token"));
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
}

/** A user with a passkey. */
async function owner(name, options) {
  const visit = await visitor(options);
  await signUp(visit.page, name);
  const passkey = good(await call(visit.page, "passkey.addPasskey", { name: "Mine" }));
  return { ...visit, email: `${name}@example.com`, passkey };
}

/** Turns two-step sign-in on, and gives the app. */
async function withApp({ page }) {
  const { totpURI } = good(await call(page, "twoFactor.enable", { password: PASSWORD }));
  const app = new Authenticator(new URL(totpURI).searchParams.get("secret"));
  good(await call(page, "twoFactor.verifyTotp", { code: await app.code() }));
  return app;
}

const NO_UV = { hasUserVerification: false, isUserVerified: false };
const KINDS = [
  ["in the device", { transport: "internal" }, { transports: /internal/ }],
  ["in the device, which may be backed up", { transport: "internal", defaultBackupEligibility: true }, { deviceType: "multiDevice", transports: /internal/ }],
  ["in the device, and backed up", { transport: "internal", defaultBackupEligibility: true, defaultBackupState: true }, { deviceType: "multiDevice", backedUp: true, transports: /internal/ }],
  ["in a security key with a PIN", { transport: "usb" }, { transports: /usb/ }],
  ["in a phone nearby", { transport: "hybrid" }, { transports: /hybrid/ }],
];

for (const [kind, options, wanted] of KINDS) {
  test(`a passkey ${kind}: added, listed, signed in with`, async () => {
    const name = `ana-${KINDS.findIndex(([other]) => other === kind)}`;
    const { page, context, device, passkey } = await owner(name, options);
    const [held] = await device.credentials();
    assert.equal(held.isResidentCredential, true);
    assert.equal(held.rpId, "localhost");
    const { deviceType = "singleDevice", backedUp = false } = wanted;
    assert.deepEqual([passkey.name, passkey.deviceType, passkey.backedUp, Buffer.from(passkey.credentialID, "base64url").toString("base64")], ["Mine", deviceType, backedUp, held.credentialId]);
    assert.match(passkey.transports, wanted.transports);
    assert.deepEqual(await list(page), [passkey]);
    good(await call(page, "signOut"));
    const signedIn = good(await call(page, "signIn.passkey"));
    assert.equal(signedIn.user.email, `${name}@example.com`);
    await page.waitForFunction((email) => document.querySelector("#who")?.textContent.includes(email), `${name}@example.com`);
    const { acr, amr } = await claims(page);
    assert.deepEqual([acr, amr], [THIRD, ["pop", "user"]]);
    assert.equal(await page.evaluate(() => document.cookie), "", "no script reads a cookie");
    assert.deepEqual((await context.cookies()).map(({ name }) => name).sort(), [cookie("known_device"), cookie("refresh_token"), cookie("session_token")]);
    await context.close();
  });
}

/** What a call of the client came to, or that Chromium goes on waiting for another device. */
const within = (page, path) => Promise.race([call(page, path), new Promise((resolve) => setTimeout(() => resolve({ error: { code: "no answer" } }), 2_000))]);

for (const [name, kind, options] of [
  ["pia", "a security key that has no place for a passkey", { transport: "usb", hasResidentKey: false }],
  ["quin", "a security key that knows U2F alone", { protocol: "u2f", transport: "usb", hasResidentKey: false, ...NO_UV }],
  ["rosa", "a security key without a PIN", { transport: "usb", ...NO_UV }],
  ["sam", "a device that does not recognise its user", { transport: "internal", isUserVerified: false }],
]) {
  test(`${kind} is not registered`, async () => {
    const { page, context, device } = await visitor(options);
    await signUp(page, name);
    assert.ok((await within(page, "passkey.addPasskey")).error);
    assert.deepEqual([await device.credentials(), await list(page)], [[], []]);
    await context.close();
  });
}

test("a passkey of a device that verifies no user is one factor of a known user, and is offered to no stranger", async () => {
  const { page, context, email } = await owner("tom", { transport: "internal", ...NO_UV });
  good(await call(page, "signOut"));
  assert.ok((await within(page, "signIn.passkey")).error);
  good(await call(page, "signIn.email", { email, password: PASSWORD }));
  assert.equal((await claims(page)).acr ?? FIRST, FIRST);
  assert.equal(good(await call(page, "signIn.passkey")).user.email, email);
  const { acr, amr } = await claims(page);
  assert.deepEqual([acr, amr], [THIRD, ["pwd", "pop"]]);
  await context.close();
});

test("a passkey that is not discoverable opens a session only where the user is known", async () => {
  const { page, context, device, passkey } = await owner("bob", { transport: "usb" });
  const [held] = await device.credentials();
  await device.remove();
  const key = await virtualAuthenticator(page, { transport: "usb", hasResidentKey: false });
  await key.add({ credentialId: held.credentialId, isResidentCredential: false, rpId: held.rpId, privateKey: held.privateKey, signCount: held.signCount });
  const before = good(await call(page, "getSession")).session.id;
  assert.equal(good(await call(page, "signIn.passkey")).user.email, "bob@example.com");
  const { session } = good(await call(page, "getSession"));
  assert.notEqual(session.id, before, "the proof begins a new session in place of the old one");
  assert.equal((await claims(page)).acr, THIRD);
  assert.equal((await list(page))[0].id, passkey.id);
  good(await call(page, "signOut"));
  assert.ok((await within(page, "signIn.passkey")).error, "a stranger is told of no passkey");
  await context.close();
});

test("the second passkey of a user in one authenticator is refused by the browser", async () => {
  const { page, context, device } = await owner("carl", { transport: "internal" });
  const { error } = await call(page, "passkey.addPasskey");
  assert.equal(error.code, "ERROR_AUTHENTICATOR_PREVIOUSLY_REGISTERED");
  assert.equal((await device.credentials()).length, 1);
  await context.close();
});

test("a passkey that is backed up later shows so after the next sign-in", async () => {
  const { page, context, device } = await owner("dora", { transport: "internal", defaultBackupEligibility: true });
  assert.equal((await list(page))[0].backedUp, false);
  const [{ credentialId }] = await device.credentials();
  await device.set({ credentialId, backupState: true });
  good(await call(page, "signOut"));
  good(await call(page, "signIn.passkey"));
  const [{ backedUp, deviceType }] = await list(page);
  assert.deepEqual([backedUp, deviceType], [true, "multiDevice"]);
  await device.set({ credentialId, backupEligibility: false, backupState: false });
  good(await call(page, "signOut"));
  const { error } = await call(page, "signIn.passkey");
  assert.deepEqual([error.status, error.code], [401, "AUTHENTICATION_FAILED"], "whether it may be backed up never changes");
  await context.close();
});

test("a user who is not verified this time, or who refuses, gets no more than was proved", async () => {
  const { page, context, device } = await owner("emil", { transport: "internal" });
  good(await call(page, "signOut"));
  await device.verifies(false);
  const outcome = await call(page, "signIn.passkey");
  // With "preferred" Chromium asks for it where the device can, and ends when it fails.
  assert.ok(outcome.error ?? (await claims(page)).acr !== THIRD);
  await context.close();
});

// Without verification Chromium offers no passkey to strangers; tests/interop/better_auth/passkeys.mjs has that sign-in.
test("with two-step sign-in a passkey that verifies its user suffices", async () => {
  const sure = await owner("fay", { transport: "internal" });
  await withApp(sure);
  good(await call(sure.page, "signOut"));
  assert.equal(good(await call(sure.page, "signIn.passkey")).user.email, "fay@example.com");
  assert.equal((await claims(sure.page)).acr, THIRD);
  await sure.context.close();
});

test("a password and then a passkey as the second step", async () => {
  const { page, context, email } = await owner("hal", { transport: "internal", ...NO_UV });
  await withApp({ page });
  good(await call(page, "signOut"));
  const pending = good(await call(page, "signIn.email", { email, password: PASSWORD }));
  assert.ok(pending.twoFactorMethods.includes("passkey"), JSON.stringify(pending));
  assert.equal(good(await get(page, "/passkey/generate-authenticate-options")).allowCredentials.length, 1);
  assert.equal(good(await call(page, "signIn.passkey")).user.email, email);
  const { acr, amr } = await claims(page);
  assert.deepEqual([acr, amr], [THIRD, ["pwd", "pop"]]);
  await context.close();
});

test("the field of a form offers the passkey", async () => {
  const { page, context } = await owner("ines", { transport: "internal" });
  good(await call(page, "signOut"));
  await page.evaluate(() => document.body.insertAdjacentHTML("beforeend", '<input id="email" autocomplete="username webauthn">'));
  assert.equal(good(await call(page, "signIn.passkey", { autoFill: true })).user.email, "ines@example.com");
  await context.close();
});

test("a counter that has not risen is refused: the passkey was copied", async () => {
  const { page, context, device } = await owner("jan", { transport: "usb" });
  for (const _ of [1, 2]) {
    good(await call(page, "signOut"));
    good(await call(page, "signIn.passkey"));
  }
  const [held] = await device.credentials();
  assert.ok(held.signCount > 1);
  await device.clear();
  await device.add({ ...held, signCount: 0 });
  good(await call(page, "signOut"));
  const { error } = await call(page, "signIn.passkey");
  assert.deepEqual([error.status, error.code], [401, "AUTHENTICATION_FAILED"]);
  await context.close();
});

const signal = (page) =>
  page.evaluate(async () => {
    const { data } = await client.$fetch("/passkey/signals", { method: "GET" });
    const { rpId, userId, allAcceptedCredentialIds, name, displayName } = data;
    await PublicKeyCredential.signalAllAcceptedCredentials({ rpId, userId, allAcceptedCredentialIds });
    await PublicKeyCredential.signalCurrentUserDetails({ rpId, userId, name, displayName });
    return data;
  });

test("a passkey that is deleted at the service disappears from the authenticator, and a new name arrives there", async () => {
  const { page, context, device, passkey, email } = await owner("kim", { transport: "internal" });
  const second = await virtualAuthenticator(page, { transport: "usb" });
  await device.plug(false);
  const other = good(await call(page, "passkey.addPasskey", { name: "Key" }));
  await device.plug(true);
  good(await call(page, "updateUser", { name: "Kim Lee" }));
  const told = await signal(page);
  assert.deepEqual([told.rpId, told.name, told.displayName, told.allAcceptedCredentialIds.sort()], ["localhost", email, told.displayName, [passkey.credentialID, other.credentialID].sort()]);
  const [held] = await waitFor(async () => {
    const found = await device.credentials();
    return found[0]?.userDisplayName === told.displayName && found;
  }, "the new name in the authenticator");
  assert.equal(held.userName, email);
  assert.equal(Buffer.from(held.userHandle, "base64").toString("base64url"), told.userId);

  good(await call(page, "passkey.deletePasskey", { id: passkey.id }));
  assert.equal((await device.credentials()).length, 1);
  await signal(page);
  await waitFor(async () => (await device.credentials()).length === 0, "the deleted passkey to disappear");
  assert.equal((await second.credentials()).length, 1, "the other one stays");
  assert.deepEqual((await list(page)).map(({ id }) => id), [other.id]);
  await context.close();
});

test("a passkey that the service does not know is signalled, and is offered no more", async () => {
  const { page, context, device, passkey } = await owner("lea", { transport: "internal" });
  good(await call(page, "passkey.deletePasskey", { id: passkey.id }));
  good(await call(page, "signOut"));
  const { error } = await call(page, "signIn.passkey");
  assert.deepEqual([error.status, error.code], [401, "PASSKEY_NOT_FOUND"]);
  await page.evaluate((credentialId) => PublicKeyCredential.signalUnknownCredential({ rpId: "localhost", credentialId }), passkey.credentialID);
  await waitFor(async () => (await device.credentials()).length === 0, "the unknown passkey to disappear");
  await context.close();
});

test("a page of another origin of the same host gets an answer of the passkey, and the service takes it from no page", async () => {
  const { page, context, device } = await owner("mia", { transport: "internal" });
  good(await call(page, "signOut"));
  const { data: options } = await get(page, "/passkey/generate-authenticate-options");
  const evil = await context.newPage();
  await evil.goto(place.evil);
  const copy = await virtualAuthenticator(evil, { transport: "internal" });
  await copy.add((await device.credentials())[0]);
  const response = await evil.evaluate(async (options) => (await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) })).toJSON(), options);
  const sent = await evil.evaluate(async ([auth, response]) => fetch(`${auth}/api/auth/passkey/verify-authentication`, { method: "POST", credentials: "include", headers: { "content-type": "application/json" }, body: JSON.stringify({ response }) }).then((a) => a.status, (e) => String(e)), [place.auth, response]);
  assert.match(String(sent), /TypeError|403/);
  const { error } = await page.evaluate((response) => client.$fetch("/passkey/verify-authentication", { method: "POST", body: { response } }), response);
  assert.deepEqual([error.status, error.code], [401, "AUTHENTICATION_FAILED"]);
  assert.equal((await call(page, "getSession")).data, null);
  await context.close();
});

test("plain fetch and the browser's own JSON do as well as the npm client", async () => {
  const { page, context } = await visitor({ transport: "internal" });
  await signUp(page, "noa");
  const plain = (kind) =>
    page.evaluate(async ([auth, kind]) => {
      const ask = (path, body) => fetch(`${auth}/api/auth/passkey/${path}`, { credentials: "include", ...(body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }) }).then((answer) => answer.json());
      const options = await ask(kind === "create" ? "generate-register-options?delivery=body" : "generate-authenticate-options?delivery=body");
      const { state, ...given } = options;
      const publicKey = kind === "create" ? PublicKeyCredential.parseCreationOptionsFromJSON(given) : PublicKeyCredential.parseRequestOptionsFromJSON(given);
      const credential = await navigator.credentials[kind]({ publicKey });
      return ask(kind === "create" ? "verify-registration" : "verify-authentication", { response: credential.toJSON(), state });
    }, [place.auth, kind]);
  const row = await plain("create");
  assert.equal(row.deviceType, "singleDevice", JSON.stringify(row));
  good(await call(page, "signOut"));
  const { user } = await plain("get");
  assert.equal(user.email, "noa@example.com");
  await context.close();
});

test("the client for browsers takes over, in all tabs, the session that a passkey has begun", async () => {
  const { page, context } = await visitor({ transport: "internal" }, "/both");
  const other = await context.newPage();
  await other.goto(`${place.origin}/spa`);
  const shows = (of, text) => waitFor(async () => (await of.locator("#state").textContent()) === text, `"${text}"`);
  await page.evaluate(([email, password]) => auth.signUp({ name: "rex", email, password }), ["rex@example.com", PASSWORD]);
  // A page that is behind another one gets no passkey.
  await page.bringToFront();
  await page.evaluate(async () => {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(await auth.call("/passkey/generate-register-options"));
    await auth.call("/passkey/verify-registration", { response: (await navigator.credentials.create({ publicKey })).toJSON() });
    await auth.session({ fresh: true });
  });
  await shows(other, "rex@example.com");
  const session = (of) => of.evaluate(() => auth.getSnapshot().session?.id);
  assert.equal(await session(other), await session(page), "the session that has proved the passkey");
  await page.evaluate(() => auth.signOut());
  for (const each of [page, other]) await shows(each, "signedOut");
  await page.evaluate(async () => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(await auth.call("/passkey/generate-authenticate-options"));
    await auth.call("/passkey/verify-authentication", { response: (await navigator.credentials.get({ publicKey })).toJSON() });
    await auth.session({ fresh: true });
  });
  for (const each of [page, other]) await shows(each, "rex@example.com");
  assert.equal(await session(other), await session(page));
  await context.close();
});

test("a demand for the highest level is met by a passkey in the session, in all tabs", async () => {
  const { page, context, device } = await owner("oda", { transport: "internal" });
  good(await call(page, "signOut"));
  await page.goto(`${place.origin}/both`);
  await page.evaluate(([email, password]) => auth.signIn({ email, password }), ["oda@example.com", PASSWORD]);
  const other = await context.newPage();
  await other.goto(`${place.origin}/spa`);
  const session = (of) => of.evaluate(() => auth.getSnapshot().session?.id);
  await waitFor(() => session(other), "the session in the other tab");
  const before = await session(page);
  const lacks = await page.evaluate((acrValues) => auth.stepUp({ acrValues }).catch(({ status, code, methods }) => ({ status, code, methods })), THIRD);
  assert.deepEqual([lacks.status, lacks.code], [403, "INSUFFICIENT_USER_AUTHENTICATION"]);
  assert.ok(lacks.methods.includes("passkey"), lacks.methods.join());
  assert.equal((await device.credentials()).length, 1);
  await page.bringToFront();
  good(await call(page, "signIn.passkey"));
  const proven = await page.evaluate((acrValues) => auth.stepUp({ acrValues }), THIRD);
  assert.equal(proven.acr, THIRD);
  assert.ok(proven.amr.includes("pop") && proven.amr.includes("user"), proven.amr.join());
  const after = await session(page);
  assert.notEqual(after, before);
  await waitFor(async () => (await session(other)) === after, "the other tab in the new session");
  await context.close();
});
