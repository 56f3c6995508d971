// The scenarios of the second factor, one a claim: enrolment, sign-in in two steps, remembered devices, backup codes and what is refused. The codes are
// computed here from the URI, as an authenticator does it, and each is used once and is of a later step than the one before: theirs accepts every code
// of its window again, ours does not.
import { createHmac } from "node:crypto";
import { PASSWORD, signedUp } from "./scenarios.mjs";

const WRONG = "another good password";
const PERIOD = 30_000;
const now = () => Math.floor(Date.now() / PERIOD);
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

function fromBase32(text) {
  const bits = [...text].map((letter) => ALPHABET.indexOf(letter).toString(2).padStart(5, "0")).join("");
  return Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
}

/** RFC 6238 with HMAC-SHA-1, six digits and steps of half a minute. */
function totp(secret, step) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac("sha1", secret).update(counter).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** What an authenticator app makes of the URI. Three codes are good at once (the step before, this one and the next), so a scenario uses no more. */
export class Authenticator {
  constructor(uri) {
    this.secret = fromBase32(new URL(uri).searchParams.get("secret"));
    this.last = 0;
  }

  /** The code of the oldest step that is good and was not used yet. */
  next = async () => {
    const left = PERIOD - (Date.now() % PERIOD);
    // The step before this one ends soon: it would have ended when a busy server looks.
    const oldest = left < 5_000 ? now() : now() - 1;
    this.last = Math.max(oldest, this.last + 1);
    while (this.last > now() + 1) await new Promise((resolve) => setTimeout(resolve, 25));
    return totp(this.secret, this.last);
  };

  /** Codes that are of no step near this one. */
  wrong = (count = 1) => {
    const good = [-2, -1, 0, 1, 2, 3].map((n) => totp(this.secret, now() + n));
    return Array.from({ length: count + good.length }, (_, n) => String(n * 1_111).padStart(6, "0")).filter((code) => !good.includes(code)).slice(0, count);
  };
}

/** A user who has begun to enrol: the URI and the codes are there, and no code was entered yet. */
async function enrolling(s, signedIn) {
  const user = signedIn ?? (await signedUp(s));
  const { data } = await user.client.twoFactor.enable({ password: PASSWORD });
  return { ...user, app: new Authenticator(data.totpURI), codes: data.backupCodes };
}

/** A user with the second factor on, signed in with the session that proved it. */
export async function enrolled(s, signedIn) {
  const user = await enrolling(s, signedIn);
  await user.client.twoFactor.verifyTotp({ code: await user.app.next() });
  return user;
}

/** The password is right, and the second step is to come. */
export async function pending(s, user, agent = s.agent(), over = {}) {
  s.note(await agent.client.signIn.email({ email: user.email, password: PASSWORD, ...over }));
  return agent;
}

/** Signs in with both steps. */
async function both(s, user, agent = s.agent(), over = {}) {
  await pending(s, user, agent);
  s.note(await agent.client.twoFactor.verifyTotp({ code: await user.app.next(), ...over }));
  return agent;
}

export const twoFactor = {
  // enrolment
  "a second factor": async (s) => {
    const { client } = await signedUp(s);
    const begun = await client.twoFactor.enable({ password: PASSWORD });
    s.note(begun);
    s.note(await client.getSession());
    const app = new Authenticator(begun.data.totpURI);
    s.note(await client.twoFactor.verifyTotp({ code: app.wrong()[0] }));
    s.note(await client.twoFactor.verifyTotp({ code: await app.next() }));
    s.note(await client.getSession());
  },
  "a second factor with a wrong password": async (s) => s.note(await (await signedUp(s)).client.twoFactor.enable({ password: WRONG })),
  "a second factor by mail where none is sent": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.twoFactor.enable({ password: PASSWORD, method: "otp" }));
    s.note(await client.getSession());
  },
  "a second factor of another issuer": async (s) => s.note(await (await signedUp(s)).client.twoFactor.enable({ password: PASSWORD, issuer: "Notes & Co" })),
  "a second factor begun twice": async (s) => {
    const first = await enrolling(s);
    const again = await first.client.twoFactor.enable({ password: PASSWORD });
    s.note(again);
    s.note(await first.client.twoFactor.verifyTotp({ code: await first.app.next() }));
    s.note(await first.client.twoFactor.verifyTotp({ code: await new Authenticator(again.data.totpURI).next() }));
  },
  "a second factor begun and not confirmed": async (s) => {
    const user = await enrolling(s);
    s.note(await user.client.signOut());
    await pending(s, user, user);
  },
  "a second factor that is there": async (s) => s.note(await (await enrolled(s)).client.twoFactor.enable({ password: PASSWORD })),
  "a code in the session that has proved the factor": async (s) => {
    const user = await enrolled(s);
    s.note(await user.client.twoFactor.verifyTotp({ code: user.app.wrong()[0] }));
    s.note(await user.client.twoFactor.verifyTotp({ code: await user.app.next() }));
    s.note(await user.client.getSession());
  },
  "a second factor set as a name is": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.updateUser({ name: "Another", twoFactorEnabled: true }));
    s.note(await client.getSession());
  },
  "a second factor ends the other sessions": async (s) => {
    const user = await signedUp(s);
    const other = s.agent();
    s.note(await other.client.signIn.email({ email: user.email, password: PASSWORD }));
    const { data } = await user.client.twoFactor.enable({ password: PASSWORD });
    s.note(await user.client.twoFactor.verifyTotp({ code: await new Authenticator(data.totpURI).next() }));
    s.note(await other.client.getSession());
    s.note(await user.client.getSession());
  },
  "the URI before it is confirmed": async (s) => {
    const { client } = await enrolling(s);
    s.note(await client.twoFactor.getTotpUri({ password: WRONG }));
    s.note(await client.twoFactor.getTotpUri({ password: PASSWORD }));
  },
  "the URI after it was confirmed": async (s) => s.note(await (await enrolled(s)).client.twoFactor.getTotpUri({ password: PASSWORD })),
  "calls of a second factor that is off": async (s) => {
    const { client } = await signedUp(s);
    s.note(await client.twoFactor.verifyTotp({ code: "000000" }));
    s.note(await client.twoFactor.verifyBackupCode({ code: "aaaaa-aaaaa" }));
    s.note(await client.twoFactor.getTotpUri({ password: PASSWORD }));
    s.note(await client.twoFactor.generateBackupCodes({ password: PASSWORD }));
  },
  "a second factor that is off turned off": async (s) => s.note(await (await signedUp(s)).client.twoFactor.disable({ password: PASSWORD })),
  "calls of a second factor without a session": async (s) => {
    const { twoFactor } = s.agent().client;
    for (const call of ["enable", "disable", "generateBackupCodes", "getTotpUri"]) s.note(await twoFactor[call]({ password: PASSWORD }));
    for (const call of ["verifyTotp", "verifyBackupCode"]) s.note(await twoFactor[call]({ code: "000000" }));
  },
  "a code that is a number": async (s) => s.note(await (await enrolling(s)).client.twoFactor.verifyTotp({ code: 123456 })),

  // sign-in in two steps
  "a sign-in in two steps": async (s) => {
    const user = await enrolled(s);
    s.note(await user.client.signOut());
    await pending(s, user, user);
    s.note(await user.client.getSession());
    s.note(await user.client.twoFactor.verifyTotp({ code: user.app.wrong()[0] }));
    s.note(await user.client.twoFactor.verifyTotp({ code: await user.app.next() }));
    s.note(await user.client.getSession());
  },
  "a sign-in in two steps over a session": async (s) => {
    const user = await enrolled(s);
    await pending(s, user, user);
    s.note(await user.client.getSession());
  },
  "a sign-in in two steps that ends with the browser": async (s) => {
    const user = await enrolled(s);
    const { client } = await pending(s, user, s.agent(), { rememberMe: false });
    s.note(await client.twoFactor.verifyTotp({ code: await user.app.next() }));
    s.note(await client.getSession());
  },
  "a sign-in in two steps with a wrong password": async (s) => {
    const { email } = await enrolled(s);
    s.note(await s.agent().client.signIn.email({ email, password: WRONG }));
  },
  "a client that is told of the second step": async (s) => {
    const user = await enrolled(s);
    const told = [];
    await pending(s, user, s.agent({ twoFactor: { onTwoFactorRedirect: (context) => void told.push(context) } }));
    s.note({ data: JSON.stringify(told) === '[{"twoFactorMethods":["totp"]}]' ? told : null });
  },
  "a code in another browser than the password": async (s) => {
    const user = await enrolled(s);
    await pending(s, user);
    s.note(await s.agent().client.twoFactor.verifyTotp({ code: await user.app.next() }));
  },
  "too many wrong codes": async (s) => {
    const user = await enrolled(s);
    const { client } = await pending(s, user);
    for (const code of user.app.wrong(6)) s.note(await client.twoFactor.verifyTotp({ code }));
    s.note(await client.twoFactor.verifyTotp({ code: await user.app.next() }));
    await both(s, user);
  },
  "wrong codes of two sign-ins and then the right one": async (s) => {
    const user = await enrolled(s);
    for (const _ of [1, 2]) {
      const { client } = await pending(s, user);
      for (const code of user.app.wrong(5)) s.note(await client.twoFactor.verifyTotp({ code }));
    }
    await both(s, user);
  },
  "a challenge used twice": async (s) => {
    const user = await enrolled(s);
    const agent = await pending(s, user);
    const held = [...agent.recorder.jar];
    s.note(await agent.client.twoFactor.verifyTotp({ code: await user.app.next() }));
    const copy = s.agent();
    for (const [name, value] of held) copy.recorder.jar.set(name, value);
    s.note(await copy.client.twoFactor.verifyTotp({ code: await user.app.next() }));
  },

  // remembered devices
  "a remembered device": async (s) => {
    const user = await enrolled(s);
    const agent = await both(s, user, s.agent(), { trustDevice: true });
    s.note(await agent.client.signOut());
    s.note(await agent.client.signIn.email({ email: user.email, password: PASSWORD }));
    s.note(await agent.client.getSession());
    await pending(s, user);
  },
  "a remembered device of another user": async (s) => {
    const user = await enrolled(s);
    const agent = await both(s, user, s.agent(), { trustDevice: true });
    const bob = await signedUp(s, "bob");
    const { data } = await bob.client.twoFactor.enable({ password: PASSWORD });
    await bob.client.twoFactor.verifyTotp({ code: await new Authenticator(data.totpURI).next() });
    s.note(await agent.client.signOut());
    await pending(s, bob, agent);
  },
  "a remembered device makes new backup codes": async (s) => {
    const user = await enrolled(s);
    const agent = await both(s, user, s.agent(), { trustDevice: true });
    s.note(await agent.client.signOut());
    s.note(await agent.client.signIn.email({ email: user.email, password: PASSWORD }));
    s.note(await agent.client.twoFactor.generateBackupCodes({ password: PASSWORD }));
  },
  "a remembered device turns the second factor off": async (s) => {
    const user = await enrolled(s);
    const agent = await both(s, user, s.agent(), { trustDevice: true });
    s.note(await agent.client.signOut());
    s.note(await agent.client.signIn.email({ email: user.email, password: PASSWORD }));
    s.note(await agent.client.twoFactor.disable({ password: PASSWORD }));
  },

  // backup codes
  "a backup code": async (s) => {
    const user = await enrolled(s);
    const { client } = await pending(s, user);
    s.note(await client.twoFactor.verifyBackupCode({ code: "aaaaa-aaaaa" }));
    s.note(await client.twoFactor.verifyBackupCode({ code: user.codes[0] }));
    s.note(await client.getSession());
  },
  "a backup code used twice": async (s) => {
    const user = await enrolled(s);
    for (const code of [user.codes[0], user.codes[0], user.codes[1]]) {
      const { client } = await pending(s, user);
      s.note(await client.twoFactor.verifyBackupCode({ code }));
    }
  },
  "a backup code and a remembered device": async (s) => {
    const user = await enrolled(s);
    const { client } = await pending(s, user);
    s.note(await client.twoFactor.verifyBackupCode({ code: user.codes[0], trustDevice: true }));
    s.note(await client.signOut());
    s.note(await client.signIn.email({ email: user.email, password: PASSWORD }));
  },
  "a backup code without the password": async (s) => {
    const user = await enrolled(s);
    s.note(await s.agent().client.twoFactor.verifyBackupCode({ code: user.codes[0] }));
  },
  "too many wrong backup codes": async (s) => {
    const user = await enrolled(s);
    const { client } = await pending(s, user);
    for (const n of [0, 1, 2, 3, 4, 5]) s.note(await client.twoFactor.verifyBackupCode({ code: `aaaaa-aaaa${n}` }));
    s.note(await client.twoFactor.verifyBackupCode({ code: user.codes[0] }));
  },
  "new backup codes": async (s) => {
    const user = await enrolled(s);
    s.note(await user.client.twoFactor.generateBackupCodes({ password: WRONG }));
    const made = await user.client.twoFactor.generateBackupCodes({ password: PASSWORD });
    s.note(made);
    const { client } = await pending(s, user);
    s.note(await client.twoFactor.verifyBackupCode({ code: user.codes[0] }));
    s.note(await client.twoFactor.verifyBackupCode({ code: made.data.backupCodes[0] }));
  },

  // off again
  "a second factor turned off": async (s) => {
    const user = await enrolled(s);
    s.note(await user.client.twoFactor.disable({ password: WRONG }));
    s.note(await user.client.twoFactor.disable({ password: PASSWORD }));
    s.note(await user.client.getSession());
    s.note(await user.client.signOut());
    s.note(await user.client.signIn.email({ email: user.email, password: PASSWORD }));
  },
  "a second factor turned off and on again": async (s) => {
    const user = await enrolled(s);
    s.note(await user.client.twoFactor.disable({ password: PASSWORD }));
    const { data } = await user.client.twoFactor.enable({ password: PASSWORD });
    s.note(await user.client.twoFactor.verifyTotp({ code: await new Authenticator(data.totpURI).next() }));
    await pending(s, user);
  },
  "a remembered device forgotten with the second factor": async (s) => {
    const user = await enrolled(s);
    const agent = await both(s, user, s.agent(), { trustDevice: true });
    s.note(await agent.client.twoFactor.disable({ password: PASSWORD }));
  },
};
