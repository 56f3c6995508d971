// Better Auth itself, as the contract's captures were made: jwt, bearer, admin and two-factor, everything in memory.
// node server.mjs PORT [verify|bare|closed|cached|mail|mail_closed|mail_cached|passkeys|social [UPSTREAM]]; mails are kept and given out at /mails, roles are set at
// /promote?email=… and users are made at /make?email=…&password=…, which only tests may have. With `verify` who signs up proves the mailbox first;
// `bare` has no way for mails; `closed` accepts no sign-ups; `cached` has the cookie cache on; `mail` has sign-in by links and codes in mails, and codes
// in mails as second factor; `mail_closed` has that sign-in for users who have an account; `mail_cached` is `mail` with the cookie cache on;
// `passkeys` has passkeys; `social` has sign-in with the providers of UPSTREAM, a JSON object {acme, github} of their URLs.
import { createServer } from "node:http";
import { passkey } from "@better-auth/passkey";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { toNodeHandler } from "better-auth/node";
import { admin, bearer, emailOTP, genericOAuth, jwt, magicLink, twoFactor } from "better-auth/plugins";

const port = Number(process.argv[2]);
const db = { user: [], session: [], account: [], verification: [], jwks: [], twoFactor: [], passkey: [] };
const is = (...modes) => modes.includes(process.argv[3]);
const [verify, bare, closed, mailClosed] = [is("verify"), is("bare"), is("closed"), is("mail_closed")];
const [cached, mail] = [is("cached", "mail_cached"), is("mail", "mail_cached")];
const mails = [];
const post = (to) => async (mail) => void mails.push({ to: to(mail), url: mail.url, code: mail.otp });
// The options that Countersign has as well; the rest is as it is by default.
const byMail = () => [
  emailOTP({ sendVerificationOTP: post((m) => m.email), disableSignUp: mailClosed, changeEmail: { enabled: true, verifyCurrentEmail: true } }),
  magicLink({ sendMagicLink: post((m) => m.email), disableSignUp: mailClosed }),
];
const upstream = is("social") ? JSON.parse(process.argv[4]) : null;
// One issuer under five ids: three rules about sign-up, and one that is asked for refresh tokens. The client ids are those of the browser's way and of a native app.
const generic = (providerId, more = {}) => ({
  providerId,
  discoveryUrl: `${upstream.acme}/.well-known/openid-configuration`,
  clientId: ["countersign", "phone"],
  clientSecret: upstream.secret,
  authentication: "basic",
  scopes: ["openid", "email", "profile"],
  ...more,
});
const providers = () => [generic("acme"), generic("loose"), generic("asking", { disableImplicitSignUp: true }), generic("shut", { disableSignUp: true }), generic("keeping", { scopes: ["openid", "email", "profile", "offline_access"] })];
if (upstream) {
  // The addresses of GitHub stand in the code of the package.
  const own = globalThis.fetch;
  const moved = (url) => String(url).replace("https://github.com/", `${upstream.github}/`).replace("https://api.github.com/", `${upstream.github}/api/v3/`);
  globalThis.fetch = (input, init) => own(typeof input === "string" || input instanceof URL ? moved(input) : input, init);
}
const github = () => ({ github: { clientId: "Iv1.countersign", clientSecret: "b4dc0ffee", authorizationEndpoint: `${upstream.github}/login/oauth/authorize` } });
const auth = betterAuth({
  appName: "Countersign",
  baseURL: `http://localhost:${port}`,
  secret: "a secret of the tests that is long enough",
  database: memoryAdapter(db),
  trustedOrigins: [`http://localhost:${port}`],
  emailAndPassword: {
    enabled: true,
    disableSignUp: closed,
    requireEmailVerification: verify,
    ...(bare ? {} : { sendResetPassword: post((m) => m.user.email) }),
  },
  emailVerification: bare ? {} : { sendOnSignUp: verify, sendVerificationEmail: post((m) => m.user.email) },
  user: bare
    ? { deleteUser: { enabled: true } }
    : {
        changeEmail: { enabled: true, sendChangeEmailConfirmation: post((m) => m.user.email) },
        deleteUser: { enabled: true, sendDeleteAccountVerification: post((m) => m.user.email) },
      },
  ...(upstream ? { socialProviders: github() } : {}),
  session: cached ? { cookieCache: { enabled: true, maxAge: 300 } } : {},
  rateLimit: { enabled: false },
  // The second factor comes first: a plugin behind `bearer` takes the session away after `bearer` has put its token into a header.
  plugins: [twoFactor(mail ? { otpOptions: { sendOTP: post((m) => m.user.email) } } : undefined), ...(mail || mailClosed ? byMail() : []), ...(is("passkeys") ? [passkey()] : []), ...(upstream ? [genericOAuth({ config: providers() })] : []), jwt(), bearer(), admin()],
  telemetry: { enabled: false },
});
const handler = toNodeHandler(auth);
createServer(async (request, response) => {
  const url = new URL(request.url, `http://localhost:${port}`);
  if (url.pathname === "/promote") {
    const user = db.user.find((u) => u.email === url.searchParams.get("email"));
    if (user) user.role = "admin";
    response.end(String(Boolean(user)));
  } else if (url.pathname === "/make") {
    const { email, password } = Object.fromEntries(url.searchParams);
    await auth.api.createUser({ body: { email, password, name: "Ana", data: { emailVerified: true } } });
    response.end("true");
  } else if (url.pathname === "/mails") {
    response.end(JSON.stringify(mails));
  } else {
    handler(request, response);
  }
}).listen(port, "127.0.0.1", () => console.log(`listening on ${port}`));
