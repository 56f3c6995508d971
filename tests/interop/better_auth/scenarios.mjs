// What the npm client does, one scenario a claim. `s.agent()` is a browser with a client in it, `s.note` keeps what the client made of an answer.
import { sessionCookie } from "./allowed.mjs";

export const PASSWORD = "a good long password";

export async function signedUp(s, name = "ana") {
  const agent = s.agent();
  const email = s.email(name);
  await agent.client.signUp.email({ name, email, password: PASSWORD });
  return { ...agent, email };
}

export async function admin(s) {
  const agent = await signedUp(s, "root");
  await s.promote(agent.email);
  return agent;
}

async function target(s) {
  const bob = await signedUp(s, "bob");
  const { data } = await bob.client.getSession();
  return { ...bob, id: data.user.id };
}

const signUp = (over) => async (s) => {
  const { client } = s.agent();
  s.note(await client.signUp.email({ name: "Ana", email: s.email("ana"), password: PASSWORD, ...(typeof over === "function" ? over(s) : over) }));
};

const signIn = (over) => async (s) => {
  const { email } = await signedUp(s);
  const { client } = s.agent();
  s.note(await client.signIn.email({ email, password: PASSWORD, ...(typeof over === "function" ? over(s) : over) }));
  s.note(await client.getSession());
};

/** A call of an admin's on another user. */
const onBob = (call) => async (s) => {
  const root = await admin(s);
  const bob = await target(s);
  await call(s, root, bob);
};

export const scenarios = {
  // health and shapes
  "ok answers": async (s) => s.note(await s.agent().client.$fetch("/ok")),
  "a body that is no JSON": async (s) => s.raw("POST", "/sign-in/email", "{"),
  "a body that is an array": async (s) => s.raw("POST", "/sign-in/email", "[]"),
  "a content type that is not JSON": async (s) => s.raw("POST", "/change-password", "x", { "content-type": "text/plain" }),
  "an origin that is not trusted": async (s) => {
    const { recorder } = await signedUp(s);
    await s.raw("POST", "/sign-out", "{}", { origin: "https://evil.example" }, recorder);
  },
  "an origin that is not trusted, at sign-in": async (s) => s.raw("POST", "/sign-in/email", "{}", { origin: "https://evil.example" }),
  "no origin that could be named, beside a cookie": async (s) => {
    const { recorder } = await signedUp(s);
    await s.raw("POST", "/sign-out", "{}", { origin: "null" }, recorder);
  },

  // sign-up
  "sign-up": signUp({}),
  "sign-up with a picture": signUp({ image: "https://example.com/a.png" }),
  "sign-up with an empty name": signUp({ name: "" }),
  "sign-up in capitals": signUp((s) => ({ email: s.email("ANA").toUpperCase() })),
  "sign-up that ends with the browser": signUp({ rememberMe: false }),
  "sign-up with a known address": async (s) => {
    const { email } = await signedUp(s);
    s.note(await s.agent().client.signUp.email({ name: "x", email: email.toUpperCase(), password: PASSWORD }));
  },
  "sign-up with a bad address": signUp({ email: "unknown" }),
  "sign-up with a short password": signUp({ password: "short" }),
  "sign-up with a long password": signUp({ password: "x".repeat(129) }),
  "sign-up without a password": signUp({ password: undefined }),
  "sign-up as an admin": signUp({ role: "admin" }),
  "sign-up with banned, id and emailVerified": async (s) => {
    for (const gift of [{ banned: true }, { id: "x" }, { emailVerified: true }, { createdAt: "2020-01-01T00:00:00.000Z" }, { metadata: {} }]) {
      const email = s.email(Object.keys(gift)[0]);
      await s.raw("POST", "/sign-up/email", JSON.stringify({ name: "x", email, password: PASSWORD, ...gift }));
    }
  },
  "sign-up with a callback to elsewhere": signUp({ callbackURL: "https://evil.example/" }),

  // sign-in
  "sign-in": signIn({}),
  "sign-in in capitals": signIn((s) => ({ email: s.email("ana").toUpperCase() })),
  "sign-in that ends with the browser": signIn({ rememberMe: false }),
  "sign-in with a callback": signIn({ callbackURL: "/dash" }),
  "sign-in with a callback to elsewhere": signIn({ callbackURL: "https://evil.example/" }),
  "sign-in with a wrong password": signIn({ password: "another good password" }),
  "sign-in with a short password": signIn({ password: "x" }),
  "sign-in with a very long password": signIn({ password: "x".repeat(129) }),
  "sign-in without an account": signIn((s) => ({ email: s.email("unknown") })),
  "sign-in with no address": signIn({ email: "unknown" }),
  "sign-in with a number": signIn({ password: 12345678 }),
  "sign-in by a form": async (s) => {
    const { email } = await signedUp(s);
    const form = new URLSearchParams({ email, password: PASSWORD }).toString();
    await s.raw("POST", "/sign-in/email", form, { "content-type": "application/x-www-form-urlencoded" });
  },

  // sessions
  "a session without a cookie": async (s) => s.note(await s.agent().client.getSession()),
  "a session": async (s) => s.note(await (await signedUp(s)).client.getSession()),
  "a session by Bearer": async (s) => {
    const { recorder } = await signedUp(s);
    const token = recorder.exchanges[0].raw.token;
    s.note(await s.agent({ bearer: token }).client.getSession());
  },
  "a session by a signed Bearer": async (s) => {
    const { recorder } = await signedUp(s);
    s.note(await s.agent({ bearer: recorder.exchanges[0].headers["set-auth-token"] }).client.getSession());
  },
  "a cookie that was tampered with": async (s) => {
    const { client, recorder } = await signedUp(s);
    recorder.jar.set(sessionCookie, recorder.jar.get(sessionCookie).replace(/.{4}%3D$/, "AAAA%3D"));
    s.note(await client.getSession());
  },
  "sign-out": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.signOut());
    s.note(await client.getSession());
  },
  "sign-out without a session": async (s) => s.note(await s.agent().client.signOut()),
  "a list of sessions": async (s) => {
    const { client, email } = await signedUp(s);
    await s.agent().client.signIn.email({ email, password: PASSWORD });
    s.note(await client.listSessions());
  },
  "a list of sessions without a session": async (s) => s.note(await s.agent().client.listSessions()),
  "a session ended from another": async (s) => {
    const { client, email } = await signedUp(s);
    const other = s.agent();
    await other.client.signIn.email({ email, password: PASSWORD });
    const { data: mine } = await client.getSession();
    const { data: list } = await client.listSessions();
    const token = list.find((l) => l.id !== mine.session.id).token;
    s.note(await client.revokeSession({ token }));
    s.note(await other.client.getSession());
    s.note(await client.getSession());
  },
  "the session that asks ended": async (s) => {
    const { client } = await signedUp(s);
    const { data } = await client.getSession();
    s.note(await client.revokeSession({ token: data.session.token }));
    s.note(await client.getSession());
  },
  "an unknown session ended": async (s) => s.note(await (await signedUp(s)).client.revokeSession({ token: "unknown" })),
  "a session ended without a session": async (s) => s.note(await s.agent().client.revokeSession({ token: "unknown" })),
  "a session ended without a token": async (s) => s.note(await (await signedUp(s)).client.revokeSession({})),
  "all other sessions ended": async (s) => {
    const { client, email } = await signedUp(s);
    const other = s.agent();
    await other.client.signIn.email({ email, password: PASSWORD });
    s.note(await client.revokeOtherSessions());
    s.note(await other.client.getSession());
    s.note(await client.getSession());
  },
  "all sessions ended": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.revokeSessions());
    s.note(await client.getSession());
  },
  "fields of a session": async (s) => s.note(await (await signedUp(s)).client.updateSession({ theme: "dark" })),

  // the account
  "a password changed": async (s) => {
    const { client, email } = await signedUp(s);
    s.note(await client.changePassword({ currentPassword: PASSWORD, newPassword: "another good password" }));
    s.note(await s.agent().client.signIn.email({ email, password: "another good password" }));
  },
  "a password changed and the session moved": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.changePassword({ currentPassword: PASSWORD, newPassword: "another good password", revokeOtherSessions: true }));
    s.note(await client.getSession());
  },
  "a password changed with a wrong one": async (s) => s.note(await (await signedUp(s)).client.changePassword({ currentPassword: "x", newPassword: "another good password" })),
  "a password changed to a short one": async (s) => s.note(await (await signedUp(s)).client.changePassword({ currentPassword: PASSWORD, newPassword: "x" })),
  "a password changed without a session": async (s) => s.note(await s.agent().client.changePassword({ currentPassword: PASSWORD, newPassword: "another good password" })),
  "a name changed": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.updateUser({ name: "Another" }));
    s.note(await client.getSession());
  },
  "a picture set and taken away": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.updateUser({ image: "https://example.com/a.png" }));
    s.note(await client.updateUser({ image: null }));
    s.note(await client.getSession());
  },
  "an address changed as a name is": async (s) => s.note(await (await signedUp(s)).client.updateUser({ email: "x@example.com" })),
  "a role changed as a name is": async (s) => s.note(await (await signedUp(s)).client.updateUser({ role: "admin" })),
  "nothing changed": async (s) => s.note(await (await signedUp(s)).client.updateUser({ unknown: 1 })),
  "the password proven": async (s) => s.note(await (await signedUp(s)).client.verifyPassword({ password: PASSWORD })),
  "a wrong password proven": async (s) => s.note(await (await signedUp(s)).client.verifyPassword({ password: "another good password" })),
  "accounts": async (s) => s.note(await (await signedUp(s)).client.listAccounts()),
  "accounts without a session": async (s) => s.note(await s.agent().client.listAccounts()),

  // tokens
  "a token": async (s) => s.note(await (await signedUp(s)).client.token()),
  "a token without a session": async (s) => s.note(await s.agent().client.token()),

  // admin
  "users listed without a session": async (s) => s.note(await s.agent().client.admin.listUsers({ query: {} })),
  "users listed by a user": async (s) => s.note(await (await signedUp(s)).client.admin.listUsers({ query: {} })),
  "users searched": async (s) => {
    const root = await admin(s);
    s.note(await root.client.admin.listUsers({ query: { searchValue: s.email("root"), searchField: "email", searchOperator: "contains" } }));
    s.note(await root.client.admin.listUsers({ query: { searchValue: s.email("unknown"), limit: 5, offset: 0 } }));
  },
  "users filtered": async (s) => {
    const root = await admin(s);
    s.note(await root.client.admin.listUsers({ query: { filterField: "email", filterValue: root.email, filterOperator: "eq", limit: 10 } }));
  },
  "users searched with a bad operator": async (s) => s.note(await (await admin(s)).client.admin.listUsers({ query: { searchValue: "x", searchOperator: "like" } })),
  "a user looked at": onBob(async (s, root, bob) => s.note(await root.client.admin.getUser({ query: { id: bob.id } }))),
  "an unknown user looked at": async (s) => s.note(await (await admin(s)).client.admin.getUser({ query: { id: "unknown" } })),
  "a user made": async (s) => {
    const root = await admin(s);
    s.note(await root.client.admin.createUser({ email: s.email("new"), name: "New", password: PASSWORD, role: "user" }));
    s.note(await s.agent().client.signIn.email({ email: s.email("new"), password: PASSWORD }));
  },
  "a user made twice": async (s) => {
    const root = await admin(s);
    await root.client.admin.createUser({ email: s.email("new"), name: "New", password: PASSWORD });
    s.note(await root.client.admin.createUser({ email: s.email("new"), name: "New", password: PASSWORD }));
  },
  "a user made with a bad address": async (s) => s.note(await (await admin(s)).client.admin.createUser({ email: "unknown", name: "x", password: PASSWORD })),
  "a user made by a user": async (s) => s.note(await (await signedUp(s)).client.admin.createUser({ email: s.email("x"), name: "x", password: PASSWORD })),
  "a user changed": onBob(async (s, root, bob) => s.note(await root.client.admin.updateUser({ userId: bob.id, data: { name: "Robert" } }))),
  "a user changed to nothing": onBob(async (s, root, bob) => s.note(await root.client.admin.updateUser({ userId: bob.id, data: {} }))),
  "a user's password changed as a name is": onBob(async (s, root, bob) => s.note(await root.client.admin.updateUser({ userId: bob.id, data: { password: PASSWORD } }))),
  "an unknown user changed": async (s) => s.note(await (await admin(s)).client.admin.updateUser({ userId: "unknown", data: { name: "x" } })),
  "a role given": onBob(async (s, root, bob) => s.note(await root.client.admin.setRole({ userId: bob.id, role: "admin" }))),
  "two roles given": onBob(async (s, root, bob) => s.note(await root.client.admin.setRole({ userId: bob.id, role: ["user", "admin"] }))),
  "a role given by a user": async (s) => {
    const bob = await target(s);
    s.note(await bob.client.admin.setRole({ userId: bob.id, role: "admin" }));
  },
  "a user banned and let in again": onBob(async (s, root, bob) => {
    s.note(await root.client.admin.banUser({ userId: bob.id, banReason: "spam", banExpiresIn: 3600 }));
    s.note(await bob.client.getSession());
    s.note(await s.agent().client.signIn.email({ email: bob.email, password: PASSWORD }));
    s.note(await root.client.admin.unbanUser({ userId: bob.id }));
    s.note(await s.agent().client.signIn.email({ email: bob.email, password: PASSWORD }));
  }),
  "a user banned for ever": onBob(async (s, root, bob) => s.note(await root.client.admin.banUser({ userId: bob.id }))),
  "oneself banned": async (s) => {
    const root = await admin(s);
    const { data } = await root.client.getSession();
    s.note(await root.client.admin.banUser({ userId: data.user.id }));
  },
  "an unknown user banned": async (s) => s.note(await (await admin(s)).client.admin.banUser({ userId: "unknown" })),
  "sessions of a user": onBob(async (s, root, bob) => s.note(await root.client.admin.listUserSessions({ userId: bob.id }))),
  "sessions of an unknown user": async (s) => s.note(await (await admin(s)).client.admin.listUserSessions({ userId: "unknown" })),
  "a session of a user ended": onBob(async (s, root, bob) => {
    const { data } = await root.client.admin.listUserSessions({ userId: bob.id });
    s.note(await root.client.admin.revokeUserSession({ sessionToken: data.sessions[0].token }));
    s.note(await bob.client.getSession());
  }),
  "an unknown session of a user ended": async (s) => s.note(await (await admin(s)).client.admin.revokeUserSession({ sessionToken: "unknown" })),
  "all sessions of a user ended": onBob(async (s, root, bob) => {
    s.note(await root.client.admin.revokeUserSessions({ userId: bob.id }));
    s.note(await bob.client.getSession());
  }),
  "a password set": onBob(async (s, root, bob) => {
    s.note(await root.client.admin.setUserPassword({ userId: bob.id, newPassword: "another good password" }));
    s.note(await s.agent().client.signIn.email({ email: bob.email, password: "another good password" }));
  }),
  "a short password set": onBob(async (s, root, bob) => s.note(await root.client.admin.setUserPassword({ userId: bob.id, newPassword: "short" }))),
  "an empty password set": onBob(async (s, root, bob) => s.note(await root.client.admin.setUserPassword({ userId: bob.id, newPassword: "" }))),
  "a user removed": onBob(async (s, root, bob) => {
    s.note(await root.client.admin.removeUser({ userId: bob.id }));
    s.note(await s.agent().client.signIn.email({ email: bob.email, password: PASSWORD }));
  }),
  "oneself removed": async (s) => {
    const root = await admin(s);
    const { data } = await root.client.getSession();
    s.note(await root.client.admin.removeUser({ userId: data.user.id }));
  },
  "permissions of an admin": async (s) => s.note(await (await admin(s)).client.admin.hasPermission({ permissions: { user: ["list", "ban"], session: ["revoke"] } })),
  "permissions of a user": async (s) => s.note(await (await signedUp(s)).client.admin.hasPermission({ permissions: { user: ["list"] } })),
  "no permissions asked for": async (s) => s.note(await (await signedUp(s)).client.admin.hasPermission({})),
  "a user acted as": onBob(async (s, root, bob) => {
    s.note(await root.client.admin.impersonateUser({ userId: bob.id }));
    s.note(await root.client.getSession());
    s.note(await root.client.admin.stopImpersonating());
    s.note(await root.client.getSession());
  }),
  "an admin acted as": async (s) => {
    const root = await admin(s);
    const { data } = await root.client.getSession();
    s.note(await root.client.admin.impersonateUser({ userId: data.user.id }));
  },
  "an unknown user acted as": async (s) => s.note(await (await admin(s)).client.admin.impersonateUser({ userId: "unknown" })),
  "oneself again without having been another": async (s) => s.note(await (await signedUp(s)).client.admin.stopImpersonating()),
};

/** A user who has proven the mailbox. */
async function proven(s, name = "ana") {
  const user = await signedUp(s, name);
  await user.client.sendVerificationEmail({ email: user.email });
  await s.agree(user, await s.link(user.email));
  return user;
}

const verifyEmail = (s, agent, query) => agent.recorder.fetch(`${s.base}/api/auth/verify-email?${new URLSearchParams(query)}`);

/** A user who has forgotten the password, with the token of the link. */
async function forgetful(s) {
  const user = await signedUp(s);
  const { client, recorder } = s.agent();
  s.note(await client.requestPasswordReset({ email: user.email, redirectTo: "/reset" }));
  const link = await s.link(user.email);
  return { ...user, client, recorder, held: user.client, link, token: new URL(link).pathname.split("/").at(-1) };
}

const NEW = "another good password";

/** What goes by mail. */
export const mail = {
  "a mailbox proven": async (s) => {
    const user = await signedUp(s);
    s.note(await user.client.sendVerificationEmail({ email: user.email, callbackURL: "/done" }));
    const link = await s.link(user.email);
    await s.agree(user, link);
    s.note(await user.client.getSession());
    await s.agree(user, link);
  },
  "a mailbox proven by a visitor who is not signed in": async (s) => {
    const user = await signedUp(s);
    const other = s.agent();
    s.note(await other.client.sendVerificationEmail({ email: user.email }));
    await s.agree(other, await s.link(user.email));
    s.note(await user.client.getSession());
  },
  "a mailbox proven by nonsense": async (s) => {
    await verifyEmail(s, s.agent(), { token: "nonsense" });
    await verifyEmail(s, s.agent(), { token: "nonsense", callbackURL: "/done" });
    await verifyEmail(s, s.agent(), { token: "nonsense", callbackURL: "/done?x=1" });
  },
  "a link that leads elsewhere": async (s) => verifyEmail(s, s.agent(), { token: "nonsense", callbackURL: "https://evil.example/" }),
  "a mailbox without an account": async (s) => s.note(await s.agent().client.sendVerificationEmail({ email: s.email("unknown") })),
  "a mailbox of another user": async (s) => {
    const [user, other] = [await signedUp(s), await signedUp(s, "bob")];
    s.note(await user.client.sendVerificationEmail({ email: other.email }));
  },
  "a mailbox proven before": async (s) => {
    const user = await proven(s);
    s.note(await user.client.sendVerificationEmail({ email: user.email }));
  },
  "a mailbox that is none": async (s) => s.note(await s.agent().client.sendVerificationEmail({ email: "unknown" })),

  "a forgotten password": async (s) => {
    const { client, recorder, email, link, token } = await forgetful(s);
    await recorder.fetch(link);
    s.note(await client.resetPassword({ newPassword: NEW, token }));
    s.note(await client.signIn.email({ email, password: PASSWORD }));
    s.note(await client.signIn.email({ email, password: NEW }));
  },
  "a forgotten password ends what was signed in": async (s) => {
    const { client, held, token } = await forgetful(s);
    s.note(await client.resetPassword({ newPassword: NEW, token }));
    s.note(await held.getSession());
  },
  "a link of a forgotten password used twice": async (s) => {
    const { client, recorder, link, token } = await forgetful(s);
    s.note(await client.resetPassword({ newPassword: NEW, token }));
    s.note(await client.resetPassword({ newPassword: NEW, token }));
    await recorder.fetch(link);
  },
  "a forgotten password that becomes a short one": async (s) => {
    const { client, token } = await forgetful(s);
    s.note(await client.resetPassword({ newPassword: "short", token }));
    s.note(await client.resetPassword({ newPassword: "x".repeat(129), token }));
    s.note(await client.resetPassword({ newPassword: NEW, token }));
  },
  "a forgotten password without an account": async (s) => s.note(await s.agent().client.requestPasswordReset({ email: s.email("unknown"), redirectTo: "/reset" })),
  "a forgotten password that leads elsewhere": async (s) => s.note(await s.agent().client.requestPasswordReset({ email: s.email("unknown"), redirectTo: "https://evil.example/" })),
  "a forgotten password with no address": async (s) => s.note(await s.agent().client.requestPasswordReset({ email: "unknown" })),
  "a new password by nonsense": async (s) => {
    s.note(await s.agent().client.resetPassword({ newPassword: NEW, token: "nonsense" }));
    s.note(await s.agent().client.resetPassword({ newPassword: NEW }));
  },
  "a link of a forgotten password that is nonsense": async (s) => {
    const open = (query) => s.agent().recorder.fetch(`${s.base}/api/auth/reset-password/nonsense${query}`);
    await open("?callbackURL=%2Freset");
    await open("?callbackURL=https%3A%2F%2Fevil.example%2F");
    await open("");
  },

  "another address": async (s) => {
    const user = await signedUp(s);
    s.note(await user.client.changeEmail({ newEmail: s.email("new"), callbackURL: "/changed" }));
    await s.agree(user, await s.link(s.email("new")));
    s.note(await user.client.getSession());
    s.note(await s.agent().client.signIn.email({ email: s.email("new"), password: PASSWORD }));
    s.note(await s.agent().client.signIn.email({ email: user.email, password: PASSWORD }));
  },
  "another address, agreed to at the old one": async (s) => {
    const user = await proven(s);
    s.note(await user.client.changeEmail({ newEmail: s.email("new"), callbackURL: "/changed" }));
    await s.agree(user, await s.link(user.email));
    s.note(await user.client.getSession());
    await s.agree(user, await s.link(s.email("new")));
    s.note(await user.client.getSession());
  },
  "another address, proven by a visitor": async (s) => {
    const user = await signedUp(s);
    s.note(await user.client.changeEmail({ newEmail: s.email("new"), callbackURL: "/changed" }));
    const visitor = s.agent();
    await s.agree(visitor, await s.link(s.email("new")));
    s.note(await visitor.client.getSession());
  },
  "the same address": async (s) => {
    const user = await signedUp(s);
    s.note(await user.client.changeEmail({ newEmail: user.email.toUpperCase() }));
  },
  "another address that is taken": async (s) => {
    const [user, other] = [await signedUp(s), await signedUp(s, "bob")];
    s.note(await user.client.changeEmail({ newEmail: other.email }));
  },
  "another address that is none": async (s) => s.note(await (await signedUp(s)).client.changeEmail({ newEmail: "unknown" })),
  "another address that leads elsewhere": async (s) => s.note(await (await signedUp(s)).client.changeEmail({ newEmail: s.email("new"), callbackURL: "https://evil.example/" })),
  "another address without a session": async (s) => s.note(await s.agent().client.changeEmail({ newEmail: s.email("new") })),

  "an account not deleted with a wrong password": async (s) => s.note(await (await signedUp(s)).client.deleteUser({ password: NEW })),
  "an account deleted by its mail": async (s) => {
    const user = await signedUp(s);
    s.note(await user.client.deleteUser({ callbackURL: "/bye" }));
    await s.agree(user, await s.link(user.email));
    s.note(await user.client.getSession());
  },
  "an account deleted by the token of its mail": async (s) => {
    const user = await signedUp(s);
    s.note(await user.client.deleteUser({}));
    const token = new URL(await s.link(user.email)).searchParams.get("token");
    s.note(await user.client.deleteUser({ token }));
    s.note(await user.client.getSession());
  },
  "an account not deleted by another user's mail": async (s) => {
    const [user, other] = [await signedUp(s), await signedUp(s, "bob")];
    s.note(await user.client.deleteUser({}));
    const token = new URL(await s.link(user.email)).searchParams.get("token");
    s.note(await other.client.deleteUser({ token }));
    s.note(await user.client.getSession());
  },
  "an account not deleted by nonsense": async (s) => {
    s.note(await (await signedUp(s)).client.deleteUser({ token: "nonsense" }));
    await s.agent().recorder.fetch(`${s.base}/api/auth/delete-user/callback?token=nonsense`);
  },
  "an account deleted without a session": async (s) => s.note(await s.agent().client.deleteUser({ password: PASSWORD })),
};

/** Where who signs up proves the mailbox first. */
export const verifying = {
  "a sign-up that is to be proven": async (s) => {
    const { client, recorder, email } = await signedUp(s);
    s.note(await client.getSession());
    s.note(await client.signIn.email({ email, password: PASSWORD }));
    s.note(await client.signIn.email({ email, password: NEW }));
    await s.agree({ recorder }, await s.link(email));
    s.note(await client.signIn.email({ email, password: PASSWORD }));
  },
  "a sign-up with a known address that is not revealed": async (s) => {
    const { email } = await signedUp(s);
    s.note(await s.agent().client.signUp.email({ name: "Ana", email, password: NEW }));
    s.note(await s.agent().client.signIn.email({ email, password: NEW }));
  },
  "a link sent once more": async (s) => {
    const agent = await signedUp(s);
    const { client, email } = agent;
    await s.link(email);
    s.note(await client.sendVerificationEmail({ email, callbackURL: "/again" }));
    await s.agree(agent, await s.link(email));
    s.note(await client.signIn.email({ email, password: PASSWORD }));
  },
};

/** Where there is no way for mails. */
export const bare = {
  "a forgotten password where no mail is sent": async (s) => s.note(await s.agent().client.requestPasswordReset({ email: s.email("ana"), redirectTo: "/reset" })),
  "a mailbox to be proven where no mail is sent": async (s) => s.note(await s.agent().client.sendVerificationEmail({ email: s.email("ana") })),
  "another address where no mail is sent": async (s) => s.note(await (await signedUp(s)).client.changeEmail({ newEmail: s.email("new") })),
  "an account deleted with its password": async (s) => {
    const { client, email } = await signedUp(s);
    s.note(await client.deleteUser({ password: NEW }));
    s.note(await client.deleteUser({ password: PASSWORD }));
    s.note(await client.getSession());
    s.note(await s.agent().client.signIn.email({ email, password: PASSWORD }));
  },
  "an account deleted by a fresh session": async (s) => {
    const { client, email } = await signedUp(s);
    s.note(await client.deleteUser({}));
    s.note(await client.getSession());
    s.note(await s.agent().client.signIn.email({ email, password: PASSWORD }));
  },
};

/** A server with sign-up turned off. */
export const closed = {
  "sign-up where it is closed": async (s) => s.note(await s.agent().client.signUp.email({ name: "Ana", email: s.email("ana"), password: PASSWORD })),
};

/** With the cookie cache on. */
export const cached = {
  "a session, cached": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.getSession());
    s.note(await client.getSession({ query: { disableCookieCache: true } }));
    s.note(await client.getSession());
  },
  "a session, cached and changed": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.updateUser({ name: "Another" }));
    const { data } = await client.getSession();
    s.note({ data: data.user.name });
  },
  "a session, cached and ended": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.signOut());
    s.note(await client.getSession());
  },
};

/** A user without rights calls everything that admins call. */
const forbidden = Object.fromEntries(
  Object.entries({
    getUser: (id) => ({ query: { id } }),
    updateUser: (id) => ({ userId: id, data: { name: "x" } }),
    banUser: (id) => ({ userId: id }),
    unbanUser: (id) => ({ userId: id }),
    removeUser: (id) => ({ userId: id }),
    setUserPassword: (id) => ({ userId: id, newPassword: NEW }),
    impersonateUser: (id) => ({ userId: id }),
    listUserSessions: (id) => ({ userId: id }),
    revokeUserSession: () => ({ sessionToken: "unknown" }),
    revokeUserSessions: (id) => ({ userId: id }),
  }).map(([call, form]) => [
    `${call} by a user`,
    async (s) => {
      const [ana, bob] = [await signedUp(s), await target(s)];
      s.note(await ana.client.admin[call](form(bob.id)));
    },
  ]),
);

const ofUnknown = Object.fromEntries(
  Object.entries({ setRole: { role: "user" }, unbanUser: {}, removeUser: {}, setUserPassword: { newPassword: NEW } }).map(([call, form]) => [
    `${call} of an unknown user`,
    async (s) => s.note(await (await admin(s)).client.admin[call]({ userId: "unknown", ...form })),
  ]),
);

/** What is refused, call by call. */
export const refusals = {
  ...forbidden,
  ...ofUnknown,
  "the keys": async (s) => s.note(await s.agent().client.jwks()),
  "the session by POST": async (s) => s.raw("POST", "/get-session", "{}"),
  "an address given twice by an admin": onBob(async (s, root, bob) => s.note(await root.client.admin.updateUser({ userId: bob.id, data: { email: root.email } }))),
  "an id changed by an admin": onBob(async (s, root, bob) => s.note(await root.client.admin.updateUser({ userId: bob.id, data: { name: "Robert", id: "x" } }))),
  "oneself banned as a name is changed": async (s) => {
    const root = await admin(s);
    const { data } = await root.client.getSession();
    s.note(await root.client.admin.updateUser({ userId: data.user.id, data: { banned: true } }));
  },
  "a long password, in every place": onBob(async (s, root, bob) => {
    const long = "x".repeat(129);
    s.note(await bob.client.changePassword({ currentPassword: PASSWORD, newPassword: long }));
    s.note(await root.client.admin.setUserPassword({ userId: bob.id, newPassword: long }));
    s.note(await bob.client.verifyPassword({ password: NEW }));
  }),
  "a number for a user's id": async (s) => s.note(await (await admin(s)).client.admin.banUser({ userId: 5 })),
  "a password changed by who has none": async (s) => {
    const root = await admin(s);
    const { data } = await root.client.admin.createUser({ email: s.email("new"), name: "New" });
    await root.client.admin.impersonateUser({ userId: data.user.id });
    s.note(await root.client.changePassword({ currentPassword: PASSWORD, newPassword: NEW }));
    s.note(await root.client.verifyPassword({ password: PASSWORD }));
    s.note(await root.client.listAccounts());
  },
  "an account deleted with its password where mails are sent": async (s) => s.note(await (await signedUp(s)).client.deleteUser({ password: PASSWORD })),
  "a sign-out that leads elsewhere": async (s) => {
    const { recorder } = await signedUp(s);
    for (const name of ["callbackURL", "redirectTo", "errorCallbackURL", "newUserCallbackURL"]) {
      await s.raw("POST", "/sign-out", JSON.stringify({ [name]: "https://evil.example/" }), {}, recorder);
    }
  },
  "an update and a deletion without a body": async (s) => {
    const { recorder } = await signedUp(s);
    for (const path of ["/update-user", "/delete-user"]) await recorder.fetch(`${s.base}/api/auth${path}`, { method: "POST" });
  },
  "a link of a forgotten password to a page with a fragment": async (s) => {
    const user = await signedUp(s);
    const { client, recorder } = s.agent();
    s.note(await client.requestPasswordReset({ email: user.email, redirectTo: "/app?x=1#/reset" }));
    await recorder.fetch(await s.link(user.email));
  },
};
