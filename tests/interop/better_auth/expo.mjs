// An Expo app with the defaults of `@better-auth/expo`: its storage is its cookie jar, and it drops every cookie whose name it does not expect.
// node --import ./native_modules.mjs expo.mjs BASE; prints what the app saw, as JSON.
import { expoClient } from "@better-auth/expo/client";
import { createAuthClient } from "better-auth/client";

const kept = new Map();
const secureStore = {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => void kept.set(key, value),
  getItemAsync: async (key) => kept.get(key) ?? null,
  setItemAsync: async (key, value) => void kept.set(key, value),
};
const app = () => createAuthClient({ baseURL: process.argv[2], plugins: [expoClient({ storage: secureStore })] });

const form = { name: "Ana", email: "ana-of-the-app@example.com", password: "a good long password" };
const first = app();
const signedUp = await first.signUp.email(form);
const cookie = await first.getCookie();
const session = await first.getSession();
// The system ends the app, and it starts again with the same storage.
const again = await app().getSession();
const led = await app().sendVerificationEmail({ email: form.email, callbackURL: "/dashboard" });
const changed = await app().updateUser({ name: "Ana of the app" });
const signedOut = await app().signOut();
const after = await fetch(`${process.argv[2]}/api/auth/get-session`, { headers: { cookie } });
const nothing = await app().getSession();
console.log(
  JSON.stringify({
    signedUp: signedUp.error ?? signedUp.data.user.email,
    cookies: cookie.split("; ").map((pair) => pair.split("=")[0]).sort(),
    session: session.data?.user.email ?? null,
    again: again.data?.user.email ?? null,
    led: led.error ?? led.data.status,
    changed: changed.error ?? changed.data.status,
    signedOut: signedOut.error ?? signedOut.data.success,
    after: await after.json(),
    nothing: nothing.data,
  }),
);
// The client keeps listening for the network and the foreground.
process.exit(0);
