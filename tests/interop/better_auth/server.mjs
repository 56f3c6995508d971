// Better Auth itself, as the contract's captures were made: jwt, bearer, admin and two-factor, everything in memory.
// node server.mjs PORT [verify|bare|closed|cached]; mails are kept and given out at /mails, roles are set at /promote?email=…, which only tests may
// have. With `verify` who signs up proves the mailbox first; `bare` has no way for mails; `closed` accepts no sign-ups; `cached` has the cookie cache on.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { toNodeHandler } from "better-auth/node";
import { admin, bearer, jwt, twoFactor } from "better-auth/plugins";

const port = Number(process.argv[2]);
const db = { user: [], session: [], account: [], verification: [], jwks: [], twoFactor: [] };
const [verify, bare, closed, cached] = ["verify", "bare", "closed", "cached"].map((mode) => process.argv[3] === mode);
const mails = [];
const post = (to) => async (mail) => void mails.push({ to: to(mail), url: mail.url });
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
  session: cached ? { cookieCache: { enabled: true, maxAge: 300 } } : {},
  rateLimit: { enabled: false },
  // The second factor comes first: a plugin behind `bearer` takes the session away after `bearer` has put its token into a header.
  plugins: [twoFactor(), jwt(), bearer(), admin()],
  telemetry: { enabled: false },
});
const handler = toNodeHandler(auth);
createServer((request, response) => {
  const url = new URL(request.url, `http://localhost:${port}`);
  if (url.pathname === "/promote") {
    const user = db.user.find((u) => u.email === url.searchParams.get("email"));
    if (user) user.role = "admin";
    response.end(String(Boolean(user)));
  } else if (url.pathname === "/mails") {
    response.end(JSON.stringify(mails));
  } else {
    handler(request, response);
  }
}).listen(port, "127.0.0.1", () => console.log(`listening on ${port}`));
