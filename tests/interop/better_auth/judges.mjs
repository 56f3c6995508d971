// node judges.mjs BASE: answers of an authenticator, most of them bent, judged by the service and by npm's `@simplewebauthn/server` alike; exits 1 where
// the two differ and `exceptions` does not say so, and where an exception is needed no more. Both judge the same bytes, with the same challenge. Then
// come answers with bytes changed at random: ours takes none that the package refuses, and has no fault. SEED and CHANGED say which and how many.
import { verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { Recorder } from "./recorder.mjs";
import { base64url, cbor, EDDSA, ES256, RS256, SoftwareAuthenticator } from "./software_authenticator.mjs";

const base = process.argv[2];
const rpID = "localhost";
const flip = (bytes, at = -1) => {
  const copy = Buffer.from(bytes);
  copy[copy.length + (at < 0 ? at : at - copy.length)] ^= 1;
  return copy;
};
const also = (more) => (data) => ({ ...data, ...more });
const text = (change) => (data) => Buffer.from(change(JSON.stringify(data)));
const setFlags = (flags) => (data) => Buffer.concat([data.subarray(0, 32), Buffer.from([data[32] | flags]), data.subarray(33)]);
const packed = (change) => ({ authenticatorData, clientDataHash, sign, alg }) => ({ fmt: "packed", attStmt: change({ alg, sig: sign(Buffer.concat([authenticatorData, clientDataHash])) }) });
const key = (...entries) => (cose) => new Map([...cose, ...entries]);

/** What both ceremonies have: the page, the RP, the flags and the client data. */
const shared = {
  "as it should be": {},
  "as it should be, EdDSA": { device: { algorithms: [EDDSA] } },
  "as it should be, RS256": { device: { algorithms: [RS256] } },
  "without user verification": { uv: false },
  "without user presence": { up: false },
  "without user presence and verification": { up: false, uv: false },
  "backed up": { device: { be: true, bs: true } },
  "may be backed up": { device: { be: true } },
  "backed up and may not be": { bs: true },
  "a flag that is reserved": { authData: setFlags(0x02) },
  "another challenge": { challenge: base64url(randomBytes(32)) },
  "the challenge in other letters": { clientData: (data) => ({ ...data, challenge: data.challenge.toUpperCase() }) },
  "the challenge with padding": { clientData: (data) => ({ ...data, challenge: `${data.challenge}=` }) },
  "no challenge": { clientData: ({ challenge, ...data }) => data },
  "another origin": { origin: "https://evil.example" },
  "another port": { origin: "http://localhost:1" },
  "an origin with a path": { origin: `${base}/` },
  "an origin in other letters": { origin: base.toUpperCase() },
  "no origin": { clientData: ({ origin, ...data }) => data },
  "another RP": { rpId: "evil.example" },
  "a parent domain as RP": { rpId: "host" },
  "no type": { clientData: ({ type, ...data }) => data },
  "an unknown type": { type: "payment.get" },
  "a frame of another origin": { crossOrigin: true },
  "a frame, and the page around it": { clientData: also({ crossOrigin: true, topOrigin: base }) },
  "client data with more members": { clientData: also({ androidPackageName: "org.example", other: [1, { a: null }] }) },
  "client data with a token binding": { clientData: also({ tokenBinding: { status: "supported" } }) },
  "client data with a byte order mark": { clientData: text((json) => `\uFEFF${json}`) },
  "client data that are no JSON": { clientData: text((json) => json.slice(1)) },
  "client data that are a list": { clientData: text((json) => `[${json}]`) },
  "client data with more behind it": { clientData: text((json) => `${json}{}`) },
  "another id outside": { outer: { rawId: base64url(randomBytes(32)) } },
  "another type outside": { outer: { type: "password" } },
  "an extension": { ed: true, extensions: { credProtect: 2 } },
  "an extension that is announced and absent": { ed: true },
  "an extension that is not announced": { extensions: { credProtect: 2 } },
  "bytes behind the data": { rest: Buffer.from([0]) },
  "data without its counter": { authData: (data) => data.subarray(0, 34) },
};

const registrations = {
  ...shared,
  "the type of a sign-in": { type: "webauthn.get" },
  "without user presence, made by a browser that may do so": { up: false, uv: false, query: "?conditional=true" },
  "signed by itself without user presence, made by a browser that may do so": { up: false, query: "?conditional=true", attestation: packed((statement) => statement), device: { algorithms: [ES256] } },
  "an id of one byte": { idLength: 1 },
  "an id of 1023 bytes": { idLength: 1023 },
  "an id of 1024 bytes": { idLength: 1024 },
  "no id": { idLength: 0 },
  "no credential in the data": { authData: (data) => data.subarray(0, 37) },
  "a credential that is not announced": { at: false },
  "a key that is cut off": { authData: (data) => data.subarray(0, -5) },
  "a key of an unknown algorithm": { cose: key([3, -65_535]) },
  "a key of ES256 on another curve": { cose: key([-1, 2]), device: { algorithms: [ES256] } },
  "a key of ES256 off the curve": { cose: (cose) => new Map([...cose, [-2, flip(cose.get(-2))]]), device: { algorithms: [ES256] } },
  "a key of ES256 without its half": { cose: (cose) => new Map([...cose].filter(([name]) => name !== -3)), device: { algorithms: [ES256] } },
  "a key of EdDSA that is short": { cose: key([-2, Buffer.alloc(16, 1)]), device: { algorithms: [EDDSA] } },
  "an attestation of no known kind": { attestation: () => ({ fmt: "unknown", attStmt: {} }) },
  "none, and a statement all the same": { attestation: () => ({ fmt: "none", attStmt: { alg: -7 } }) },
  "an attestation of its own": { attestation: packed((statement) => statement), device: { algorithms: [ES256] } },
  "an attestation of its own with a bent signature": { attestation: packed(({ alg, sig }) => ({ alg, sig: flip(sig) })), device: { algorithms: [ES256] } },
  "an attestation that is no CBOR": { attestationObject: Buffer.from([0xff, 0xff]) },
  "an attestation with bytes behind it": { more: true },
  "an attestation without data": { attestationObject: cbor({ fmt: "none", attStmt: {} }) },
};

const signIns = {
  ...shared,
  "the type of a registration": { type: "webauthn.create" },
  "a bent signature": { signature: flip },
  "an empty signature": { signature: () => Buffer.alloc(0) },
  "a signature with bytes behind it": { signature: (sig) => Buffer.concat([sig, Buffer.from([0])]), device: { algorithms: [EDDSA] } },
  "the signature of another key": { privateKey: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey, device: { algorithms: [ES256] } },
  "a signature of zeros": { signature: () => Buffer.from("3006020100020100", "hex"), device: { algorithms: [ES256] } },
  "user verification that was not signed": { uv: false, sentData: setFlags(0x04) },
  "another counter than was signed": { sentData: (data) => flip(data, 36) },
  "no handle": { inner: { userHandle: undefined } },
  "a handle that is null": { inner: { userHandle: null } },
  "another user's handle": { inner: { userHandle: base64url(randomBytes(32)) } },
  "a counter that has not risen": { device: { step: 1 }, counter: 0 },
  "a counter that has risen": { device: { step: 1 } },
  "no data": { inner: { authenticatorData: "" } },
  "no client data": { inner: { clientDataJSON: "" } },
  "may be backed up since": { be: true },
};

const FRAMED = "A page that is shown inside one of another site may be made to look like another page.";
const KEY = "The package looks at the key when it is used. Ours takes no key that no signature can be verified with.";
const MARK = "The package leaves a byte order mark out; no browser writes one.";
const CASE = "Letters of an origin have no case; browsers write small ones.";
const WHOSE = "The handle says whose passkey it is, and a stranger's answer has to name its owner.";
// Where the two differ: what ours says, and why.
const exceptions = {
  ...both("an origin in other letters", true, CASE),
  ...both("a frame of another origin", false, FRAMED),
  ...both("a frame, and the page around it", false, FRAMED),
  ...both("client data with a byte order mark", false, MARK),
  "registration: without user presence, made by a browser that may do so": { ours: true, why: "Conditional create asks no user; the sealed state allows it, and a recent proof guards it." },
  "registration: an id of 1024 bytes": { ours: false, why: "An id has at most 1023 bytes (WebAuthn section 4)." },
  "registration: a key that is cut off": { ours: false, why: KEY },
  "registration: a key of an unknown algorithm": { ours: false, why: KEY },
  "registration: a key of ES256 on another curve": { ours: false, why: KEY },
  "registration: a key of ES256 off the curve": { ours: false, why: KEY },
  "registration: a key of ES256 without its half": { ours: false, why: KEY },
  "registration: a key of EdDSA that is short": { ours: false, why: KEY },
  "registration: an attestation with bytes behind it": { ours: false, why: "An attestation is one value, with nothing behind it." },
  "sign-in: no handle": { ours: false, why: WHOSE },
  "sign-in: a handle that is null": { ours: false, why: WHOSE },
  "sign-in: another user's handle": { ours: false, why: WHOSE },
  "sign-in: may be backed up since": { ours: false, why: "Whether a passkey may be backed up never changes (WebAuthn section 6.1.3)." },
};

/** The same exception in both ceremonies. */
function both(name, ours, why) {
  return { [`registration: ${name}`]: { ours, why }, [`sign-in: ${name}`]: { ours, why } };
}

const agent = () => {
  const recorder = new Recorder(base);
  return async (method, path, body) => {
    const answer = await recorder.fetch(`${base}/api/auth${path}`, { method, body: body && JSON.stringify(body), headers: { "content-type": "application/json" } });
    return { ok: answer.ok, status: answer.status, body: await answer.json().catch(() => null) };
  };
};
let users = 0;
async function signedUp() {
  const call = agent();
  const { ok, status } = await call("POST", "/sign-up/email", { name: "Ana", email: `ana-${++users}@example.com`, password: "a good long password" });
  if (!ok) throw new Error(`no account: ${status}`);
  return call;
}
const judged = (verdict) => verdict.then(({ verified }) => verified, () => false);

/** The verdicts on a registration: ours, and that of the package. */
async function register({ device, more, query = "", ...bend }) {
  const call = await signedUp();
  const { body: options } = await call("GET", `/passkey/generate-register-options${query}`);
  const response = new SoftwareAuthenticator({ origin: base, ...device }).register(options, bend);
  if (more) response.response.attestationObject = base64url(Buffer.concat([Buffer.from(response.response.attestationObject, "base64url"), Buffer.from([0])]));
  const theirs = await judged(verifyRegistrationResponse({ response, expectedChallenge: options.challenge, expectedOrigin: base, expectedRPID: rpID, requireUserVerification: false }));
  return [await call("POST", "/passkey/verify-registration", { response }), theirs];
}

/** The verdicts on a sign-in with a passkey that was registered as it should be. */
async function signIn({ device, ...bend }) {
  const call = await signedUp();
  const { body: first } = await call("GET", "/passkey/generate-register-options");
  const authenticator = new SoftwareAuthenticator({ origin: base, ...device });
  const added = await call("POST", "/passkey/verify-registration", { response: authenticator.register(first) });
  if (!added.ok) throw new Error(`no passkey: ${added.status} ${JSON.stringify(added.body)}`);
  const stranger = agent();
  const { body: options } = await stranger("GET", "/passkey/generate-authenticate-options");
  if (bend.counter === 0) {
    // It has counted once before.
    const { body } = await stranger("GET", "/passkey/generate-authenticate-options");
    await stranger("POST", "/passkey/verify-authentication", { response: authenticator.authenticate(body) });
    return signInWith(authenticator, agent(), bend);
  }
  return signInWith(authenticator, stranger, bend, options);
}

async function signInWith(authenticator, call, bend, given) {
  const options = given ?? (await call("GET", "/passkey/generate-authenticate-options")).body;
  const [{ id, cose, counter }] = authenticator.passkeys;
  const response = authenticator.authenticate(options, bend);
  const credential = { id, publicKey: new Uint8Array(cose), counter };
  const theirs = await judged(verifyAuthenticationResponse({ response, expectedChallenge: options.challenge, expectedOrigin: base, expectedRPID: rpID, credential, requireUserVerification: false }));
  return [await call("POST", "/passkey/verify-authentication", { response }), theirs];
}

const needed = new Set();
let [count, wrong, refused] = [0, 0, 0];
for (const [ceremony, run, answers] of [["registration", register, registrations], ["sign-in", signIn, signIns]]) {
  for (const [name, bend] of Object.entries(answers)) {
    const whole = `${ceremony}: ${name}`;
    const [{ ok, status, body }, theirs] = await run(bend);
    count += 1;
    if (!ok) refused += 1;
    if (status >= 500) console.log(`✗ ${whole}: ${status} ${JSON.stringify(body)}`), (wrong += 1);
    if (ok === theirs) continue;
    if (exceptions[whole]?.ours === ok) needed.add(whole);
    else console.log(`✗ ${whole}: ours ${status} ${JSON.stringify(body)}, the package ${theirs}`), (wrong += 1);
  }
}
/** mulberry32: the same draws for the same seed. */
function chance(seed) {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Changes one to three bytes of a member: another bit, one byte less, one more, or the end cut off. */
function changed(response, draw) {
  const names = Object.keys(response.response).filter((name) => typeof response.response[name] === "string");
  const name = names[draw(names.length)];
  let bytes = Buffer.from(response.response[name], "base64url");
  for (let times = draw(3); times >= 0 && bytes.length > 0; times--) {
    const at = draw(bytes.length);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    const ways = [() => [before, Buffer.from([after[0] ^ (1 << draw(8))]), after.subarray(1)], () => [before, after.subarray(1)], () => [before, Buffer.from([draw(256)]), after], () => [before]];
    bytes = Buffer.concat(ways[draw(ways.length)]());
  }
  return { ...response, response: { ...response.response, [name]: base64url(bytes) } };
}

/** Whether the only thing that the package minds are the letters of the origin. */
function isOnlyCase({ response: { clientDataJSON } }) {
  const { origin } = JSON.parse(Buffer.from(clientDataJSON, "base64url"));
  return origin !== base && origin.toLowerCase() === base;
}

const seed = Number(process.env.SEED ?? 2026);
const draw = chance(seed);
let [random, taken] = [0, 0];
const kept = { registration: undefined, "sign-in": undefined };
for (let n = 0; n < Number(process.env.CHANGED ?? 300); n++) {
  const ceremony = n % 2 ? "sign-in" : "registration";
  // What is refused uses no state up, so one serves for many answers.
  kept[ceremony] ??= await begun(ceremony);
  const { call, options, response: whole, credential } = kept[ceremony];
  const response = changed(whole, draw);
  const common = { response, expectedChallenge: options.challenge, expectedOrigin: base, expectedRPID: rpID, requireUserVerification: false };
  const theirs = await judged(credential ? verifyAuthenticationResponse({ ...common, credential }) : verifyRegistrationResponse(common));
  const { ok, status, body } = await call("POST", credential ? "/passkey/verify-authentication" : "/passkey/verify-registration", { response });
  random += 1;
  if (ok) (taken += 1), (kept[ceremony] = undefined);
  if (status >= 500 || body?.code === "CHALLENGE_NOT_FOUND" || (ok && !theirs && !isOnlyCase(response))) console.log(`✗ ${ceremony}, changed ${n} (seed ${seed}): ours ${status} ${JSON.stringify(body)}, the package ${theirs}: ${JSON.stringify(response)}`), (wrong += 1);
}

/** A user, and an answer that is as it should be and was not sent. */
async function begun(ceremony) {
  const call = await signedUp();
  const { body: first } = await call("GET", "/passkey/generate-register-options");
  const authenticator = new SoftwareAuthenticator({ origin: base });
  const response = authenticator.register(first);
  if (ceremony === "registration") return { call, options: first, response };
  await call("POST", "/passkey/verify-registration", { response });
  const stranger = agent();
  const { body: options } = await stranger("GET", "/passkey/generate-authenticate-options");
  const [{ id, cose, counter }] = authenticator.passkeys;
  return { call: stranger, options, response: authenticator.authenticate(options), credential: { id, publicKey: new Uint8Array(cose), counter } };
}

const idle = Object.keys(exceptions).filter((name) => !needed.has(name));
for (const name of idle) console.log(`an exception that nothing needs: ${name}`);
console.log(`${count} answers, ${refused} refused, and ${random} changed at random, ${taken} of them taken; ${needed.size} exceptions, ${wrong} differences`);
process.exitCode = wrong + idle.length > 0 ? 1 : 0;
