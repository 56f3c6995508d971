// The scenarios of passkeys, one a claim: registration, the list, sign-in, and answers that are bent. The npm client calls an authenticator in software
// as if it were the browser's; answers that no browser gives are sent by the client's own `$fetch`.
import { admin, PASSWORD, signedUp } from "./scenarios.mjs";
import { base64url, EDDSA, ES256, RS256, SoftwareAuthenticator, withAuthenticator } from "./software_authenticator.mjs";
import { enrolled } from "./two_factor.mjs";

const REGISTER = "/passkey/verify-registration";
const AUTHENTICATE = "/passkey/verify-authentication";
const device = (s, options) => new SoftwareAuthenticator({ origin: s.base, ...options });
const get = ({ client }, path, query) => client.$fetch(path, { method: "GET", query });
const post = ({ client }, path, body) => client.$fetch(path, { method: "POST", body });

const add = ({ client }, authenticator, options) => withAuthenticator(authenticator, () => client.passkey.addPasskey(options));
const enter = ({ client }, authenticator, options) => withAuthenticator(authenticator, () => client.signIn.passkey(options));
const list = ({ client }) => client.$fetch("/passkey/list-user-passkeys", { method: "GET" });

const registerOptions = async (agent, query) => (await get(agent, "/passkey/generate-register-options", query)).data;
const signInOptions = async (agent) => (await get(agent, "/passkey/generate-authenticate-options")).data;

/** A user with a passkey, and the authenticator that has it. */
async function owner(s, options, name) {
  const user = await signedUp(s, name);
  const authenticator = device(s, options);
  const { data } = await add(user, authenticator);
  return { ...user, authenticator, passkey: data };
}

/** A registration with an answer that is not as it should be, and what came of it. */
const bentRegistration = (bend, options) => async (s) => {
  const user = await signedUp(s);
  const authenticator = device(s, options);
  s.note(await post(user, REGISTER, { response: authenticator.register(await registerOptions(user), typeof bend === "function" ? bend(s) : bend) }));
  s.note(await list(user));
};

/** A sign-in with an answer that is not as it should be, and what came of it. */
const bentSignIn = (bend, options) => async (s) => {
  const user = await owner(s, options);
  const agent = s.agent();
  const given = typeof bend === "function" ? await bend(s, user) : bend;
  s.note(await post(agent, AUTHENTICATE, { response: user.authenticator.authenticate(await signInOptions(agent), given) }));
  s.note(await agent.client.getSession());
};

/** Bodies that make no sense, each to a state of its own. */
const senseless = (path, options) => async (s) => {
  const user = await signedUp(s);
  const bodies = [
    {}, { response: null }, { response: 5 }, { response: "text" }, { response: [] }, { response: {} }, { response: { id: 5 } }, { response: { id: "AAAA" } },
    { response: { id: "AAAA", rawId: "AAAA", type: "public-key" } }, { response: { id: "AAAA", rawId: "AAAA", type: "public-key", response: {} } },
    { response: { id: "AAAA", rawId: "AAAA", type: "public-key", response: { clientDataJSON: "e30", attestationObject: "oA", authenticatorData: "", signature: "" } } },
    { response: { id: "AAAA", rawId: "AAAA", type: "public-key", response: { clientDataJSON: "!", attestationObject: "!", authenticatorData: "!", signature: "!" } } },
  ];
  for (const body of bodies) {
    await get(user, options);
    s.note(await post(user, path, body));
  }
  await get(user, options);
  await s.raw("POST", path, "[]", {}, user.recorder);
  s.note(await list(user));
};

const flip = (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes.at(-1) ^ 1])]);

const registration = {
  "a passkey": async (s) => {
    const user = await signedUp(s);
    s.note(await list(user));
    const authenticator = device(s);
    const added = await add(user, authenticator);
    s.note(added);
    s.note(await list(user));
    s.note(await user.client.getSession());
    s.note({ data: added.data?.publicKey === authenticator.passkeys[0].cose.toString("base64") ? true : null });
    s.note({ data: added.data?.credentialID === authenticator.passkeys[0].id ? true : null });
  },
  "a passkey with a name": async (s) => s.note(await add(await signedUp(s), device(s), { name: "My phone" })),
  "a passkey of this device or of another one": async (s) => {
    const user = await signedUp(s);
    for (const authenticatorAttachment of ["platform", "cross-platform"]) s.note(await add(user, device(s), { authenticatorAttachment }));
    s.note(await get(user, "/passkey/generate-register-options", { authenticatorAttachment: "another" }));
  },
  "a passkey with a context and a session": async (s) => {
    const user = await signedUp(s);
    s.note(await add(user, device(s), { context: "a text", createSession: true }));
    s.note(await user.client.getSession());
  },
  "a passkey and what the browser said": async (s) => {
    const user = await signedUp(s);
    const { webauthn, ...added } = await add(user, device(s), { returnWebAuthnResponse: true, extensions: { minPinLength: true } });
    s.note(added);
    s.note({ data: webauthn?.clientExtensionResults.credProps.rk ? true : null });
  },
  "a passkey registered silently": async (s) => {
    const user = await signedUp(s);
    const authenticator = device(s, { uv: false });
    s.note(await add(user, authenticator, { useAutoRegister: true }));
    s.note({ data: authenticator.asked.mediation === "conditional" ? true : null });
  },
  "a passkey registered without user presence": bentRegistration({ up: false, uv: false }),
  "a passkey without user verification": async (s) => s.note(await add(await signedUp(s), device(s, { uv: false }))),
  "a passkey that may be backed up, and one that is": async (s) => {
    const user = await signedUp(s);
    s.note(await add(user, device(s, { be: true })));
    s.note(await add(user, device(s, { be: true, bs: true })));
    s.note(await list(user));
  },
  "a passkey that is backed up and may not be": bentRegistration({ bs: true }),
  "a passkey of a security key": async (s) => s.note(await add(await signedUp(s), device(s, { attachment: "cross-platform", transports: ["usb", "nfc"], step: 1, aaguid: Buffer.from("cb69481e8ff7403993ec0a2729a154a8", "hex") }))),
  "a passkey without transports": async (s) => s.note(await add(await signedUp(s), device(s, { transports: [] }))),
  "a passkey of each algorithm": async (s) => {
    const user = await signedUp(s);
    for (const alg of [EDDSA, ES256]) s.note(await add(user, device(s, { algorithms: [alg] })));
    s.note(await list(user));
  },
  "a passkey of RSA": async (s) => {
    const user = await signedUp(s);
    s.note(await add(user, device(s, { algorithms: [RS256] })));
  },
  "a passkey of RSA that was not asked for": bentRegistration({ alg: RS256 }),
  "a second passkey in the same authenticator": async (s) => {
    const user = await owner(s);
    s.note(await add(user, user.authenticator));
    s.note(await add(user, device(s)));
    s.note(await list(user));
  },
  "a passkey that is registered already": async (s) => {
    const user = await owner(s);
    const id = Buffer.from(user.authenticator.passkeys[0].id, "base64url");
    s.note(await post(user, REGISTER, { response: user.authenticator.register(await registerOptions(user), { id, again: true }) }));
    s.note(await list(user));
  },
  "a passkey that another user has": async (s) => {
    const bob = await owner(s, {}, "bob");
    const ana = await signedUp(s);
    const id = Buffer.from(bob.authenticator.passkeys[0].id, "base64url");
    s.note(await post(ana, REGISTER, { response: device(s).register(await registerOptions(ana), { id }) }));
    s.note(await list(bob));
  },
  "a user who says no": async (s) => s.note(await add(await signedUp(s), device(s, { cancels: true }))),
  "a passkey without a session": async (s) => {
    const agent = s.agent();
    s.note(await add(agent, device(s)));
    s.note(await post(agent, REGISTER, { response: {} }));
  },
  "a passkey without a state": async (s) => {
    const user = await signedUp(s);
    const response = device(s).register(await registerOptions(user));
    user.recorder.jar.delete("better-auth.better-auth-passkey");
    s.note(await post(user, REGISTER, { response }));
  },
  "a passkey with a state that is used up": async (s) => {
    const user = await signedUp(s);
    const options = await registerOptions(user);
    const held = user.recorder.jar.get("better-auth.better-auth-passkey");
    for (const _ of [1, 2]) {
      user.recorder.jar.set("better-auth.better-auth-passkey", held);
      s.note(await post(user, REGISTER, { response: device(s).register(options) }));
    }
    s.note(await list(user));
  },
  "a passkey with a state that was refused before": async (s) => {
    const user = await signedUp(s);
    const options = await registerOptions(user);
    const held = user.recorder.jar.get("better-auth.better-auth-passkey");
    s.note(await post(user, REGISTER, { response: device(s).register(options, { challenge: base64url("another challenge") }) }));
    user.recorder.jar.set("better-auth.better-auth-passkey", held);
    s.note(await post(user, REGISTER, { response: device(s).register(options) }));
  },
  "a passkey with the state of a sign-in": async (s) => {
    const user = await signedUp(s);
    const { challenge } = await signInOptions(user);
    const response = device(s).register({ challenge, rp: { id: "localhost" }, user: { id: "AAAA" }, pubKeyCredParams: [{ alg: ES256 }] });
    s.note(await post(user, REGISTER, { response }));
  },
  "a passkey with a state that is no state": async (s) => {
    const user = await signedUp(s);
    const response = device(s).register(await registerOptions(user));
    user.recorder.jar.set("better-auth.better-auth-passkey", "a.text");
    s.note(await post(user, REGISTER, { response }));
  },
  "a passkey with the state of another user": async (s) => {
    const [ana, bob] = [await signedUp(s), await signedUp(s, "bob")];
    const response = device(s).register(await registerOptions(ana));
    bob.recorder.jar.set("better-auth.better-auth-passkey", ana.recorder.jar.get("better-auth.better-auth-passkey"));
    s.note(await post(bob, REGISTER, { response }));
    s.note(await list(bob));
  },
  "a passkey after the sign-out": async (s) => {
    const user = await signedUp(s);
    const response = device(s).register(await registerOptions(user));
    s.note(await user.client.signOut());
    s.note(await post(user, REGISTER, { response }));
  },
  "a passkey and another challenge": bentRegistration({ challenge: base64url("another challenge") }),
  "a passkey of another origin": bentRegistration({ origin: "https://evil.example" }),
  "a passkey of a page in a frame": bentRegistration({ crossOrigin: true }),
  "a passkey of another RP": bentRegistration({ rpId: "evil.example" }),
  "a passkey by an answer of a sign-in": bentRegistration({ type: "webauthn.get" }),
  "a passkey and client data that are no JSON": bentRegistration({ clientData: () => Buffer.from("{") }),
  "a passkey and no attestation": bentRegistration({ attestationObject: Buffer.from("no CBOR") }),
  "a passkey and another id outside": bentRegistration({ outer: { id: "AAAA" } }),
  "a passkey and another type outside": bentRegistration({ outer: { type: "password" } }),
  "a passkey of an unknown algorithm": bentRegistration({ cose: (key) => new Map([...key, [3, -65_535]]) }),
  "a passkey without a key": bentRegistration({ attested: (bytes) => bytes.subarray(0, 18) }),
  "a passkey with an attestation of its own": bentRegistration({ attestation: ({ authenticatorData, clientDataHash, sign, alg }) => ({ fmt: "packed", attStmt: { alg, sig: sign(Buffer.concat([authenticatorData, clientDataHash])) } }) }),
  "a passkey with an unknown attestation": bentRegistration({ attestation: () => ({ fmt: "unknown", attStmt: {} }) }),
  "registrations that make no sense": senseless(REGISTER, "/passkey/generate-register-options"),
  "a passkey with a name that is a number": async (s) => {
    const user = await signedUp(s);
    s.note(await post(user, REGISTER, { response: device(s).register(await registerOptions(user)), name: 5 }));
  },
  "a passkey of a user who has the second factor": async (s) => {
    const user = await enrolled(s);
    const authenticator = device(s);
    s.note(await add(user, authenticator));
    s.note(await list(user));
  },
  "a passkey while an admin acts as the user": async (s) => {
    const root = await admin(s);
    const bob = await owner(s, {}, "bob");
    const { data } = await bob.client.getSession();
    s.note(await root.client.admin.impersonateUser({ userId: data.user.id }));
    s.note(await list(root));
    s.note(await get(root, "/passkey/generate-register-options"));
    s.note(await post(root, "/passkey/update-passkey", { id: bob.passkey.id, name: "Taken" }));
    s.note(await post(root, "/passkey/delete-passkey", { id: bob.passkey.id }));
  },
  "calls of passkeys from an untrusted origin": async (s) => {
    const user = await owner(s);
    const evil = { origin: "https://evil.example" };
    for (const path of [REGISTER, AUTHENTICATE]) await s.raw("POST", path, JSON.stringify({ response: {} }), evil, user.recorder);
    for (const path of ["/passkey/update-passkey", "/passkey/delete-passkey"]) await s.raw("POST", path, JSON.stringify({ id: user.passkey.id, name: "Taken" }), evil, user.recorder);
    user.recorder.origin = undefined;
    s.note(await list(user));
  },
};

const lists = {
  "passkeys listed without a session": async (s) => s.note(await list(s.agent())),
  "a passkey renamed": async (s) => {
    const user = await owner(s);
    s.note(await user.client.passkey.updatePasskey({ id: user.passkey.id, name: "My laptop" }));
    s.note(await list(user));
    s.note(await user.client.passkey.updatePasskey({ id: user.passkey.id, name: "" }));
    s.note(await list(user));
  },
  "a passkey renamed with fields that are none": async (s) => {
    const user = await owner(s);
    for (const body of [{}, { id: user.passkey.id }, { name: "x" }, { id: 5, name: "x" }, { id: user.passkey.id, name: 5 }, { id: user.passkey.id, name: "x", counter: 9, userId: "another" }]) s.note(await post(user, "/passkey/update-passkey", body));
    s.note(await list(user));
  },
  "a passkey renamed that is unknown": async (s) => s.note(await post(await signedUp(s), "/passkey/update-passkey", { id: "unknown", name: "x" })),
  "a passkey of another user renamed and deleted": async (s) => {
    const bob = await owner(s, {}, "bob");
    const ana = await owner(s);
    s.note(await post(ana, "/passkey/update-passkey", { id: bob.passkey.id, name: "Taken" }));
    s.note(await post(ana, "/passkey/delete-passkey", { id: bob.passkey.id }));
    s.note(await list(bob));
    s.note(await list(ana));
  },
  "a passkey deleted": async (s) => {
    const user = await owner(s);
    s.note(await user.client.passkey.deletePasskey({ id: user.passkey.id }));
    s.note(await list(user));
    s.note(await user.client.passkey.deletePasskey({ id: user.passkey.id }));
    s.note(await enter(s.agent(), user.authenticator));
  },
  "a passkey deleted that is unknown, or has no id": async (s) => {
    const user = await signedUp(s);
    for (const body of [{ id: "unknown" }, {}, { id: 5 }]) s.note(await post(user, "/passkey/delete-passkey", body));
  },
  "a passkey renamed and deleted without a session": async (s) => {
    const { passkey } = await owner(s);
    s.note(await post(s.agent(), "/passkey/update-passkey", { id: passkey.id, name: "Taken" }));
    s.note(await post(s.agent(), "/passkey/delete-passkey", { id: passkey.id }));
  },
  "a passkey of a user who was deleted": async (s) => {
    const root = await admin(s);
    const bob = await owner(s, {}, "bob");
    const { data } = await bob.client.getSession();
    s.note(await root.client.admin.removeUser({ userId: data.user.id }));
    s.note(await enter(s.agent(), bob.authenticator));
  },
};

const signIns = {
  "a sign-in with a passkey": async (s) => {
    const user = await owner(s);
    const agent = s.agent();
    s.note(await enter(agent, user.authenticator));
    s.note(await agent.client.getSession());
    s.note(await agent.client.token());
    s.note(await agent.client.signOut());
    s.note(await agent.client.getSession());
  },
  "a sign-in with a passkey and then the token as Bearer": async (s) => {
    const user = await owner(s);
    const agent = s.agent();
    s.note(await enter(agent, user.authenticator));
    s.note(await s.agent({ bearer: agent.recorder.exchanges.at(-1).headers["set-auth-token"] }).client.getSession());
  },
  "a sign-in with a passkey without user verification": async (s) => {
    const user = await owner(s);
    user.authenticator.uv = false;
    const agent = s.agent();
    s.note(await enter(agent, user.authenticator));
    s.note(await agent.client.getSession());
  },
  "a sign-in with a passkey of each algorithm": async (s) => {
    const user = await signedUp(s);
    for (const algorithms of [[EDDSA], [ES256]]) {
      const authenticator = device(s, { algorithms });
      s.note(await add(user, authenticator));
      s.note(await enter(s.agent(), authenticator));
    }
  },
  "a sign-in with a passkey that autofill offers": async (s) => {
    const user = await owner(s);
    const agent = s.agent();
    s.note(await enter(agent, user.authenticator, { autoFill: true }));
    s.note({ data: user.authenticator.asked.mediation === "conditional" ? true : null });
    s.note(await agent.client.getSession());
  },
  "a sign-in with a passkey and what the browser said": async (s) => {
    const user = await owner(s);
    const { webauthn, ...signedIn } = await enter(s.agent(), user.authenticator, { returnWebAuthnResponse: true, extensions: { credProps: true } });
    s.note(signedIn);
    s.note({ data: webauthn?.response.authenticatorAttachment === "platform" ? true : null });
  },
  "a sign-in with a passkey and rememberMe": async (s) => {
    const user = await owner(s);
    const agent = s.agent();
    s.note(await post(agent, AUTHENTICATE, { response: user.authenticator.authenticate(await signInOptions(agent)), rememberMe: false }));
    s.note(await agent.client.getSession());
  },
  "a sign-in with a passkey in a browser that is signed in": async (s) => {
    const user = await owner(s);
    s.note(await get(user, "/passkey/generate-authenticate-options"));
    s.note(await enter(user, user.authenticator));
    s.note(await user.client.listSessions());
  },
  "a sign-in with a passkey in the browser of another user": async (s) => {
    const bob = await signedUp(s, "bob");
    const ana = await owner(s);
    s.note(await enter(bob, ana.authenticator));
    s.note(await bob.client.getSession());
  },
  "a sign-in with a passkey that is not discoverable": async (s) => {
    const user = await owner(s, { resident: false });
    s.note(await enter(s.agent(), user.authenticator));
    s.note(await enter(user, user.authenticator));
  },
  "a sign-in with a passkey of a user who has several": async (s) => {
    const user = await owner(s);
    const second = device(s, { transports: ["usb"] });
    s.note(await add(user, second));
    s.note(await get(user, "/passkey/generate-authenticate-options"));
    for (const each of [second, user.authenticator]) s.note(await enter(s.agent(), each));
  },
  "a sign-in with a passkey that counts": async (s) => {
    const user = await owner(s, { step: 1 });
    for (const _ of [1, 2]) s.note(await enter(s.agent(), user.authenticator));
    s.note(await list(user));
  },
  "a sign-in with a passkey that counts backwards": async (s) => {
    const user = await owner(s, { step: 5 });
    s.note(await enter(s.agent(), user.authenticator));
    user.authenticator.bend = { counter: 3 };
    s.note(await enter(s.agent(), user.authenticator));
    user.authenticator.bend = { counter: 0 };
    s.note(await enter(s.agent(), user.authenticator));
    user.authenticator.bend = {};
    s.note(await enter(s.agent(), user.authenticator));
  },
  "a sign-in with a passkey that was backed up since": async (s) => {
    const user = await owner(s, { be: true });
    user.authenticator.bs = true;
    s.note(await enter(s.agent(), user.authenticator));
    s.note(await list(user));
  },
  "a sign-in with a passkey that may be backed up since": async (s) => {
    const user = await owner(s);
    user.authenticator.be = true;
    s.note(await enter(s.agent(), user.authenticator));
  },
  "a sign-in with a passkey whose user says no": async (s) => {
    const user = await owner(s);
    user.authenticator.cancels = true;
    s.note(await enter(s.agent(), user.authenticator));
  },
  "a sign-in with a passkey that is unknown": async (s) => {
    const user = await owner(s);
    const agent = s.agent();
    const passkey = { ...user.authenticator.passkeys[0], id: base64url("another credential of 32 bytes..") };
    s.note(await post(agent, AUTHENTICATE, { response: user.authenticator.authenticate(await signInOptions(agent), { passkey }) }));
    s.note(await agent.client.getSession());
  },
  "a sign-in with a passkey without a state": async (s) => {
    const user = await owner(s);
    const agent = s.agent();
    const response = user.authenticator.authenticate(await signInOptions(agent));
    agent.recorder.jar.clear();
    s.note(await post(agent, AUTHENTICATE, { response }));
  },
  "a sign-in with a passkey whose answer is sent twice": async (s) => {
    const user = await owner(s);
    const agent = s.agent();
    const response = user.authenticator.authenticate(await signInOptions(agent));
    const held = [...agent.recorder.jar];
    s.note(await post(agent, AUTHENTICATE, { response }));
    const copy = s.agent();
    for (const [name, value] of held) copy.recorder.jar.set(name, value);
    s.note(await post(copy, AUTHENTICATE, { response }));
    s.note(await copy.client.getSession());
  },
  "a sign-in with a passkey and the state of a registration": async (s) => {
    const user = await owner(s);
    const { challenge } = await registerOptions(user);
    s.note(await post(user, AUTHENTICATE, { response: user.authenticator.authenticate({ challenge, rpId: "localhost" }) }));
  },
  "a sign-in with a passkey and the state of another browser": async (s) => {
    const user = await owner(s);
    const agent = s.agent();
    const options = await signInOptions(s.agent());
    await signInOptions(agent);
    s.note(await post(agent, AUTHENTICATE, { response: user.authenticator.authenticate(options) }));
  },
  "a sign-in with a passkey of another user's handle": bentSignIn(async (s) => {
    const bob = await owner(s, {}, "bob");
    return { inner: { userHandle: bob.authenticator.passkeys[0].userHandle } };
  }),
  "a sign-in with a passkey of another user's id": bentSignIn(async (s, user) => {
    const bob = await owner(s, {}, "bob");
    return { passkey: { ...user.authenticator.passkeys[0], id: bob.authenticator.passkeys[0].id } };
  }),
  "a sign-in with a passkey and no handle": bentSignIn({ inner: { userHandle: undefined } }),
  "a sign-in with a passkey and a handle that is null": bentSignIn({ inner: { userHandle: null } }),
  "a sign-in with a passkey and another challenge": bentSignIn({ challenge: base64url("another challenge") }),
  "a sign-in with a passkey of another origin": bentSignIn({ origin: "https://evil.example" }),
  "a sign-in with a passkey of a page in a frame": bentSignIn({ crossOrigin: true }),
  "a sign-in with a passkey of another RP": bentSignIn({ rpId: "evil.example" }),
  "a sign-in with a passkey by an answer of a registration": bentSignIn({ type: "webauthn.create" }),
  "a sign-in with a passkey without user presence": bentSignIn({ up: false, uv: false }),
  "a sign-in with a passkey that is backed up and may not be": bentSignIn({ bs: true }),
  "a sign-in with a passkey and a bent signature": bentSignIn({ signature: flip }),
  "a sign-in with a passkey and an empty signature": bentSignIn({ signature: () => Buffer.alloc(0) }),
  "a sign-in with a passkey and flags that were not signed": bentSignIn({ uv: false, sentData: (data) => Buffer.concat([data.subarray(0, 32), Buffer.from([data[32] | 4]), data.subarray(33)]) }),
  "a sign-in with a passkey and bytes that were not signed": bentSignIn({ sentData: (data) => Buffer.concat([data, Buffer.from([0])]) }),
  "a sign-in with a passkey and short data": bentSignIn({ authData: (data) => data.subarray(0, 20) }),
  "a sign-in with a passkey and client data that are no JSON": bentSignIn({ clientData: () => Buffer.from("{") }),
  "a sign-in with a passkey and another id outside": bentSignIn({ outer: { rawId: "AAAA" } }),
  "a sign-in with a passkey and another type outside": bentSignIn({ outer: { type: "password" } }),
  "sign-ins that make no sense": senseless(AUTHENTICATE, "/passkey/generate-authenticate-options"),
  "a sign-in with a passkey of a banned user": async (s) => {
    const root = await admin(s);
    const bob = await owner(s, {}, "bob");
    const { data } = await bob.client.getSession();
    s.note(await root.client.admin.banUser({ userId: data.user.id, banReason: "spam" }));
    s.note(await enter(s.agent(), bob.authenticator));
  },
};

const secondFactor = {
  "a second factor and a passkey that verifies its user": async (s) => {
    const user = await owner(s, {}, "ana");
    await enrolled(s, user);
    const agent = s.agent();
    s.note(await enter(agent, user.authenticator));
    s.note(await agent.client.getSession());
  },
  "a second factor and a passkey that does not": async (s) => {
    const user = await owner(s, { uv: false }, "ana");
    await enrolled(s, user);
    const agent = s.agent();
    s.note(await enter(agent, user.authenticator));
    s.note(await agent.client.getSession());
  },
  "a second factor, a password and then a passkey": async (s) => {
    const user = await owner(s, { uv: false }, "ana");
    await enrolled(s, user);
    const agent = s.agent();
    s.note(await agent.client.signIn.email({ email: user.email, password: PASSWORD }));
    s.note(await get(agent, "/passkey/generate-authenticate-options"));
    s.note(await enter(agent, user.authenticator));
    s.note(await agent.client.getSession());
  },
  "a second factor, a password and another's passkey": async (s) => {
    const user = await owner(s, {}, "ana");
    await enrolled(s, user);
    const bob = await owner(s, {}, "bob");
    const agent = s.agent();
    s.note(await agent.client.signIn.email({ email: user.email, password: PASSWORD }));
    const options = await signInOptions(agent);
    s.note(await post(agent, AUTHENTICATE, { response: bob.authenticator.authenticate({ ...options, allowCredentials: [] }) }));
    s.note(await agent.client.getSession());
  },
};

export const passkeys = { ...registration, ...lists, ...signIns, ...secondFactor };
