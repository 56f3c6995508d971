// An OpenID provider of a company, as tests sign in with it: npm oidc-provider with a confidential client, PKCE (required), the code flow, `iss` in its
// answers (RFC 9207), answers as a query or as a posted form, and back-channel logout (`/session/end`) for clients with `backchannel_logout_uri`.
// node issuer.mjs '{"port": 9400, "clients": [{"client_id": "…", "client_secret": "…", "redirect_uris": ["…"]}], "people": ["subject|email|verified|name"]}'
// A `login_hint` of the form `subject|email|verified|name` signs that person in without a page, and `cancel` answers `access_denied`. Without a hint there
// is a page with one button for each of `people`, and one that cancels. `userinfo: true` leaves the claims out of the ID token, so that a client has to
// ask for them.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import Provider from "oidc-provider";

/** The client that tests use. The secret is full of what a form and a header have to encode. */
export const CLIENT = { client_id: "countersign", client_secret: "a secret: 100% + more/of=it & longer" };

const people = new Map();

/** Takes a person down, and returns the subject. An empty email address is none. */
function known(text) {
  const [subject, email, verified, name] = text.split("|");
  people.set(subject, { sub: subject, ...(email && { email, email_verified: verified === "true" }), ...(name && { name }) });
  return subject;
}

const escaped = (text) => text.replaceAll(/[&<>"]/g, (sign) => `&#${sign.codePointAt(0)};`);

/** The page on which a person is chosen. */
const page = (client, choices) => `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Acme sign-in</title>
<h1>Sign in to ${escaped(client)}</h1><form method="post">${choices.map((text) => `<p><button name="person" value="${escaped(text)}">Continue as ${escaped(text.split("|")[3])}</button></p>`).join("")}
<p><button name="person" value="cancel">Cancel</button></p></form></html>`;

async function formOf(request) {
  const parts = await request.toArray();
  return new URLSearchParams(Buffer.concat(parts).toString());
}

/** A signing key that lives as long as the provider does. */
const key = () => ({ ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "RS256" });

/** Starts the provider; `stop` ends it. */
export async function issuer({ port, host = "localhost", clients = [], people: choices = [], userinfo = false }) {
  const base = `http://${host}:${port}`;
  const provider = new Provider(base, {
    clients: clients.map((client) => ({ ...(client.client_id ? {} : CLIENT), grant_types: ["authorization_code", "refresh_token"], response_types: ["code"], ...client })),
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "nickname"] },
    scopes: ["openid", "email", "profile", "offline_access"],
    // `nickname` is another one in each token: RS256 signs equal claims equally, and a token is good once.
    conformIdTokenClaims: userinfo,
    pkce: { required: () => true },
    // Its own dispatcher reaches no loopback address, where the service of the tests takes logout tokens.
    fetch: (url, { dispatcher: _, ...options }) => fetch(url, options),
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
    cookies: { keys: ["a key of the tests"] },
    findAccount: (_, id) => people.has(id) && { accountId: id, claims: () => ({ ...people.get(id), nickname: randomUUID() }) },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope([...ctx.oidc.requestParamScopes].join(" "));
      await grant.save();
      return grant;
    },
    renderError: (ctx, out) => {
      ctx.type = "json";
      ctx.body = out;
    },
    jwks: { keys: [key()] },
  });
  // A browser that has a session here is asked again who it is: it may be another person's in the next test.
  provider.use(async (ctx, next) => {
    if (ctx.path === "/auth" && !ctx.query.prompt) ctx.query = { ...ctx.query, prompt: "login" };
    await next();
  });
  const callback = provider.callback();
  const server = createServer(async (request, response) => {
    try {
      if (!request.url.startsWith("/interaction/")) return await callback(request, response);
      const { params } = await provider.interactionDetails(request, response);
      const chosen = request.method === "POST" ? (await formOf(request)).get("person") : params.login_hint;
      if (!chosen) return response.setHeader("content-type", "text/html; charset=utf-8").end(page(params.client_id, choices));
      const result = chosen === "cancel" ? { error: "access_denied", error_description: "the person said no" } : { login: { accountId: known(chosen) } };
      await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    } catch (error) {
      response.writeHead(error.statusCode ?? 500).end(String(error.error ?? error));
    }
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const stop = () => new Promise((resolve) => server.close(resolve).closeAllConnections());
  return { base, stop };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const settings = JSON.parse(process.argv[2]);
  const { base } = await issuer(settings);
  console.log(`listening on ${base}`);
}
