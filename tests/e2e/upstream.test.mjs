// Sign-in with another provider in a real browser: on our own pages and from an application of another origin, through the pages of a real OpenID provider
// (npm oidc-provider), and through one that is like GitHub.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Authenticator } from "./authenticator.mjs";
import { press, signIn } from "./labels.mjs";
import { look, looked } from "./looking.mjs";
import { mailsTo, reservePorts, start, waitFor } from "./place.mjs";
import { github } from "./upstream/github.mjs";
import { CLIENT, issuer } from "./upstream/issuer.mjs";
import { PASSWORD, visitor } from "./visitor.mjs";

const PEOPLE = ["eve", "ana", "ben", "cleo", "dan", "fay", "gus", "hal", "lou", "mia"].map((name) => `${name}-at-acme|${name}@example.com|true|${name[0].toUpperCase()}${name.slice(1)}`);
const HUBBERS = ["77|octo|octo@example.com|true|Octo"];
let place, held, servers;

/** The path of a file with a secret: the arguments of a process can be read by every user. */
function secret(text) {
  const path = join(mkdtempSync(join(tmpdir(), "countersign-secret-")), "secret");
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}


before(async () => {
  held = await reservePorts(3);
  const [acme, hub, forms] = held.ports;
  const settings = async (auth) => {
    const redirects = ["acme", "github"].map((id) => `${auth}/api/auth/callback/${id}`);
    const people = [...PEOPLE, "other-at-acme|other@elsewhere.example|true|Other"];
    // `forms` is on another site than the service, and posts its answers from there.
    const posting = { redirect_uris: [`${auth}/api/auth/callback/forms`], backchannel_logout_uri: `${auth}/api/auth/upstream/forms/logout`, backchannel_logout_session_required: true };
    servers = [await issuer({ port: acme, clients: [{ redirect_uris: redirects }], people }), await github({ port: hub, people: HUBBERS }), await issuer({ port: forms, host: "127.0.0.1", clients: [posting], people })];
    const oidc = ["kind=oidc", "name=Acme", `issuer=${servers[0].base}`, `client_id=${CLIENT.client_id}`, `client_secret_file=${secret(CLIENT.client_secret)}`, "domains=example.com", "allow_private=true"];
    const other = ["name=Forms", `issuer=${servers[2].base}`, "response_mode=form_post"];
    const replaced = ["name=", "issuer="];
    const shared = oidc.filter((one) => !replaced.some((name) => one.startsWith(name)));
    return [...oidc.map((one) => `upstream.acme.${one}`), ...[...shared, ...other].map((one) => `upstream.forms.${one}`), ...[`base_url=${servers[1].base}`, "client_id=Iv1.countersign", `client_secret_file=${secret("b4dc0ffee")}`, "allow_private=true"].map((one) => `upstream.github.${one}`)];
  };
  place = await start(settings);
  // Discovery is read in the background.
  await waitFor(async () => (await fetch(`${place.auth}/api/auth/sign-in/social`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"provider": "acme"}' })).ok, "the provider");
});
after(async () => {
  await place?.stop();
  for (const server of servers ?? []) await server.stop();
  held?.release();
  looked();
});

const choose = (page, name) => page.getByRole("button", { name: `Continue as ${name}`, exact: true }).click();
const withAcme = (page) => page.getByRole("button", { name: "Continue with Acme", exact: true }).click();
function made(name) {
  const [binary, arguments_, options] = place.cli("users", "create", `${name}@example.com`, "--name", name, "--email-verified");
  execFileSync(binary, arguments_, { ...options, input: `${PASSWORD}\n` });
}
const email = (page) => page.evaluate(async (auth) => (await (await fetch(`${auth}/api/auth/get-session`, { credentials: "include" })).json())?.user.email ?? null, place.auth);

test("a sign-up, a sign-out and a sign-in with the button of the page, and without script", async () => {
  for (const [name, options] of [["Eve", {}], ["Ben", { javaScriptEnabled: false }]]) {
    const me = await visitor(place, options);
    const { page, open, at, context } = me;
    await open("/auth/sign-in");
    if (name === "Eve") await look(page, "upstream-sign-in");
    await withAcme(page);
    await choose(page, name);
    await at("/auth/account");
    await page.getByText(`${name.toLowerCase()}@example.com`).first().waitFor();
    await press(page, "Sign out");
    await page.getByText("You have signed out.").waitFor();
    await withAcme(page);
    await choose(page, name);
    await at("/auth/account");
    await context.close();
  }
});

test("where the sign-in was to lead to, it leads to", async () => {
  const { page, open, context } = await visitor(place);
  await open(`/auth/sign-in?redirect_to=${encodeURIComponent(`${place.origin}/notes?a=1`)}`);
  await page.getByRole("button", { name: "Continue with GitHub", exact: true }).click();
  await choose(page, "octo");
  await page.waitForURL(`${place.origin}/notes?a=1`);
  assert.equal(await email(page), "octo@example.com");
  await context.close();
});

test("cancelled at the provider, and begun again", async () => {
  const { page, open, at, context } = await visitor(place);
  await open("/auth/sign-in");
  await withAcme(page);
  await press(page, "Cancel");
  await at("/auth/error");
  await page.getByText("The sign-in at the other service was cancelled or refused.").waitFor();
  assert.ok(!(await page.content()).includes("the person said no"));
  await look(page, "upstream-cancelled");
  await page.getByRole("link", { name: "Go to sign-in" }).click();
  await withAcme(page);
  await choose(page, "Cleo");
  await at("/auth/account");
  await context.close();
});

test("an account is connected on its page, signs in, and is disconnected", async () => {
  made("ana");
  const me = await visitor(place);
  const { page, open, at, context } = me;
  await signIn(me, "ana");
  await at("/auth/account");
  await open("/auth/account/security");
  await page.getByRole("button", { name: "Connect Acme", exact: true }).click();
  await choose(page, "Ana");
  await page.waitForURL((url) => url.pathname === "/auth/account/security" && url.searchParams.get("done") === "connected");
  await page.getByText("The account has been connected.").first().waitFor();
  await look(page, "upstream-connected");
  await waitFor(() => mailsTo(place, "ana@example.com").length > 0, "the mail about it");
  const other = await visitor(place);
  await other.open("/auth/sign-in");
  await withAcme(other.page);
  await choose(other.page, "Ana");
  await other.at("/auth/account");
  assert.equal(await email(other.page), "ana@example.com");
  await other.context.close();
  await page.getByRole("button", { name: /^Disconnect: Acme/ }).click();
  await page.getByText("The account has been disconnected.").first().waitFor();
  await page.getByText("No account is connected yet.").waitFor();
  await context.close();
});

test("an account with another email address is connected after a question", async () => {
  made("iris");
  const me = await visitor(place);
  const { page, open, at, context } = me;
  await signIn(me, "iris");
  await at("/auth/account");
  for (const answer of ["Do not connect it", "Connect"]) {
    await open("/auth/account/security");
    await page.getByRole("button", { name: "Connect Acme", exact: true }).click();
    await choose(page, "Other");
    await at("/auth/account/connect");
    for (const address of ["other@elsewhere.example", "iris@example.com"]) await page.getByText(address).first().waitFor();
    if (answer === "Connect") {
      await look(page, "upstream-question");
      await press(page, answer);
      await page.getByText("The account has been connected.").first().waitFor();
    } else {
      await page.getByRole("link", { name: answer }).click();
      await page.getByText("No account is connected yet.").waitFor();
    }
  }
  await context.close();
});

test("an account that a provider has made is listed", async () => {
  const { page, open, at, context } = await visitor(place);
  await open("/auth/sign-in");
  await withAcme(page);
  await choose(page, "Dan");
  await at("/auth/account");
  const listed = await page.evaluate(async (auth) => (await fetch(`${auth}/api/auth/list-accounts`)).json(), place.auth);
  assert.deepEqual(listed.map((account) => [account.providerId, account.accountId]), [["acme", "dan-at-acme"]]);
  await context.close();
});

test("the npm client signs in from an application of another origin, and comes back to it", async () => {
  const context = await place.browser.newContext();
  const page = await context.newPage();
  const who = (says) => page.waitForFunction((text) => document.querySelector("#who")?.textContent.includes(text), says, { timeout: 10_000 });
  const begin = (options = {}) => page.evaluate((given) => void client.signIn.social({ provider: "acme", callbackURL: `${location.origin}/in`, newUserCallbackURL: `${location.origin}/new`, errorCallbackURL: `${location.origin}/sorry`, ...given }), options);
  await page.goto(place.origin);
  await who("signed out");
  await begin();
  await press(page, "Cancel");
  await page.waitForURL(`${place.origin}/sorry?error=access_denied`);
  await begin();
  await choose(page, "Fay");
  await page.waitForURL(`${place.origin}/new`);
  await who("Fay <fay@example.com>");
  const names = (await context.cookies()).filter((c) => c.domain === "localhost" && c.name.startsWith("better-auth.")).map((c) => c.name);
  assert.ok(!names.some((name) => name.includes(".upstream.")), `what the way out needed is gone: ${names}`);
  await page.evaluate(() => client.signOut());
  await who("signed out");
  // Signed in there by the hint, and with a posted form as the answer: the code is in no URL of ours.
  const seen = [];
  page.on("request", (request) => request.url().startsWith(`${place.auth}/api/auth/callback/`) && seen.push([request.method(), new URL(request.url()).search, request.headers().origin]));
  await begin({ provider: "forms", loginHint: "jo-at-forms|jo@example.com|true|Jo" });
  await page.waitForURL(`${place.origin}/new`);
  await who("Jo <jo@example.com>");
  const [there, here] = [servers[2].base, place.auth];
  assert.deepEqual(seen, [["POST", "", there], ["POST", "", here]], "the form of the provider, and that of the page behind it");
  await context.close();
});

const withForms = (page) => page.getByRole("button", { name: "Continue with Forms", exact: true }).click();

test("a provider of another site posts its answer, and the session of before ends", async () => {
  const context = await place.browser.newContext();
  const page = await context.newPage();
  await page.goto(place.origin);
  for (let round = 0; round < 2; round++) {
    await page.waitForFunction(() => document.querySelector("#who")?.textContent, null, { timeout: 10_000 });
    await page.evaluate((loginHint) => void client.signIn.social({ provider: "forms", callbackURL: `${location.origin}/in`, loginHint }), "kim-at-forms|kim@example.com|true|Kim");
    await page.waitForURL((url) => url.origin === place.origin && url.pathname.startsWith("/in"));
    await page.goto(place.origin);
  }
  assert.equal(await email(page), "kim@example.com");
  const listed = await page.evaluate(async (auth) => (await (await fetch(`${auth}/api/auth/list-sessions`, { credentials: "include" })).json()).length, place.auth);
  assert.equal(listed, 1, "the first session has ended");
  const names = (await context.cookies()).map((one) => one.name).filter((name) => name.includes(".upstream."));
  assert.deepEqual(names, [], "the state is gone");
  await context.close();
});

test("without script, or if it does not come, the page between has a button", async () => {
  for (const hasScript of [true, false]) {
    const { page, open, at, context } = await visitor(place, { javaScriptEnabled: hasScript });
    await context.route(/\/auth\/assets\/.*\.js/, (route) => route.abort());
    await open("/auth/sign-in");
    await withForms(page);
    await choose(page, "Lou");
    // The page of the provider has a button then, too.
    if (!hasScript) await press(page, "Continue");
    await page.getByRole("heading", { name: "Back from Forms" }).waitFor();
    assert.equal(new URL(page.url()).search, "");
    if (hasScript) await look(page, "upstream-back");
    await press(page, "Continue");
    await at("/auth/account");
    await page.getByText("lou@example.com").first().waitFor();
    await context.close();
  }
});

test("behind a posted answer a remembered device is not asked again, and the provider signs out here", async () => {
  made("mia");
  const me = await visitor(place);
  await signIn(me, "mia");
  await me.at("/auth/account");
  await me.open("/auth/account/security");
  await me.send("set-up", { current: PASSWORD });
  const phone = new Authenticator(await me.page.locator("code.key").textContent());
  await me.send("confirm", { code: await phone.code() });
  await me.at("/auth/account/security?done=two_step_on");
  const { page, open, at, context } = await visitor(place);
  await open("/auth/sign-in");
  await withForms(page);
  await choose(page, "Mia");
  await at("/auth/challenge");
  await page.locator("input[type=checkbox]").first().check();
  await page.locator("input[name=code]").first().fill(await phone.code());
  await page.locator("input[name=code]").first().press("Enter");
  await at("/auth/account");
  await press(page, "Sign out");
  await page.getByText("You have signed out.").waitFor();
  await withForms(page);
  await choose(page, "Mia");
  await at("/auth/account");
  assert.equal(await email(page), "mia@example.com");
  // The session at the provider ends there; the provider tells the service from server to server.
  await page.goto(`${servers[2].base}/session/end`);
  await press(page, "Yes, sign me out");
  await page.waitForURL((url) => url.pathname.startsWith("/session/end/success"));
  await open("/auth/account");
  await at("/auth/sign-in");
  assert.equal(await email(page), null);
  assert.equal(await email(me.page), "mia@example.com", "a session that began with a password stays");
  const [binary, arguments_, options] = place.cli("audit", "list", "--user", "mia@example.com", "--output", "json");
  assert.match(execFileSync(binary, arguments_, options).toString(), /upstream_logout/);
  await me.context.close();
  await context.close();
});

test("two tabs that begin at the same time do not disturb each other", async () => {
  const me = await visitor(place);
  const other = await me.context.newPage();
  for (const page of [me.page, other]) {
    await page.goto(`${place.auth}/auth/sign-in`);
    await withAcme(page);
    await page.getByRole("button", { name: "Continue as Gus", exact: true }).waitFor();
  }
  for (const page of [other, me.page]) {
    await choose(page, "Gus");
    await page.waitForURL((url) => url.pathname === "/auth/account");
  }
  await me.context.close();
});

test("the second factor is asked for after the provider", async () => {
  made("hal");
  const me = await visitor(place);
  const { page, open, at, send, context } = me;
  await signIn(me, "hal");
  await at("/auth/account");
  await open("/auth/account/security");
  await send("set-up", { current: PASSWORD });
  const phone = new Authenticator(await page.locator("code.key").textContent());
  await send("confirm", { code: await phone.code() });
  await at("/auth/account/security?done=two_step_on");
  const other = await visitor(place);
  await other.open("/auth/sign-in");
  await withAcme(other.page);
  await choose(other.page, "Hal");
  await other.at("/auth/challenge");
  assert.equal(await email(other.page), null, "no session yet");
  assert.deepEqual(await page.evaluate(async (auth) => (await (await fetch(`${auth}/api/auth/list-accounts`)).json()).map((account) => account.providerId), place.auth), ["credential"], "nothing is connected yet");
  await look(other.page, "upstream-second-step");
  await other.page.locator("input[name=code]").first().fill(await phone.code());
  await other.page.locator("input[name=code]").first().press("Enter");
  await other.at("/auth/account");
  assert.equal(await email(other.page), "hal@example.com");
  await context.close();
  await other.context.close();
});
