// The scenarios of codes and links in mails: sign-in, verification of a mailbox, a new password, a new email address, and the second factor. Each
// scenario reads a mail before it asks for the next one: Countersign sends mails after the answer, so two requests may send theirs in any order.
import { PASSWORD, admin, signedUp } from "./scenarios.mjs";
import { enrolled, pending } from "./two_factor.mjs";

const NEW = "another good password";
const ELSEWHERE = "https://evil.example/";

/** Codes that are not this one. */
const wrong = (code, count = 1) => Array.from({ length: count }, (_, n) => String((Number(code) + n + 1) % 1_000_000).padStart(6, "0"));

/** Asks for a code and reads it. */
async function asked(s, { client }, email, type = "sign-in") {
  s.note(await client.emailOtp.sendVerificationOtp({ email, type }));
  return s.code(email);
}

/** A user who has signed in by code. A new one has no password and a verified mailbox. */
async function byCode(s, name = "ana", agent = s.agent(), over = {}) {
  const email = s.email(name);
  const otp = await asked(s, agent, email);
  s.note(await agent.client.signIn.emailOtp({ email, otp, ...over }));
  return { ...agent, email };
}

/** A user with a password and a verified mailbox. */
async function verified(s, name = "ana") {
  const user = await signedUp(s, name);
  const otp = await asked(s, user, user.email, "email-verification");
  s.note(await user.client.emailOtp.verifyEmail({ email: user.email, otp }));
  return user;
}

/** Asks for a link and reads it. */
async function linked(s, { client }, email, over = {}) {
  s.note(await client.signIn.magicLink({ email, ...over }));
  return s.link(email, "/magic-link/verify");
}

const tokenOf = (link) => new URL(link).searchParams.get("token");

/** Asks for a link and sends its token by the client, as the page of an application does. */
async function byLink(s, agent, email, over = {}) {
  const token = tokenOf(await linked(s, agent, email, over));
  s.note(await agent.client.magicLink.verify({ query: { token } }));
}

/** A user whose second factor is a code in a mail, with the session that turned it on. Countersign turns it on when a first code has arrived. */
async function mailed(s) {
  const user = await verified(s);
  s.note(await user.client.twoFactor.enable({ password: PASSWORD, method: "otp" }));
  if (s.asks) {
    const code = await s.code(user.email);
    await user.recorder.unrecorded(() => user.client.twoFactor.verifyOtp({ code }));
  }
  return user;
}

/** Signs in with the password and asks for the code of the second step. */
async function half(s, user, over = {}) {
  const agent = await pending(s, user, s.agent(), over);
  s.note(await agent.client.twoFactor.sendOtp());
  return { ...agent, code: await s.code(user.email) };
}

/** Notes whether every mail to this email address was read. */
const allRead = async (s, email) => s.note({ data: (await s.mails()).filter((m) => m.to === email).length === s.read[email] ? true : null });

/** A user who has asked for a new email address with a code of the present one. */
async function moving(s) {
  const user = await verified(s);
  const to = s.email("new");
  const otp = await asked(s, user, user.email, "email-verification");
  s.note(await user.client.emailOtp.requestEmailChange({ newEmail: to, otp }));
  return { ...user, to, code: await s.code(to) };
}

/** Asks for a code for a new password and reads it. */
async function forgetful(s, user) {
  const agent = s.agent();
  s.note(await agent.client.emailOtp.requestPasswordReset({ email: user.email }));
  return { ...agent, email: user.email, code: await s.code(user.email) };
}

const post = (s, path, body, agent = s.agent()) => s.raw("POST", path, JSON.stringify(body), {}, agent.recorder);

/** Each call of the plugin that needs no session, with a valid body. */
const open = (email) => ({
  "/email-otp/send-verification-otp": { email, type: "sign-in" },
  "/email-otp/check-verification-otp": { email, type: "sign-in", otp: "000000" },
  "/email-otp/verify-email": { email, otp: "000000" },
  "/sign-in/email-otp": { email, otp: "000000" },
  "/email-otp/request-password-reset": { email },
  "/forget-password/email-otp": { email },
  "/email-otp/reset-password": { email, otp: "000000", password: NEW },
});

const codes = {
  "a code signs in a new user": async (s) => {
    const { client } = await byCode(s);
    s.note(await client.getSession());
    s.note(await client.token());
    s.note(await client.listAccounts());
  },
  "a code, a name and a picture": async (s) => {
    const { client } = await byCode(s, "ana", s.agent(), { name: "Ana", image: "https://example.com/a.png" });
    s.note(await client.getSession());
  },
  "a code for an email address in capitals": async (s) => {
    const { client } = s.agent();
    const email = s.email("ana");
    s.note(await client.emailOtp.sendVerificationOtp({ email: email.toUpperCase(), type: "sign-in" }));
    s.note(await client.signIn.emailOtp({ email: email.toUpperCase(), otp: await s.code(email) }));
  },
  "a code and a role": async (s) => {
    const { client } = await byCode(s, "ana", s.agent(), { role: "admin" });
    s.note(await client.getSession());
  },
  "a code and an unknown field": async (s) => {
    await byCode(s, "ana", s.agent(), { theme: "dark" });
  },
  "a code and a picture that is a script": async (s) => {
    await byCode(s, "ana", s.agent(), { image: "javascript:alert(1)" });
  },
  "a code signs in a known user": async (s) => {
    const user = await verified(s);
    const agent = s.agent();
    await byCode(s, "ana", agent, { name: "Another", image: "https://example.com/b.png" });
    s.note(await agent.client.getSession());
    s.note(await user.client.getSession());
    s.note(await user.client.listAccounts());
  },
  "a code in another browser": async (s) => {
    const { email } = await byCode(s);
    const otp = await asked(s, s.agent(), email);
    s.note(await s.agent().client.signIn.emailOtp({ email, otp }));
  },
  "a code and then the token as Bearer": async (s) => {
    const { recorder } = await byCode(s);
    s.note(await s.agent({ bearer: recorder.exchanges.at(-1).headers["set-auth-token"] }).client.getSession());
  },
  "a code and a session that ends with the browser": async (s) => {
    const { client } = await byCode(s, "ana", s.agent(), { rememberMe: false });
    s.note(await client.getSession());
  },
  "a code in the browser of another user": async (s) => {
    const bob = await byCode(s, "bob");
    await byCode(s, "ana", bob);
    s.note(await bob.client.getSession());
  },
  "a code in a browser that is signed in": async (s) => {
    const user = await byCode(s);
    await byCode(s, "ana", user);
    s.note(await user.client.listSessions());
  },
  "a code and then a sign-out": async (s) => {
    const { client } = await byCode(s);
    s.note(await client.signOut());
    s.note(await client.getSession());
  },
  "a code and links for a banned user": async (s) => {
    const root = await admin(s);
    const { client, email } = await byCode(s, "bob");
    const { data } = await client.getSession();
    s.note(await root.client.admin.banUser({ userId: data.user.id, banReason: "spam" }));
    await byCode(s, "bob");
    await byLink(s, s.agent(), email);
    const agent = s.agent();
    await s.open(agent, await linked(s, agent, email, { callbackURL: "/dash", errorCallbackURL: "/failed" }));
  },

  // an account whose mailbox is not verified
  "a code for an unverified user": async (s) => {
    const user = await signedUp(s);
    const { client } = await byCode(s);
    s.note(await client.getSession());
    s.note(await user.client.getSession());
    s.note(await s.agent().client.signIn.email({ email: user.email, password: PASSWORD }));
  },
  "a code for an unverified user in the same browser": async (s) => {
    const user = await signedUp(s);
    await byCode(s, "ana", user);
    s.note(await user.client.getSession());
    s.note(await s.agent().client.signIn.email({ email: user.email, password: PASSWORD }));
  },
  "a link for an unverified user": async (s) => {
    const user = await signedUp(s);
    const agent = s.agent();
    await byLink(s, agent, user.email);
    s.note(await agent.client.getSession());
    s.note(await user.client.getSession());
    s.note(await s.agent().client.signIn.email({ email: user.email, password: PASSWORD }));
  },

  // wrong codes
  "a wrong code and then the right one": async (s) => {
    const agent = s.agent();
    const email = s.email("ana");
    const otp = await asked(s, agent, email);
    s.note(await agent.client.signIn.emailOtp({ email, otp: wrong(otp)[0] }));
    s.note(await agent.client.signIn.emailOtp({ email, otp }));
  },
  "a code used twice": async (s) => {
    const agent = s.agent();
    const email = s.email("ana");
    const otp = await asked(s, agent, email);
    for (const _ of [1, 2]) s.note(await agent.client.signIn.emailOtp({ email, otp }));
    s.note(await s.agent().client.signIn.emailOtp({ email, otp }));
  },
  "a code that was never sent": async (s) => {
    s.note(await s.agent().client.signIn.emailOtp({ email: s.email("ana"), otp: "000000" }));
    const { email } = await byCode(s, "bob");
    s.note(await s.agent().client.signIn.emailOtp({ email, otp: "000000" }));
  },
  "too many wrong codes in the browser that asked": async (s) => {
    const agent = s.agent();
    const email = s.email("ana");
    const otp = await asked(s, agent, email);
    for (const code of wrong(otp, 6)) s.note(await agent.client.signIn.emailOtp({ email, otp: code }));
    s.note(await agent.client.signIn.emailOtp({ email, otp }));
    s.note(await agent.client.signIn.emailOtp({ email, otp: await asked(s, agent, email) }));
  },
  "too many wrong codes in another browser": async (s) => {
    const { client } = s.agent();
    const email = s.email("ana");
    const otp = await asked(s, s.agent(), email);
    for (const code of wrong(otp, 4)) s.note(await client.signIn.emailOtp({ email, otp: code }));
    s.note(await client.signIn.emailOtp({ email, otp }));
  },
  "wrong codes in another browser and then the right one": async (s) => {
    const agent = s.agent();
    const email = s.email("ana");
    const otp = await asked(s, agent, email);
    for (const code of wrong(otp, 3)) s.note(await s.agent().client.signIn.emailOtp({ email, otp: code }));
    s.note(await agent.client.signIn.emailOtp({ email, otp }));
  },
  "two codes for one browser": async (s) => {
    const agent = s.agent();
    const email = s.email("ana");
    const [older, newer] = [await asked(s, agent, email), await asked(s, agent, email)];
    if (older !== newer) s.note(await agent.client.signIn.emailOtp({ email, otp: older }));
    s.note(await agent.client.signIn.emailOtp({ email, otp: newer }));
  },
  "two codes for two browsers": async (s) => {
    const agent = s.agent();
    const email = s.email("ana");
    const older = await asked(s, agent, email);
    await asked(s, s.agent(), email);
    s.note(await agent.client.signIn.emailOtp({ email, otp: older }));
  },
  "a code of another type": async (s) => {
    const user = await verified(s);
    const { email } = user;
    const { emailOtp, signIn } = user.client;
    const verification = await asked(s, user, email, "email-verification");
    s.note(await signIn.emailOtp({ email, otp: verification }));
    const reset = await asked(s, user, email, "forget-password");
    s.note(await signIn.emailOtp({ email, otp: reset }));
    s.note(await emailOtp.verifyEmail({ email, otp: reset }));
    const sign = await asked(s, user, email);
    s.note(await emailOtp.verifyEmail({ email, otp: sign }));
    s.note(await emailOtp.resetPassword({ email, otp: sign, password: NEW }));
    s.note(await signIn.emailOtp({ email, otp: sign }));
  },
  "a code of another email address": async (s) => {
    const agent = s.agent();
    const otp = await asked(s, agent, s.email("ana"));
    s.note(await agent.client.signIn.emailOtp({ email: s.email("bob"), otp }));
    s.note(await agent.client.signIn.emailOtp({ email: s.email("ana"), otp }));
  },
  "a code with a space": async (s) => {
    const agent = s.agent();
    const email = s.email("ana");
    const otp = await asked(s, agent, email);
    s.note(await agent.client.signIn.emailOtp({ email, otp: `${otp.slice(0, 3)} ${otp.slice(3)}` }));
  },
  "texts that are no codes": async (s) => {
    const agent = s.agent();
    const email = s.email("ana");
    await asked(s, agent, email);
    for (const otp of ["", "one two three", "１２３４５６"]) s.note(await agent.client.signIn.emailOtp({ email, otp }));
  },

  "a sign-in by code in a form": async (s) => {
    const agent = s.agent();
    const email = s.email("ana");
    const form = new URLSearchParams({ email, otp: await asked(s, agent, email) }).toString();
    await s.raw("POST", "/sign-in/email-otp", form, { "content-type": "application/x-www-form-urlencoded" }, agent.recorder);
  },

  // requests for a code, and what is no valid call
  "codes for an unknown email address": async (s) => {
    const agent = s.agent();
    const email = s.email("unknown");
    for (const type of ["email-verification", "forget-password"]) s.note(await agent.client.emailOtp.sendVerificationOtp({ email, type }));
    s.note(await agent.client.emailOtp.requestPasswordReset({ email }));
    await asked(s, agent, email);
    await allRead(s, email);
  },
  "codes for a known email address": async (s) => {
    const { email } = await verified(s);
    for (const type of ["sign-in", "email-verification", "forget-password"]) await asked(s, s.agent(), email, type);
    await allRead(s, email);
  },
  "a code of an unknown type": async (s) => {
    for (const type of ["change-email", "sign-up", "", 5]) s.note(await s.agent().client.emailOtp.sendVerificationOtp({ email: s.email("ana"), type }));
    s.note(await s.agent().client.emailOtp.sendVerificationOtp({ email: s.email("ana") }));
    s.note(await s.agent().client.emailOtp.checkVerificationOtp({ email: s.email("ana"), type: "sign-up", otp: "000000" }));
  },
  "an invalid email address in each call": async (s) => {
    for (const [path, body] of Object.entries(open("unknown"))) if (path !== "/sign-in/email-otp") await post(s, path, body);
    await post(s, "/sign-in/magic-link", { email: "unknown" });
  },
  "an invalid email address at the sign-in by code": async (s) => s.note(await s.agent().client.signIn.emailOtp({ email: "unknown", otp: "000000" })),
  "no email address in each call": async (s) => {
    for (const [path, { email, ...body }] of Object.entries(open(s.email("ana")))) await post(s, path, body);
    await post(s, "/sign-in/magic-link", {});
  },
  "a number as email address in each call": async (s) => {
    for (const [path, body] of Object.entries(open(5))) await post(s, path, body);
    await post(s, "/sign-in/magic-link", { email: 5 });
  },
  "a number as code in each call": async (s) => {
    for (const [path, body] of Object.entries(open(s.email("ana")))) if ("otp" in body) await post(s, path, { ...body, otp: 123456 });
  },
  "no code in each call": async (s) => {
    for (const [path, { otp, ...body }] of Object.entries(open(s.email("ana")))) if (otp) await post(s, path, body);
  },
  "a number as name and as picture": async (s) => {
    for (const gift of [{ name: 5 }, { image: 5 }]) await post(s, "/sign-in/email-otp", { email: s.email("ana"), otp: "000000", ...gift });
    await post(s, "/sign-in/magic-link", { email: s.email("ana"), name: 5 });
  },
  "an untrusted origin in each call": async (s) => {
    const calls = { ...open(s.email("ana")), "/sign-in/magic-link": { email: s.email("ana") } };
    for (const [path, body] of Object.entries(calls)) await s.raw("POST", path, JSON.stringify(body), { origin: "https://evil.example" });
  },
  "an untrusted origin in each call beside a session": async (s) => {
    const calls = { ...open(s.email("ana")), "/sign-in/magic-link": { email: s.email("ana") } };
    for (const [n, [path, body]] of Object.entries(calls).entries()) {
      const { recorder } = await signedUp(s, `u${n}`);
      await s.raw("POST", path, JSON.stringify(body), { origin: "https://evil.example" }, recorder);
    }
  },
};

const checks = {
  "a code is checked and then used": async (s) => {
    const { email } = await byCode(s);
    const agent = s.agent();
    const otp = await asked(s, agent, email);
    for (const _ of [1, 2]) s.note(await agent.client.emailOtp.checkVerificationOtp({ email, type: "sign-in", otp }));
    s.note(await agent.client.signIn.emailOtp({ email, otp }));
    s.note(await agent.client.emailOtp.checkVerificationOtp({ email, type: "sign-in", otp }));
  },
  "a wrong code is checked": async (s) => {
    const { email } = await byCode(s);
    const agent = s.agent();
    const otp = await asked(s, agent, email);
    s.note(await agent.client.emailOtp.checkVerificationOtp({ email, type: "sign-in", otp: wrong(otp)[0] }));
    s.note(await agent.client.emailOtp.checkVerificationOtp({ email, type: "email-verification", otp }));
    s.note(await agent.client.emailOtp.checkVerificationOtp({ email, type: "sign-in", otp }));
  },
  "too many wrong codes are checked": async (s) => {
    const { email } = await byCode(s);
    const otp = await asked(s, s.agent(), email);
    const { client } = s.agent();
    for (const code of wrong(otp, 4)) s.note(await client.emailOtp.checkVerificationOtp({ email, type: "sign-in", otp: code }));
    s.note(await client.signIn.emailOtp({ email, otp }));
  },
  "a code is checked without an account": async (s) => {
    const agent = s.agent();
    const email = s.email("ana");
    const otp = await asked(s, agent, email);
    s.note(await agent.client.emailOtp.checkVerificationOtp({ email, type: "sign-in", otp }));
    s.note(await agent.client.signIn.emailOtp({ email, otp }));
  },
  "a code for a new password is checked and then used": async (s) => {
    const user = await verified(s);
    const { client, email, code: otp } = await forgetful(s, user);
    s.note(await client.emailOtp.checkVerificationOtp({ email, type: "forget-password", otp }));
    s.note(await client.emailOtp.resetPassword({ email, otp, password: NEW }));
  },
};

const mailboxes = {
  "a code verifies a mailbox": async (s) => {
    const user = await verified(s);
    s.note(await user.client.getSession());
    await allRead(s, user.email);
  },
  "a code verifies a mailbox after a sign-out": async (s) => {
    const user = await signedUp(s);
    s.note(await user.client.signOut());
    const otp = await asked(s, user, user.email, "email-verification");
    s.note(await user.client.emailOtp.verifyEmail({ email: user.email, otp }));
    s.note(await user.client.signIn.email({ email: user.email, password: PASSWORD }));
  },
  "a code verifies a mailbox in another browser": async (s) => {
    const user = await signedUp(s);
    const agent = s.agent();
    const otp = await asked(s, agent, user.email, "email-verification");
    s.note(await agent.client.emailOtp.verifyEmail({ email: user.email, otp }));
    s.note(await user.client.getSession());
  },
  "a code verifies a mailbox beside another user's session": async (s) => {
    const [user, bob] = [await signedUp(s), await signedUp(s, "bob")];
    const otp = await asked(s, bob, user.email, "email-verification");
    s.note(await bob.client.emailOtp.verifyEmail({ email: user.email, otp }));
    s.note(await bob.client.getSession());
  },
  "a wrong code verifies no mailbox": async (s) => {
    const user = await signedUp(s);
    const otp = await asked(s, user, user.email, "email-verification");
    s.note(await user.client.emailOtp.verifyEmail({ email: user.email, otp: wrong(otp)[0] }));
    s.note(await user.client.emailOtp.verifyEmail({ email: user.email, otp }));
    s.note(await user.client.emailOtp.verifyEmail({ email: user.email, otp }));
  },
  "a code verifies a mailbox once more": async (s) => {
    const user = await verified(s);
    const otp = await asked(s, user, user.email, "email-verification");
    s.note(await user.client.emailOtp.verifyEmail({ email: user.email, otp }));
    s.note(await user.client.getSession());
  },
  "a code verifies a mailbox without an account": async (s) => s.note(await s.agent().client.emailOtp.verifyEmail({ email: s.email("unknown"), otp: "000000" })),
};

const passwords = {
  "a new password by code": async (s) => {
    const { client, email, code: otp } = await forgetful(s, await verified(s));
    s.note(await client.emailOtp.resetPassword({ email, otp, password: NEW }));
    s.note(await client.getSession());
    s.note(await client.signIn.email({ email, password: PASSWORD }));
    s.note(await client.signIn.email({ email, password: NEW }));
  },
  "a new password for an email address in capitals": async (s) => {
    const { email } = await verified(s);
    const { client } = s.agent();
    s.note(await client.emailOtp.requestPasswordReset({ email: email.toUpperCase() }));
    s.note(await client.emailOtp.resetPassword({ email: email.toUpperCase(), otp: await s.code(email), password: NEW }));
    s.note(await client.signIn.email({ email, password: NEW }));
  },
  "a new password by code ends sessions": async (s) => {
    const user = await verified(s);
    const { client, email, code: otp } = await forgetful(s, user);
    s.note(await client.emailOtp.resetPassword({ email, otp, password: NEW }));
    s.note(await user.client.getSession());
  },
  "a new password by code of an unverified user": async (s) => {
    const { client, email, code: otp } = await forgetful(s, await signedUp(s));
    s.note(await client.emailOtp.resetPassword({ email, otp, password: NEW }));
    s.note(await client.signIn.email({ email, password: NEW }));
  },
  "a first password by code": async (s) => {
    const { client, email, code: otp } = await forgetful(s, await byCode(s));
    s.note(await client.emailOtp.resetPassword({ email, otp, password: NEW }));
    s.note(await client.signIn.email({ email, password: NEW }));
  },
  "a new password by a wrong code": async (s) => {
    const { client, email, code: otp } = await forgetful(s, await verified(s));
    s.note(await client.emailOtp.resetPassword({ email, otp: wrong(otp)[0], password: NEW }));
    s.note(await client.emailOtp.resetPassword({ email, otp, password: NEW }));
    s.note(await client.emailOtp.resetPassword({ email, otp, password: NEW }));
  },
  "a new password by too many wrong codes": async (s) => {
    const { email, code: otp } = await forgetful(s, await verified(s));
    const { client } = s.agent();
    for (const code of wrong(otp, 4)) s.note(await client.emailOtp.resetPassword({ email, otp: code, password: NEW }));
    s.note(await client.emailOtp.resetPassword({ email, otp, password: NEW }));
  },
  "a new password that is too short or too long": async (s) => {
    const { client, email, code: otp } = await forgetful(s, await verified(s));
    s.note(await client.emailOtp.resetPassword({ email, otp, password: "short" }));
    s.note(await client.emailOtp.resetPassword({ email, otp, password: "x".repeat(129) }));
    s.note(await client.emailOtp.resetPassword({ email, otp, password: NEW }));
    s.note(await client.signIn.email({ email, password: NEW }));
  },
  "a bad new password with a wrong code": async (s) => {
    const { client, email, code: otp } = await forgetful(s, await verified(s));
    s.note(await client.emailOtp.resetPassword({ email, otp: wrong(otp)[0], password: "short" }));
    await post(s, "/email-otp/reset-password", { email, otp });
    await post(s, "/email-otp/reset-password", { email, otp, password: 12345678 });
  },
  "a new password by code without an account": async (s) => {
    const { client } = s.agent();
    const email = s.email("unknown");
    s.note(await client.emailOtp.requestPasswordReset({ email }));
    s.note(await client.emailOtp.resetPassword({ email, otp: "000000", password: NEW }));
  },
  "a new password by a code of its type": async (s) => {
    const { email } = await verified(s);
    const agent = s.agent();
    const otp = await asked(s, agent, email, "forget-password");
    s.note(await agent.client.emailOtp.resetPassword({ email, otp, password: NEW }));
  },
  "a new password by the deprecated call": async (s) => {
    const { email } = await verified(s);
    const { client } = s.agent();
    s.note(await client.forgetPassword.emailOtp({ email }));
    s.note(await client.emailOtp.resetPassword({ email, otp: await s.code(email), password: NEW }));
    s.note(await client.forgetPassword.emailOtp({ email: s.email("unknown") }));
  },
};

const addresses = {
  "a new email address by code": async (s) => {
    const { client, email, to, code: otp } = await moving(s);
    s.note(await client.emailOtp.changeEmail({ newEmail: to, otp }));
    s.note(await client.getSession());
    s.note(await s.agent().client.signIn.email({ email: to, password: PASSWORD }));
    s.note(await s.agent().client.signIn.email({ email, password: PASSWORD }));
    s.note(await client.emailOtp.changeEmail({ newEmail: to, otp }));
  },
  "a new email address by code ends sessions": async (s) => {
    const { client, email, to, code: otp } = await moving(s);
    const other = s.agent();
    s.note(await other.client.signIn.email({ email, password: PASSWORD }));
    s.note(await client.emailOtp.changeEmail({ newEmail: to, otp }));
    s.note(await other.client.getSession());
    s.note(await client.getSession());
  },
  "a new email address in capitals": async (s) => {
    const user = await verified(s);
    const to = s.email("new");
    const otp = await asked(s, user, user.email, "email-verification");
    s.note(await user.client.emailOtp.requestEmailChange({ newEmail: to.toUpperCase(), otp }));
    s.note(await user.client.emailOtp.changeEmail({ newEmail: to.toUpperCase(), otp: await s.code(to) }));
    s.note(await user.client.getSession());
  },
  "a new email address by a wrong code": async (s) => {
    const { client, to, code: otp } = await moving(s);
    s.note(await client.emailOtp.changeEmail({ newEmail: to, otp: wrong(otp)[0] }));
    s.note(await client.emailOtp.changeEmail({ newEmail: s.email("other"), otp }));
    s.note(await client.emailOtp.changeEmail({ newEmail: to, otp }));
  },
  "a new email address by too many wrong codes": async (s) => {
    const { client, to, code: otp } = await moving(s);
    for (const code of wrong(otp, 6)) s.note(await client.emailOtp.changeEmail({ newEmail: to, otp: code }));
    s.note(await client.emailOtp.changeEmail({ newEmail: to, otp }));
  },
  "a new email address by another user's code": async (s) => {
    const { to, code: otp } = await moving(s);
    const bob = await verified(s, "bob");
    s.note(await bob.client.emailOtp.changeEmail({ newEmail: to, otp }));
  },
  "a new email address without the first code": async (s) => {
    const user = await verified(s);
    s.note(await user.client.emailOtp.requestEmailChange({ newEmail: s.email("new") }));
    const otp = await asked(s, user, user.email, "email-verification");
    s.note(await user.client.emailOtp.requestEmailChange({ newEmail: s.email("new"), otp: wrong(otp)[0] }));
    s.note(await user.client.emailOtp.requestEmailChange({ newEmail: s.email("new"), otp }));
    s.note(await user.client.emailOtp.requestEmailChange({ newEmail: s.email("new"), otp }));
  },
  "a new email address of an unverified user": async (s) => {
    const user = await signedUp(s);
    s.note(await user.client.emailOtp.requestEmailChange({ newEmail: s.email("new") }));
  },
  "a new email address of an unverified user, with codes": async (s) => {
    const user = await signedUp(s);
    const to = s.email("new");
    const otp = await asked(s, user, user.email, "email-verification");
    s.note(await user.client.emailOtp.requestEmailChange({ newEmail: to, otp }));
    s.note(await user.client.emailOtp.changeEmail({ newEmail: to, otp: await s.code(to) }));
    s.note(await user.client.getSession());
  },
  "the same email address by code": async (s) => {
    const user = await verified(s);
    const otp = await asked(s, user, user.email, "email-verification");
    s.note(await user.client.emailOtp.requestEmailChange({ newEmail: user.email.toUpperCase(), otp }));
    s.note(await user.client.emailOtp.changeEmail({ newEmail: user.email, otp }));
  },
  "a taken email address by code": async (s) => {
    const [user, bob] = [await verified(s), await signedUp(s, "bob")];
    const otp = await asked(s, user, user.email, "email-verification");
    s.note(await user.client.emailOtp.requestEmailChange({ newEmail: bob.email, otp }));
    s.note(await user.client.emailOtp.changeEmail({ newEmail: bob.email, otp: "000000" }));
  },
  "a new email address that is taken in the meantime": async (s) => {
    const { client, to, code: otp } = await moving(s);
    await signedUp(s, "new");
    s.note(await client.emailOtp.changeEmail({ newEmail: to, otp }));
  },
  "an invalid new email address by code": async (s) => {
    const user = await verified(s);
    const otp = await asked(s, user, user.email, "email-verification");
    s.note(await user.client.emailOtp.requestEmailChange({ newEmail: "unknown", otp }));
    s.note(await user.client.emailOtp.changeEmail({ newEmail: "unknown", otp }));
    await post(s, "/email-otp/request-email-change", {}, user);
    await post(s, "/email-otp/change-email", { newEmail: s.email("new") }, user);
  },
  "a new email address by code without a session": async (s) => {
    const { client } = s.agent();
    s.note(await client.emailOtp.requestEmailChange({ newEmail: s.email("new"), otp: "000000" }));
    s.note(await client.emailOtp.changeEmail({ newEmail: s.email("new"), otp: "000000" }));
  },
};

const links = {
  "a link signs in a new user": async (s) => {
    const agent = s.agent();
    await byLink(s, agent, s.email("ana"));
    s.note(await agent.client.getSession());
  },
  "a link, a name and metadata": async (s) => {
    const agent = s.agent();
    await byLink(s, agent, s.email("ana"), { name: "Ana", metadata: { campaign: "spring" } });
    s.note(await agent.client.getSession());
  },
  "a link for an email address in capitals": async (s) => {
    const agent = s.agent();
    s.note(await agent.client.signIn.magicLink({ email: s.email("ana").toUpperCase() }));
    const mail = (await s.mails()).find(({ to }) => to.toLowerCase() === s.email("ana"));
    const link = mail?.url ?? (await s.link(s.email("ana")));
    s.note(await agent.client.magicLink.verify({ query: { token: tokenOf(link) } }));
  },
  "a link signs in a known user": async (s) => {
    const user = await verified(s);
    const agent = s.agent();
    await byLink(s, agent, user.email, { name: "Another" });
    s.note(await agent.client.getSession());
    s.note(await user.client.getSession());
  },
  "a link and then the token as Bearer": async (s) => {
    const agent = s.agent();
    await byLink(s, agent, s.email("ana"));
    s.note(await s.agent({ bearer: agent.recorder.exchanges.at(-1).headers["set-auth-token"] }).client.getSession());
  },
  "a link in the browser of another user": async (s) => {
    const bob = await byCode(s, "bob");
    await byLink(s, bob, s.email("ana"));
    s.note(await bob.client.getSession());
  },
  "a link's token with a callback": async (s) => {
    const agent = s.agent();
    const token = tokenOf(await linked(s, agent, s.email("ana")));
    s.note(await agent.client.magicLink.verify({ query: { token, callbackURL: "/dash" } }));
    s.note(await agent.client.getSession());
  },
  "a link's token with an absolute callback": async (s) => {
    const agent = s.agent();
    const token = tokenOf(await linked(s, agent, s.email("ana")));
    s.note(await agent.client.magicLink.verify({ query: { token, callbackURL: `${s.base}/dash?x=1#y` } }));
  },
  "a link's token used twice": async (s) => {
    const agent = s.agent();
    const token = tokenOf(await linked(s, agent, s.email("ana")));
    for (const _ of [1, 2]) s.note(await agent.client.magicLink.verify({ query: { token } }));
    s.note(await agent.client.magicLink.verify({ query: { token, errorCallbackURL: "/failed" } }));
  },
  "an unknown token of a link": async (s) => {
    const { magicLink } = s.agent().client;
    for (const query of [{}, { callbackURL: "/dash" }, { errorCallbackURL: "/failed" }, { callbackURL: "/dash", errorCallbackURL: "/failed?x=1" }]) s.note(await magicLink.verify({ query: { token: "nonsense", ...query } }));
    s.note(await magicLink.verify({ query: {} }));
  },
  "a link's token in another browser": async (s) => {
    const link = await linked(s, s.agent(), s.email("ana"));
    const agent = s.agent();
    s.note(await agent.client.magicLink.verify({ query: { token: tokenOf(link) } }));
    s.note(await agent.client.getSession());
  },
  "a link with callbacks to another site": async (s) => {
    const agent = s.agent();
    for (const name of ["callbackURL", "newUserCallbackURL", "errorCallbackURL"]) s.note(await agent.client.signIn.magicLink({ email: s.email("ana"), [name]: ELSEWHERE }));
    const token = tokenOf(await linked(s, agent, s.email("ana")));
    for (const name of ["callbackURL", "newUserCallbackURL", "errorCallbackURL"]) s.note(await agent.client.magicLink.verify({ query: { token, [name]: ELSEWHERE } }));
    s.note(await agent.client.magicLink.verify({ query: { token } }));
  },
  "a link with callbacks that are none": async (s) => {
    const agent = s.agent();
    for (const callbackURL of ["javascript:alert(1)", "//evil.example/", "/\\evil.example", "dash"]) s.note(await agent.client.signIn.magicLink({ email: s.email("ana"), callbackURL }));
  },
  "two links for one browser": async (s) => {
    const agent = s.agent();
    const email = s.email("ana");
    const [older, newer] = [await linked(s, agent, email), await linked(s, agent, email)];
    s.note(await agent.client.magicLink.verify({ query: { token: tokenOf(newer) } }));
    s.note(await s.agent().client.magicLink.verify({ query: { token: tokenOf(older) } }));
  },

  // links that a browser opens
  "a link is opened by a new user": async (s) => {
    const agent = s.agent();
    await s.open(agent, await linked(s, agent, s.email("ana"), { callbackURL: "/dash", newUserCallbackURL: "/welcome", errorCallbackURL: "/failed" }));
    s.note(await agent.client.getSession());
  },
  "a link is opened by a known user": async (s) => {
    const { email } = await byCode(s);
    const agent = s.agent();
    await s.open(agent, await linked(s, agent, email, { callbackURL: "/dash?x=1#y", newUserCallbackURL: "/welcome" }));
    s.note(await agent.client.getSession());
  },
  "a link is opened without a callback": async (s) => {
    const agent = s.agent();
    await s.open(agent, await linked(s, agent, s.email("ana")));
    s.note(await agent.client.getSession());
  },
  "a link is opened with an absolute callback": async (s) => {
    const agent = s.agent();
    await s.open(agent, await linked(s, agent, s.email("ana"), { callbackURL: `${s.base}/dash` }));
  },
  "a link is opened in another browser": async (s) => {
    const link = await linked(s, s.agent(), s.email("ana"), { callbackURL: "/dash" });
    const agent = s.agent();
    await s.open(agent, link);
    s.note(await agent.client.getSession());
  },
  "a link is opened twice": async (s) => {
    const agent = s.agent();
    const link = await linked(s, agent, s.email("ana"), { callbackURL: "/dash", errorCallbackURL: "/failed?x=1" });
    for (const _ of [1, 2]) await s.open(agent, link);
  },
  "a link is opened twice without a callback for errors": async (s) => {
    const agent = s.agent();
    const link = await linked(s, agent, s.email("ana"), { callbackURL: "/dash" });
    for (const _ of [1, 2]) await s.open(agent, link);
  },
};

const secondSteps = {
  // a second factor that is no mail
  "an authenticator app and a sign-in by code": async (s) => {
    const user = await enrolled(s, await verified(s));
    const { client } = await byCode(s);
    s.note(await client.getSession());
    s.note(await client.twoFactor.verifyTotp({ code: await user.app.next() }));
    s.note(await client.getSession());
  },
  "an authenticator app and a sign-in by link": async (s) => {
    const user = await enrolled(s, await verified(s));
    const agent = s.agent();
    await byLink(s, agent, user.email);
    s.note(await agent.client.getSession());
    s.note(await agent.client.twoFactor.verifyTotp({ code: await user.app.next() }));
    s.note(await agent.client.getSession());
  },
  "an authenticator app and a link that is opened": async (s) => {
    const user = await enrolled(s, await verified(s));
    const agent = s.agent();
    await s.open(agent, await linked(s, agent, user.email, { callbackURL: "/dash" }));
    s.note(await agent.client.getSession());
  },
  "an authenticator app or a code by mail": async (s) => {
    const user = await enrolled(s, await verified(s));
    const { client, code } = await half(s, user);
    s.note(await client.twoFactor.verifyOtp({ code }));
    const other = await half(s, user);
    s.note(await other.client.twoFactor.verifyTotp({ code: await user.app.next() }));
  },

  "an authenticator app, a remembered device and a code": async (s) => {
    const user = await enrolled(s, await verified(s));
    const agent = await pending(s, user);
    s.note(await agent.client.twoFactor.verifyTotp({ code: await user.app.next(), trustDevice: true }));
    s.note(await agent.client.signOut());
    await byCode(s, "ana", agent);
    s.note(await agent.client.getSession());
  },

  // codes in mails as the second factor
  "a second factor by mail": async (s) => {
    const user = await mailed(s);
    s.note(await user.client.getSession());
    s.note(await user.client.signOut());
    const agent = await pending(s, user);
    s.note(await agent.client.getSession());
    s.note(await agent.client.twoFactor.sendOtp());
    const code = await s.code(user.email);
    s.note(await agent.client.twoFactor.verifyOtp({ code: wrong(code)[0] }));
    s.note(await agent.client.twoFactor.verifyOtp({ code }));
    s.note(await agent.client.getSession());
  },
  "a second factor by mail and its first code": async (s) => {
    const user = await verified(s);
    s.note(await user.client.twoFactor.enable({ password: PASSWORD, method: "otp" }));
    s.note(await user.client.getSession());
    s.note(await user.client.twoFactor.sendOtp());
    const code = await s.code(user.email);
    s.note(await user.client.twoFactor.verifyOtp({ code: wrong(code)[0] }));
    s.note(await user.client.twoFactor.verifyOtp({ code }));
    s.note(await user.client.getSession());
  },
  "a second factor by mail with a wrong password": async (s) => s.note(await (await verified(s)).client.twoFactor.enable({ password: NEW, method: "otp" })),
  "a second factor by mail of an unverified user": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.twoFactor.enable({ password: PASSWORD, method: "otp" }));
    s.note(await client.getSession());
  },
  "a second factor by mail ends sessions": async (s) => {
    const user = await verified(s);
    const other = s.agent();
    s.note(await other.client.signIn.email({ email: user.email, password: PASSWORD }));
    s.note(await user.client.twoFactor.enable({ password: PASSWORD, method: "otp" }));
    s.note(await other.client.getSession());
    s.note(await user.client.getSession());
  },
  "a second factor by mail, twice": async (s) => {
    const user = await mailed(s);
    s.note(await user.client.twoFactor.enable({ password: PASSWORD, method: "otp" }));
    s.note(await user.client.getSession());
  },
  "a second factor by mail and then an app": async (s) => {
    const user = await enrolled(s, await mailed(s));
    await pending(s, user);
  },
  "a second factor by mail and a sign-in by code": async (s) => {
    await mailed(s);
    const { client } = await byCode(s);
    s.note(await client.getSession());
  },
  "a second factor by mail and a sign-in by link": async (s) => {
    const user = await mailed(s);
    const agent = s.agent();
    await byLink(s, agent, user.email);
    s.note(await agent.client.getSession());
  },
  "a second factor by mail and a link that is opened": async (s) => {
    const user = await mailed(s);
    const agent = s.agent();
    await s.open(agent, await linked(s, agent, user.email, { callbackURL: "/dash", errorCallbackURL: "/failed" }));
    s.note(await agent.client.getSession());
  },
  "a code of the second step used twice": async (s) => {
    const user = await mailed(s);
    const first = await half(s, user);
    s.note(await first.client.twoFactor.verifyOtp({ code: first.code }));
    const second = await pending(s, user);
    s.note(await second.client.twoFactor.verifyOtp({ code: first.code }));
  },
  "a code of the second step that was not sent": async (s) => {
    const user = await mailed(s);
    const { client } = await pending(s, user);
    s.note(await client.twoFactor.verifyOtp({ code: "000000" }));
  },
  "a code of the second step in another browser": async (s) => {
    const user = await mailed(s);
    const { code } = await half(s, user);
    s.note(await s.agent().client.twoFactor.verifyOtp({ code }));
    const other = await pending(s, user);
    s.note(await other.client.twoFactor.verifyOtp({ code }));
  },
  "a code of the second step sent again": async (s) => {
    const user = await mailed(s);
    const { client, code: older } = await half(s, user);
    s.note(await client.twoFactor.sendOtp());
    const newer = await s.code(user.email);
    if (older !== newer) s.note(await client.twoFactor.verifyOtp({ code: older }));
    s.note(await client.twoFactor.verifyOtp({ code: newer }));
  },
  "too many wrong codes of the second step": async (s) => {
    const user = await mailed(s);
    const { client, code } = await half(s, user);
    for (const other of wrong(code, 5)) s.note(await client.twoFactor.verifyOtp({ code: other }));
    s.note(await client.twoFactor.verifyOtp({ code }));
  },
  "a new code of the second step after too many wrong ones": async (s) => {
    const user = await mailed(s);
    const { client, code } = await half(s, user);
    for (const other of wrong(code, 6)) s.note(await client.twoFactor.verifyOtp({ code: other }));
    s.note(await client.twoFactor.sendOtp());
  },
  "a new sign-in after too many codes of the second step": async (s) => {
    const user = await mailed(s);
    const { client, code } = await half(s, user);
    for (const other of wrong(code, 6)) s.note(await client.twoFactor.verifyOtp({ code: other }));
    const again = await half(s, user);
    s.note(await again.client.twoFactor.verifyOtp({ code: again.code }));
  },
  "a code of the second step and a remembered device": async (s) => {
    const user = await mailed(s);
    const { client, code } = await half(s, user);
    s.note(await client.twoFactor.verifyOtp({ code, trustDevice: true }));
    s.note(await client.signOut());
    s.note(await client.signIn.email({ email: user.email, password: PASSWORD }));
  },
  "a code of the second step and rememberMe": async (s) => {
    const user = await mailed(s);
    const { client, code } = await half(s, user, { rememberMe: false });
    s.note(await client.twoFactor.verifyOtp({ code }));
    s.note(await client.getSession());
  },
  "a code of the second step that is a number": async (s) => {
    const user = await mailed(s);
    const { client } = await half(s, user);
    s.note(await client.twoFactor.verifyOtp({ code: 123456 }));
  },
  "a code of the second step and one of a sign-in": async (s) => {
    const user = await mailed(s);
    const agent = await half(s, user);
    const otp = await asked(s, agent, user.email);
    if (otp !== agent.code) s.note(await agent.client.twoFactor.verifyOtp({ code: otp }));
    if (otp !== agent.code) s.note(await s.agent().client.signIn.emailOtp({ email: user.email, otp: agent.code }));
  },
  "a code of the second step without a sign-in": async (s) => {
    const { client } = s.agent();
    s.note(await client.twoFactor.sendOtp());
    s.note(await client.twoFactor.verifyOtp({ code: "000000" }));
  },
  "a code of the second step where none is asked for": async (s) => {
    const { client } = await verified(s);
    s.note(await client.twoFactor.verifyOtp({ code: "000000" }));
  },
  "a code of the second step of an unverified user": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.twoFactor.verifyOtp({ code: "000000" }));
  },
  "a second factor by mail turned on without a password": async (s) => {
    const user = await verified(s);
    s.note(await user.client.twoFactor.sendOtp());
    s.note(await user.client.getSession());
  },
  "a code of the second step in a session": async (s) => {
    const user = await mailed(s);
    s.note(await user.client.twoFactor.sendOtp());
    const code = await s.code(user.email);
    s.note(await user.client.twoFactor.verifyOtp({ code: wrong(code)[0] }));
    s.note(await user.client.twoFactor.verifyOtp({ code }));
    s.note(await user.client.getSession());
  },
  "a second factor by mail turned off": async (s) => {
    const user = await mailed(s);
    s.note(await user.client.twoFactor.disable({ password: NEW }));
    s.note(await user.client.twoFactor.disable({ password: PASSWORD }));
    s.note(await user.client.getSession());
  },
  "a second factor by mail turned off with a code": async (s) => {
    const user = await mailed(s);
    s.note(await user.client.twoFactor.sendOtp());
    s.note(await user.client.twoFactor.verifyOtp({ code: await s.code(user.email) }));
    s.note(await user.client.twoFactor.disable({ password: PASSWORD }));
    s.note(await user.client.getSession());
  },
  "calls of an app where the factor is mail": async (s) => {
    const user = await mailed(s);
    s.note(await user.client.twoFactor.verifyTotp({ code: "000000" }));
    s.note(await user.client.twoFactor.getTotpUri({ password: PASSWORD }));
    s.note(await user.client.twoFactor.verifyBackupCode({ code: "aaaaa-aaaaa" }));
    s.note(await user.client.twoFactor.generateBackupCodes({ password: PASSWORD }));
  },
};

export const mailSignIn = { ...codes, ...checks, ...mailboxes, ...passwords, ...addresses, ...links, ...secondSteps };

/** Where only users who have an account sign in. */
export const mailClosed = {
  "a code for a new user where sign-up is closed": async (s) => {
    const { client } = s.agent();
    s.note(await client.emailOtp.sendVerificationOtp({ email: s.email("ana"), type: "sign-in" }));
    s.note(await client.signIn.emailOtp({ email: s.email("ana"), otp: "000000" }));
  },
  "a link for a new user where sign-up is closed": async (s) => s.note(await s.agent().client.signIn.magicLink({ email: s.email("ana") })),
  "a code for a known user where sign-up is closed": async (s) => {
    await s.make(s.email("ana"), PASSWORD);
    const { client } = await byCode(s);
    s.note(await client.getSession());
  },
  "a link for a known user where sign-up is closed": async (s) => {
    await s.make(s.email("ana"), PASSWORD);
    const agent = s.agent();
    await byLink(s, agent, s.email("ana"));
    s.note(await agent.client.getSession());
  },
};

/** With the cookie cache on: what a code or a link has changed is seen at once. */
export const mailCached = {
  "a sign-in by code, cached": async (s) => {
    const { client } = await byCode(s);
    s.note(await client.getSession());
  },
  "a sign-in by link, cached": async (s) => {
    const agent = s.agent();
    await byLink(s, agent, s.email("ana"));
    s.note(await agent.client.getSession());
  },
  "a link that is opened, cached": async (s) => {
    const agent = s.agent();
    await s.open(agent, await linked(s, agent, s.email("ana"), { callbackURL: "/dash" }));
    s.note(await agent.client.getSession());
  },
  "a mailbox verified by code, cached": async (s) => {
    const user = await signedUp(s);
    const otp = await asked(s, user, user.email, "email-verification");
    s.note(await user.client.getSession());
    s.note(await user.client.emailOtp.verifyEmail({ email: user.email, otp }));
    const { data } = await user.client.getSession();
    s.note({ data: data.user.emailVerified || null });
  },
  "a new email address by code, cached": async (s) => {
    const { client, to, code: otp } = await moving(s);
    s.note(await client.getSession());
    s.note(await client.emailOtp.changeEmail({ newEmail: to, otp }));
    const { data } = await client.getSession();
    s.note({ data: data.user.email === to || null });
  },
  "a second factor by mail, cached": async (s) => {
    const { client } = await mailed(s);
    const { data } = await client.getSession();
    s.note({ data: data.user.twoFactorEnabled || null });
  },
};
