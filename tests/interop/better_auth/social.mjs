// The scenarios of sign-in with other providers, one a claim. `acme`, `loose`, `asking`, `shut` and `keeping` are one OpenID provider (`upstream/issuer.mjs`) under
// five sets of rules, `github` is `upstream/github.mjs`. The browser's way through the provider is not recorded: it is the same for both servers.
import { createHash, randomBytes } from "node:crypto";
import { PASSWORD, admin, signedUp } from "./scenarios.mjs";
import { enrolled } from "./two_factor.mjs";

const EVIL = ["https://evil.example/x", "//evil.example", "/\\evil.example", "javascript:alert(1)"];
const post = ({ client }, path, body) => client.$fetch(path, { method: "POST", body });
const get = ({ client }, path, query) => client.$fetch(path, { method: "GET", query });

/** A person at the provider: what `login_hint` says. The subject belongs to the scenario and the side. */
const person = (s, name, { email = s.email(name), verified = true, shown = "Eve Example" } = {}) => [`${name}@${s.name}`.replaceAll(/[^\w@-]/g, "_"), email, verified, shown].join("|");

/** A person at GitHub; the id is a number that is the same for the same name. */
function hubber(s, name, { verified = true, shown = "", secondary = "", organisations = "" } = {}) {
  const id = createHash("sha256").update(`${s.name} ${name}`).digest().readUInt32BE();
  return [id, name, s.email(name), verified, "Eve Example", shown, secondary, organisations].join("|");
}

/** Follows the provider's redirects, as a browser with nothing of the provider's, up to the redirect back. */
async function through(url) {
  const jar = new Map();
  for (let at = url, hops = 0; hops < 8; hops += 1) {
    const answer = await fetch(at, { redirect: "manual", headers: { cookie: [...jar].map(([k, v]) => `${k}=${v}`).join("; ") } });
    for (const line of answer.headers.getSetCookie()) jar.set(...line.split(";", 1)[0].split(/=(.*)/s, 2));
    if (!answer.headers.has("location")) return { form: await answer.text() };
    const next = new URL(answer.headers.get("location"), at);
    if (next.pathname.includes("/callback/") || next.pathname === "/native") return next;
    at = next.href;
  }
  throw new Error(`lost on the way through ${url}`);
}

/** Begins a sign-in. */
async function begin(s, agent, who, over = {}) {
  const answer = await agent.client.signIn.social({ provider: "acme", callbackURL: "/welcome", loginHint: who, ...over });
  s.note(answer);
  return answer.data?.url;
}

/** Comes back from the provider. */
const back = ({ recorder }, url) => recorder.navigate(url);

/** The whole way: out, through and back. */
async function enter(s, agent, who, over = {}) {
  await back(agent, await through(await begin(s, agent, who, over)));
  return agent;
}

/** Connects a provider to the account that is signed in. */
async function link(s, agent, who, over = {}) {
  const answer = await agent.client.linkSocial({ provider: "acme", callbackURL: "/account", loginHint: who, ...over });
  s.note(answer);
  return answer.data?.url && back(agent, await through(answer.data.url));
}

const rows = async ({ client }) => (await client.listAccounts()).data ?? [];
const row = async (agent, provider) => (await rows(agent)).find((account) => account.providerId === provider)?.id;

/** A user whose mailbox is verified, signed in. */
async function verified(s, name = "ana") {
  const email = s.email(name);
  await s.make(email, PASSWORD);
  const agent = s.agent();
  await agent.client.signIn.email({ email, password: PASSWORD });
  return { ...agent, email };
}

/** An ID token that the provider made for a native app of ours. */
async function idToken(s, who, nonce, client = "phone") {
  const verifier = randomBytes(32).toString("base64url");
  const ask = new URL(`${s.upstream.acme}/auth`);
  const challenge = createHash("sha256").update(verifier).digest("base64url");
  ask.search = new URLSearchParams({ client_id: client, response_type: "code", scope: "openid email profile", redirect_uri: "http://127.0.0.1:9/native", code_challenge: challenge, code_challenge_method: "S256", login_hint: who, ...(nonce && { nonce }) });
  const code = (await through(ask.href)).searchParams.get("code");
  const form = new URLSearchParams({ grant_type: "authorization_code", client_id: client, code, redirect_uri: "http://127.0.0.1:9/native", code_verifier: verifier });
  return (await (await fetch(`${s.upstream.acme}/token`, { method: "POST", body: form })).json()).id_token;
}

const native = async (s, agent, token, over = {}) => s.note(await agent.client.signIn.social({ provider: "acme", ...over, idToken: { token, ...over.idToken } }));

/** A way back that is bent: `bend` gets the right one, and `over` begins it. */
const bent = (bend, over = {}) => async (s) => {
  const agent = s.agent();
  const url = await through(await begin(s, agent, person(s, "eve"), { errorCallbackURL: "/sorry", ...over }));
  await back(agent, bend(url, s));
  s.note(await agent.client.getSession());
};
const set = (changes) => (url) => {
  const bentUrl = new URL(url);
  for (const [name, value] of Object.entries(changes)) value === null ? bentUrl.searchParams.delete(name) : bentUrl.searchParams.set(name, value);
  return bentUrl;
};

/** A begin whose one URL leads elsewhere. */
const elsewhere = (field) => async (s) => {
  for (const url of EVIL) s.note(await s.agent().client.signIn.social({ provider: "acme", [field]: url, disableRedirect: true }));
};

const beginning = {
  "a sign-in with another provider": async (s) => void (await begin(s, s.agent(), person(s, "eve"), { newUserCallbackURL: "/hello", errorCallbackURL: "/sorry" })),
  "a sign-in with another provider, and nothing said": async (s) => s.note(await s.agent().client.signIn.social({ provider: "acme" })),
  "a sign-in with another provider, without a redirect": async (s) => void (await begin(s, s.agent(), person(s, "eve"), { disableRedirect: true })),
  "a sign-in with GitHub begun": async (s) => s.note(await s.agent().client.signIn.social({ provider: "github", callbackURL: "/welcome" })),
  "a sign-in with more scopes": async (s) => void (await begin(s, s.agent(), person(s, "eve"), { scopes: ["offline_access"] })),
  "a sign-in with parameters of its own": async (s) => void (await begin(s, s.agent(), person(s, "eve"), { additionalParams: { ui_locales: "de" } })),
  "a sign-in with parameters that are ours": async (s) => {
    for (const name of ["state", "client_id", "redirect_uri", "scope", "nonce", "code_challenge"]) s.note(await s.agent().client.signIn.social({ provider: "acme", additionalParams: { [name]: "mine" } }));
  },
  "a sign-in with data of its own": async (s) => void (await begin(s, s.agent(), person(s, "eve"), { additionalData: { plan: "pro" } })),
  "a provider that is not there": async (s) => {
    for (const provider of ["nowhere", "credential", ""]) s.note(await s.agent().client.signIn.social({ provider }));
    s.note(await post(s.agent(), "/sign-in/social", {}));
    s.note(await post(s.agent(), "/sign-in/social", { provider: 5 }));
  },
  "a redirect target that is not trusted": elsewhere("callbackURL"),
  "a redirect target of new users that is not trusted": elsewhere("newUserCallbackURL"),
  "a redirect target of failures that is not trusted": elsewhere("errorCallbackURL"),
  "a sign-in with another provider, from an origin that is not trusted": async (s) => s.raw("POST", "/sign-in/social", JSON.stringify({ provider: "acme" }), { origin: "https://evil.example" }),
};

const comingBack = {
  "a new user by a provider": async (s) => {
    const agent = await enter(s, s.agent(), person(s, "eve"));
    s.note(await agent.client.getSession());
    s.note(await agent.client.listAccounts());
  },
  "a new user by a provider, to a page of its own": async (s) => void (await enter(s, s.agent(), person(s, "eve"), { newUserCallbackURL: "/hello" })),
  "a known user by a provider": async (s) => {
    await enter(s, s.agent(), person(s, "eve"));
    const agent = await enter(s, s.agent(), person(s, "eve"), { newUserCallbackURL: "/hello" });
    s.note(await agent.client.getSession());
    s.note(await agent.client.listAccounts());
  },
  "a known user with another email address there": async (s) => {
    await enter(s, s.agent(), person(s, "eve"));
    const agent = await enter(s, s.agent(), person(s, "eve", { email: s.email("another"), shown: "Another Name" }));
    s.note(await agent.client.getSession());
  },
  "a new user by GitHub": async (s) => {
    const agent = s.agent();
    await enter(s, agent, hubber(s, "octo"), { provider: "github" });
    s.note(await agent.client.getSession());
    s.note(await agent.client.listAccounts());
  },
  "a new user by GitHub with another public address": async (s) => {
    const agent = s.agent();
    await enter(s, agent, hubber(s, "octo", { shown: s.email("victim") }), { provider: "github" });
    s.note(await agent.client.getSession());
  },
  "a new user by GitHub with an unverified address": async (s) => {
    const agent = s.agent();
    await enter(s, agent, hubber(s, "octo", { verified: false, secondary: s.email("second") }), { provider: "github" });
    s.note(await agent.client.getSession());
  },
  "a new user whose provider did not verify the email address": async (s) => {
    const agent = await enter(s, s.agent(), person(s, "eve", { verified: false }));
    s.note(await agent.client.getSession());
  },
  "a new user without an email address": async (s) => {
    await enter(s, s.agent(), person(s, "eve", { email: "" }), { errorCallbackURL: "/sorry" });
    await enter(s, s.agent(), person(s, "eve", { email: "" }));
  },
  "a sign-in that the person cancels": async (s) => {
    await enter(s, s.agent(), "cancel", { errorCallbackURL: "/sorry" });
    await enter(s, s.agent(), "cancel", { errorCallbackURL: "/sorry?from=here#there" });
    await enter(s, s.agent(), "cancel");
  },
  "a verified user whom the provider verified too": async (s) => {
    await verified(s);
    const agent = await enter(s, s.agent(), person(s, "ana"));
    s.note(await agent.client.getSession());
    s.note(await agent.client.listAccounts());
  },
  "a verified user whom the provider did not verify": async (s) => {
    const { client } = await verified(s);
    await enter(s, s.agent(), person(s, "ana", { verified: false }), { errorCallbackURL: "/sorry" });
    s.note(await client.listAccounts());
  },
  "a provider that is not responsible for the domain": async (s) => {
    const { client } = await verified(s);
    await enter(s, s.agent(), person(s, "ana"), { provider: "loose", errorCallbackURL: "/sorry" });
    s.note(await client.listAccounts());
  },
  "an unverified user whom the provider verified": async (s) => {
    const squatter = await signedUp(s);
    const owner = await enter(s, s.agent(), person(s, "ana"), { errorCallbackURL: "/sorry" });
    s.note(await owner.client.getSession());
    s.note(await squatter.client.getSession());
  },
  "an unverified user whom the provider did not verify": async (s) => {
    const { client } = await signedUp(s);
    const stranger = await enter(s, s.agent(), person(s, "ana", { verified: false }), { errorCallbackURL: "/sorry" });
    s.note(await stranger.client.getSession());
    s.note(await client.getSession());
  },
  "a banned user by a provider": async (s) => {
    const root = await admin(s);
    const eve = await enter(s, s.agent(), person(s, "eve"));
    const { data } = await eve.client.getSession();
    s.note(await root.client.admin.banUser({ userId: data.user.id, banReason: "spam" }));
    const again = await enter(s, s.agent(), person(s, "eve"), { errorCallbackURL: "/sorry" });
    s.note(await again.client.getSession());
  },
  "a second factor after the provider": async (s) => {
    const user = await enrolled(s, await verified(s));
    const agent = await enter(s, s.agent(), person(s, "ana"));
    s.note(await agent.client.getSession());
    await agent.recorder.unrecorded(async () => s.note({ data: (await agent.client.twoFactor.verifyTotp({ code: await user.app.next() })).data ? true : null }));
  },
  "a sign-up that has to be asked for": async (s) => {
    await enter(s, s.agent(), person(s, "eve"), { provider: "asking", errorCallbackURL: "/sorry" });
    await enter(s, s.agent(), person(s, "eve"), { provider: "asking", requestSignUp: true });
    await enter(s, s.agent(), person(s, "eve"), { provider: "asking" });
  },
  "a sign-up that a provider must not make": async (s) => {
    await enter(s, s.agent(), person(s, "eve"), { provider: "shut", errorCallbackURL: "/sorry" });
    await enter(s, s.agent(), person(s, "eve"), { provider: "shut", requestSignUp: true, errorCallbackURL: "/sorry" });
  },
  "two tabs at once": async (s) => {
    const agent = s.agent();
    const [first, second] = [await begin(s, agent, person(s, "eve"), { callbackURL: "/first" }), await begin(s, agent, person(s, "eve"), { callbackURL: "/second" })];
    await back(agent, await through(second));
    await back(agent, await through(first));
    s.note(await agent.client.getSession());
  },
};

const bending = {
  "a way back without a state": bent(set({ state: null })),
  "a way back with another state": bent(set({ state: "A".repeat(32) })),
  "a way back without a code": bent(set({ code: null })),
  "a way back with another code": bent(set({ code: "B".repeat(43) })),
  "a way back of another issuer": bent(set({ iss: "https://evil.example" })),
  "a way back with an error of its own": bent(set({ error: "<script>alert(1)</script>", error_description: "call 555-0100 now", code: null })),
  "a way back with a registered error": async (s) => {
    for (const error of ["login_required", "consent_required", "interaction_required", "temporarily_unavailable", "server_error", "invalid_scope"]) await bent(set({ error, error_description: "a text", code: null }))(s);
  },
  "a way back with an error, and no page for it": bent(set({ error: "access_denied", error_description: "a text", code: null }), { errorCallbackURL: undefined }),
  "a way back to another provider": bent((url) => new URL(url.href.replace("/callback/acme", "/callback/loose"))),
  "a way back to a provider that is not there": bent((url) => new URL(url.href.replace("/callback/acme", "/callback/nowhere"))),
  "a way back in another browser": async (s) => {
    const url = await through(await begin(s, s.agent(), person(s, "eve"), { errorCallbackURL: "/sorry" }));
    const other = s.agent();
    await back(other, url);
    s.note(await other.client.getSession());
  },
  "a way back taken twice": async (s) => {
    const agent = s.agent();
    const url = await through(await begin(s, agent, person(s, "eve"), { errorCallbackURL: "/sorry" }));
    await back(agent, url);
    await back(agent, url);
  },
  "a way back out of nowhere": async (s) => {
    const agent = s.agent();
    for (const query of ["", "?code=x", "?error=access_denied", "?state=x&code=y"]) await back(agent, new URL(`${s.base}/api/auth/callback/acme${query}`));
  },
  "a way back as a form": async (s) => {
    const agent = s.agent();
    const url = await through(await begin(s, agent, person(s, "eve")));
    const { origin, pathname, searchParams } = url;
    agent.recorder.origin = s.base;
    const answer = await agent.recorder.navigate(new URL(pathname, origin), { method: "POST", body: searchParams.toString(), headers: { "content-type": "application/x-www-form-urlencoded" } });
    const next = answer.headers.get("location");
    await agent.recorder.unrecorded(async () => void (next?.includes("/callback/") && (await back(agent, new URL(next, origin)))));
    s.note(await agent.client.getSession());
  },
};

const accounts = {
  "the accounts of a user with a password": async (s) => s.note(await (await signedUp(s)).client.listAccounts()),
  "the accounts without a session": async (s) => s.note(await s.agent().client.listAccounts()),
  "a provider connected": async (s) => {
    const ana = await verified(s);
    await link(s, ana, person(s, "ana"));
    s.note(await ana.client.listAccounts());
    const again = await enter(s, s.agent(), person(s, "ana"));
    s.note(await again.client.getSession());
  },
  "a provider connected without a redirect": async (s) => {
    const ana = await verified(s);
    s.note(await ana.client.linkSocial({ provider: "acme", callbackURL: "/account", disableRedirect: true }));
  },
  "a provider connected with another email address": async (s) => {
    const ana = await verified(s);
    await link(s, ana, person(s, "eve"), { errorCallbackURL: "/sorry" });
    s.note(await ana.client.listAccounts());
  },
  "a provider connected that did not verify": async (s) => {
    const ana = await verified(s);
    await link(s, ana, person(s, "ana", { verified: false }), { errorCallbackURL: "/sorry" });
    s.note(await ana.client.listAccounts());
  },
  "a provider connected twice": async (s) => {
    const ana = await verified(s);
    for (let times = 0; times < 2; times += 1) await link(s, ana, person(s, "ana"));
    s.note(await ana.client.listAccounts());
  },
  "a provider connected whose user is another": async (s) => {
    await enter(s, s.agent(), person(s, "eve"));
    const ana = await verified(s);
    // The same subject, and by now the email address of this user.
    await link(s, ana, person(s, "eve", { email: ana.email }), { errorCallbackURL: "/sorry" });
    s.note(await ana.client.listAccounts());
  },
  "a provider connected after signing out": async (s) => {
    const ana = await verified(s);
    const { data } = await ana.client.linkSocial({ provider: "acme", callbackURL: "/account", errorCallbackURL: "/sorry", loginHint: person(s, "ana") });
    const url = await through(data.url);
    await ana.client.signOut();
    await back(ana, url);
    s.note(await ana.client.getSession());
  },
  "a provider connected, and cancelled": async (s) => void (await link(s, await verified(s), "cancel", { errorCallbackURL: "/sorry" })),
  "a provider that is not there connected": async (s) => s.note(await (await verified(s)).client.linkSocial({ provider: "nowhere" })),
  "a provider connected without a session": async (s) => s.note(await s.agent().client.linkSocial({ provider: "acme" })),
  "a provider connected, back to a page that is not trusted": async (s) => {
    const ana = await verified(s);
    for (const field of ["callbackURL", "errorCallbackURL"]) s.note(await ana.client.linkSocial({ provider: "acme", [field]: EVIL[0] }));
  },
  "a provider taken away": async (s) => {
    const ana = await verified(s);
    await link(s, ana, person(s, "ana"));
    s.note(await ana.client.unlinkAccount({ accountId: await row(ana, "acme") }));
    s.note(await ana.client.listAccounts());
    s.note(await ana.client.unlinkAccount({ accountId: "an-id-that-is-none" }));
  },
  "a password taken away": async (s) => {
    const ana = await verified(s);
    await link(s, ana, person(s, "ana"));
    s.note(await ana.client.unlinkAccount({ accountId: await row(ana, "credential") }));
    s.note(await ana.client.listAccounts());
    s.note(await s.agent().client.signIn.email({ email: ana.email, password: PASSWORD }));
  },
  "the last way in taken away, but for the mailbox": async (s) => {
    const eve = await enter(s, s.agent(), person(s, "eve"));
    s.note(await eve.client.unlinkAccount({ accountId: await row(eve, "acme") }));
    s.note(await eve.client.listAccounts());
  },
  "the only password taken away": async (s) => {
    const ana = await verified(s);
    s.note(await ana.client.unlinkAccount({ accountId: await row(ana, "credential") }));
  },
  "a provider of another user taken away": async (s) => {
    const eve = await enter(s, s.agent(), person(s, "eve"));
    const ana = await verified(s);
    await link(s, ana, person(s, "ana"));
    s.note(await ana.client.unlinkAccount({ accountId: await row(eve, "acme") }));
    s.note(await eve.client.listAccounts());
  },
  "a provider taken away without a session": async (s) => s.note(await s.agent().client.unlinkAccount({ accountId: "an-id-that-is-none" })),
  "a provider taken away without a name": async (s) => {
    const ana = await verified(s);
    for (const body of [{}, { accountId: 5 }, { providerId: "acme" }]) s.note(await post(ana, "/unlink-account", body));
  },
};

/** What of an answer with tokens is the same on both servers: the tokens by their kind, times by being near. */
const kind = (value) => (typeof value !== "string" ? value : /^eyJ[^.]*\.[^.]*\.[^.]*$/.test(value) ? JSON.parse(Buffer.from(value.split(".")[1], "base64url")).aud : value && "a token");
const near = (value) => value && Math.abs(new Date(value) - Date.now() - 3_600_000) < 60_000;
const shapeOf = ({ data, error }) => ({ data: data && { ...data, ...Object.fromEntries(["accessToken", "refreshToken", "idToken"].filter((name) => name in data).map((name) => [name, kind(data[name])])), ...("accessTokenExpiresAt" in data && { accessTokenExpiresAt: near(data.accessTokenExpiresAt) }), ...(data.accountId && { accountId: "the row" }) }, error });

const tokens = {
  "the tokens of a provider": async (s) => {
    const eve = await enter(s, s.agent(), person(s, "eve"), { provider: "keeping", additionalParams: { prompt: "consent" } });
    const accountId = await row(eve, "keeping");
    await eve.recorder.unrecorded(async () => {
      s.note(shapeOf(await eve.client.getAccessToken({ accountId })));
      const { data } = await eve.client.refreshToken({ accountId });
      s.note(shapeOf({ data }));
      // The newer access token is the one that is given out, and it is good at the provider.
      const { data: newer } = await eve.client.getAccessToken({ accountId });
      const said = await fetch(`${s.upstream.acme}/me`, { headers: { authorization: `Bearer ${newer.accessToken}` } });
      s.note({ data: { same: newer.accessToken === data.accessToken, owned: data.accountId === accountId, sub: (await said.json()).sub } });
      const { data: info } = await eve.client.accountInfo({ query: { accountId } });
      const { user, account } = info;
      s.note({ data: { user, account: { ...account, id: account.id === accountId }, sub: info.data.sub, email: info.data.email } });
    });
  },
  "the tokens of a provider that keeps none": async (s) => {
    const eve = await enter(s, s.agent(), person(s, "eve"));
    const accountId = await row(eve, "acme");
    s.note(await eve.client.getAccessToken({ accountId }));
    s.note(await eve.client.refreshToken({ accountId }));
    s.note(await eve.client.accountInfo({ query: { accountId } }));
  },
  "the tokens of GitHub": async (s) => {
    const octo = s.agent();
    await enter(s, octo, hubber(s, "octo"), { provider: "github" });
    const accountId = await row(octo, "github");
    s.note(await octo.client.getAccessToken({ accountId }));
    s.note(await octo.client.refreshToken({ accountId }));
    s.note(await octo.client.accountInfo({ query: { accountId } }));
  },
  "the tokens of a password": async (s) => {
    const ana = await verified(s);
    const accountId = await row(ana, "credential");
    s.note(await ana.client.getAccessToken({ accountId }));
    s.note(await ana.client.refreshToken({ accountId }));
    s.note(await ana.client.accountInfo({ query: { accountId } }));
  },
  "the tokens of an account that is none": async (s) => {
    const ana = await verified(s);
    const accountId = "an-id-that-is-none";
    s.note(await ana.client.getAccessToken({ accountId }));
    s.note(await ana.client.refreshToken({ accountId }));
    s.note(await ana.client.accountInfo({ query: { accountId } }));
  },
  "the tokens of another user": async (s) => {
    const eve = await enter(s, s.agent(), person(s, "eve"));
    const accountId = await row(eve, "acme");
    const ana = await verified(s);
    s.note(await ana.client.getAccessToken({ accountId }));
    s.note(await ana.client.refreshToken({ accountId }));
    s.note(await ana.client.accountInfo({ query: { accountId } }));
  },
  "the tokens without a session": async (s) => {
    const accountId = "an-id-that-is-none";
    s.note(await s.agent().client.getAccessToken({ accountId }));
    s.note(await s.agent().client.refreshToken({ accountId }));
    s.note(await s.agent().client.accountInfo({ query: { accountId } }));
  },
  "the tokens of no account in particular": async (s) => {
    const ana = await verified(s);
    s.note(await post(ana, "/get-access-token", {}));
    s.note(await post(ana, "/refresh-token", {}));
    s.note(await get(ana, "/account-info"));
  },
};

const nativeApps = {
  "an ID token": async (s) => {
    const agent = s.agent();
    await native(s, agent, await idToken(s, person(s, "eve"), "a nonce"), { idToken: { nonce: "a nonce" } });
    s.note(await agent.client.getSession());
    s.note(await agent.client.listAccounts());
    await native(s, s.agent(), await idToken(s, person(s, "eve")));
  },
  "an ID token with another nonce": async (s) => {
    await native(s, s.agent(), await idToken(s, person(s, "eve"), "a nonce"), { idToken: { nonce: "another nonce" } });
  },
  "an ID token whose nonce is not said": async (s) => native(s, s.agent(), await idToken(s, person(s, "eve"), "a nonce")),
  "an ID token without the nonce that is said": async (s) => native(s, s.agent(), await idToken(s, person(s, "eve")), { idToken: { nonce: "a nonce" } }),
  "an ID token used twice": async (s) => {
    const token = await idToken(s, person(s, "eve"));
    for (let times = 0; times < 2; times += 1) await native(s, s.agent(), token);
  },
  "an ID token of another app": async (s) => native(s, s.agent(), await idToken(s, person(s, "eve"), undefined, "stranger")),
  "an ID token that is none": async (s) => {
    for (const token of ["", "x", "a.b.c", `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from('{"sub":"x"}').toString("base64url")}.`]) await native(s, s.agent(), token);
  },
  "an ID token of a provider that has no such": async (s) => native(s, s.agent(), "a.b.c", { provider: "github" }),
  "an ID token of a provider that is not there": async (s) => native(s, s.agent(), "a.b.c", { provider: "nowhere" }),
  "an ID token without an email address": async (s) => native(s, s.agent(), await idToken(s, person(s, "eve", { email: "" }))),
  "an ID token of a user who may not sign up": async (s) => {
    await native(s, s.agent(), await idToken(s, person(s, "eve")), { provider: "shut" });
    await native(s, s.agent(), await idToken(s, person(s, "eve")), { provider: "asking" });
    await native(s, s.agent(), await idToken(s, person(s, "eve")), { provider: "asking", requestSignUp: true });
  },
  "an ID token of a verified user": async (s) => {
    await verified(s);
    await native(s, s.agent(), await idToken(s, person(s, "ana", { verified: false })));
    await native(s, s.agent(), await idToken(s, person(s, "ana")));
  },
  "an ID token of a banned user": async (s) => {
    const root = await admin(s);
    const eve = s.agent();
    await native(s, eve, await idToken(s, person(s, "eve")));
    const { data } = await eve.client.getSession();
    s.note(await root.client.admin.banUser({ userId: data.user.id, banReason: "spam" }));
    await native(s, s.agent(), await idToken(s, person(s, "eve")));
  },
  "an ID token of a user with a second factor": async (s) => {
    const user = await enrolled(s, await verified(s));
    const agent = s.agent();
    await native(s, agent, await idToken(s, person(s, "ana")));
    s.note(await agent.client.getSession());
    await agent.recorder.unrecorded(async () => s.note({ data: (await agent.client.twoFactor.verifyTotp({ code: await user.app.next() })).data ? true : null }));
  },
  "a provider connected by an ID token": async (s) => {
    const ana = await verified(s);
    for (const who of [person(s, "eve"), person(s, "ana", { verified: false }), person(s, "ana"), person(s, "ana")]) s.note(await ana.client.linkSocial({ provider: "acme", idToken: { token: await idToken(s, who) } }));
    s.note(await ana.client.listAccounts());
  },
  "a provider connected by an ID token whose user is another": async (s) => {
    await enter(s, s.agent(), person(s, "eve"));
    const ana = await verified(s);
    s.note(await ana.client.linkSocial({ provider: "acme", idToken: { token: await idToken(s, person(s, "eve")) } }));
  },
  "a provider connected by an ID token that is none": async (s) => {
    const ana = await verified(s);
    s.note(await ana.client.linkSocial({ provider: "acme", idToken: { token: "a.b.c" } }));
    s.note(await ana.client.linkSocial({ provider: "github", idToken: { token: "a.b.c" } }));
  },
};

export const social = { ...beginning, ...comingBack, ...bending, ...accounts, ...tokens, ...nativeApps };
