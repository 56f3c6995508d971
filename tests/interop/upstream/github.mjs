// What a client sees of GitHub, with the paths of GitHub Enterprise Server: OAuth without OpenID Connect, errors with the status 200, and email addresses
// of which the profile shows a public one.
// node github.mjs '{"port": 9401, "people": ["id|login|email|verified|name|public email|secondary email|organisations"]}'
// `login` or `login_hint` of that form signs the person in without a page (the last three parts may be left out; a secondary email address is verified,
// organisations are parted by commas), and `cancel` answers `access_denied`. Without it there is a page with a button for each of `people`.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

/** The client that tests use. */
export const CLIENT = { client_id: "Iv1.countersign", client_secret: "b4dc0ffee" };

const escaped = (text) => text.replaceAll(/[&<>"]/g, (sign) => `&#${sign.codePointAt(0)};`);
const same = (a, b) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

function person(text) {
  const [id, login, email, verified, name, shown, secondary, organisations] = text.split("|");
  return { id: Number(id), login, email, verified: verified === "true", name: name || null, shown: shown || null, secondary, organisations: (organisations ?? "").split(",").filter(Boolean) };
}

const page = (choices) => `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>GitHub of the tests</title>
<h1>Authorize</h1><form method="post">${choices.map((text) => `<p><button name="person" value="${escaped(text)}">Continue as ${escaped(text.split("|")[1])}</button></p>`).join("")}
<p><button name="person" value="cancel">Cancel</button></p></form></html>`;

/** Starts it; `stop` ends it, `base` is what `base_url` is set to. */
export async function github({ port, host = "localhost", client = CLIENT, people: choices = [] }) {
  const base = `http://${host}:${port}`;
  const [codes, tokens] = [new Map(), new Map()];
  const json = (response, status, body) => response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));

  function authorize(response, query, chosen) {
    if (query.get("client_id") !== client.client_id) return json(response, 404, { message: "Not Found" });
    if (!chosen) return response.setHeader("content-type", "text/html; charset=utf-8").end(page(choices));
    const back = new URL(query.get("redirect_uri"));
    if (query.has("state")) back.searchParams.set("state", query.get("state"));
    if (chosen === "cancel") {
      back.searchParams.set("error", "access_denied");
      back.searchParams.set("error_description", "The user has denied your application access.");
    } else {
      const code = randomBytes(10).toString("hex");
      codes.set(code, { person: person(chosen), redirect: query.get("redirect_uri"), challenge: query.get("code_challenge"), scopes: (query.get("scope") ?? "").split(/[ ,]+/).filter(Boolean) });
      back.searchParams.set("code", code);
    }
    response.writeHead(302, { location: back.href }).end();
  }

  /** GitHub says what is wrong with the status 200. */
  function exchange(request, response, form) {
    const [id, secret] = form.has("client_secret") ? [form.get("client_id"), form.get("client_secret")] : Buffer.from((request.headers.authorization ?? "").replace(/^Basic /i, ""), "base64").toString().split(":").map((part) => decodeURIComponent(part.replaceAll("+", " ")));
    const given = codes.get(form.get("code"));
    codes.delete(form.get("code"));
    const say = (body) => (/json/.test(request.headers.accept ?? "") ? json(response, 200, body) : response.writeHead(200, { "content-type": "application/x-www-form-urlencoded; charset=utf-8" }).end(new URLSearchParams(body).toString()));
    if (id !== client.client_id || !same(secret ?? "", client.client_secret)) return say({ error: "incorrect_client_credentials", error_description: "The client_id and/or client_secret passed are incorrect." });
    const proven = given && (!given.challenge || createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url") === given.challenge);
    if (!proven) return say({ error: "bad_verification_code", error_description: "The code passed is incorrect or expired." });
    if (form.has("redirect_uri") && form.get("redirect_uri") !== given.redirect) return say({ error: "redirect_uri_mismatch", error_description: "The redirect_uri MUST match the registered callback URL for this application." });
    const token = `gho_${randomBytes(18).toString("hex")}`;
    tokens.set(token, given);
    say({ access_token: token, scope: given.scopes.join(","), token_type: "bearer" });
  }

  function api(request, response, path) {
    if (!request.headers["user-agent"]) return json(response, 403, { message: "Request forbidden by administrative rules. Please make sure your request has a User-Agent header." });
    const given = tokens.get((request.headers.authorization ?? "").replace(/^(Bearer|token) /i, ""));
    if (!given) return json(response, 401, { message: "Bad credentials" });
    const { person: who, scopes } = given;
    const may = (...any) => any.some((scope) => scopes.includes(scope));
    const emails = [{ email: who.email, primary: true, verified: who.verified, visibility: who.shown === who.email ? "public" : "private" }, ...(who.secondary ? [{ email: who.secondary, primary: false, verified: true, visibility: null }] : [])];
    const organisations = who.organisations.map((login, n) => ({ login, id: n + 1 }));
    const membership = /^\/user\/memberships\/orgs(?:\/([^/]+))?$/.exec(path);
    if (path === "/user") return json(response, 200, { login: who.login, id: who.id, node_id: `U_${who.id}`, avatar_url: `${base}/avatars/u/${who.id}`, type: "User", name: who.name, email: who.shown });
    if (path === "/user/emails" && may("user", "user:email")) return json(response, 200, who.email ? emails : []);
    if (path === "/user/orgs" && may("read:org", "admin:org", "user")) return json(response, 200, organisations);
    if (membership && may("read:org", "admin:org")) {
      const all = organisations.map((organization) => ({ state: "active", role: "member", organization }));
      const one = all.find(({ organization }) => organization.login.toLowerCase() === membership[1]?.toLowerCase());
      return membership[1] ? json(response, one ? 200 : 404, one ?? { message: "Not Found" }) : json(response, 200, all);
    }
    json(response, 404, { message: "Not Found" });
  }

  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, base);
    const form = new URLSearchParams(request.method === "POST" ? Buffer.concat(await request.toArray()).toString() : "");
    if (pathname === "/login/oauth/authorize") authorize(response, searchParams, request.method === "POST" ? form.get("person") : searchParams.get("login") || searchParams.get("login_hint"));
    else if (pathname === "/login/oauth/access_token" && request.method === "POST") exchange(request, response, form);
    else if (pathname.startsWith("/api/v3/") && request.method === "GET") api(request, response, pathname.slice("/api/v3".length));
    else json(response, 404, { message: "Not Found" });
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const stop = () => new Promise((resolve) => server.close(resolve).closeAllConnections());
  return { base, stop };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { base } = await github(JSON.parse(process.argv[2]));
  console.log(`listening on ${base}`);
}
