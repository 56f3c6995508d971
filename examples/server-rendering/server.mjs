// Pages made on a server, as Next.js and its like do it: the browser's cookies are handed on to `/get-session`, which says who this is; what it sets goes
// back to the browser. Needs Node 20 and nothing else. The page and Countersign share a host (or `sessions.cookie_domain`), so that both see the cookies;
// its origin has to be in `server.trusted_origins`, or no user is redirected back here.
//
// With API, the page also shows what an API behind this server says to the user (examples/fastapi): this server asks for an access token with the same cookies.
// docs/guides/server-rendering.md explains which cookies arrive here, and `tokens.mint_from_session`.
//
//     COUNTERSIGN=http://localhost:4000 API=http://localhost:8000 PORT=3000 node server.mjs
import { createServer } from "node:http";

const COUNTERSIGN = process.env.COUNTERSIGN ?? "http://localhost:4000";
const API = process.env.API;
const PORT = Number(process.env.PORT ?? 3000);
const HERE = process.env.HERE ?? `http://localhost:${PORT}`;

/** A request to the service, with what the browser has sent here. */
function ask(path, request) {
  const headers = { cookie: request.headers.cookie ?? "", "user-agent": request.headers["user-agent"] ?? "" };
  return fetch(`${COUNTERSIGN}/api/auth${path}`, { headers, signal: AbortSignal.timeout(5_000) });
}

/** Who asks, and what the browser is to be told of its cookies. */
async function sessionOf(request) {
  const answer = await ask("/get-session", request);
  if (!answer.ok) throw new Error(`get-session answered ${answer.status}`);
  return { session: await answer.json(), cookies: answer.headers.getSetCookie() };
}

/** What the API says to the user. The access token never leaves this server. */
async function rolesOf(request) {
  const minted = await ask("/token", request);
  const { token, code } = await minted.json();
  // REFRESH_TOKEN_MISSING: a script of the page has refreshed, and the refresh cookie is not sent here.
  if (!minted.ok) throw new Error(`token answered ${minted.status} ${code}`);
  const answer = await fetch(`${API}/me`, { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(5_000) });
  if (!answer.ok) throw new Error(`the API answered ${answer.status}`);
  return (await answer.json()).roles;
}

const escape = (text) => text.replaceAll(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

createServer(async (request, response) => {
  try {
    const { session, cookies } = await sessionOf(request);
    response.setHeader("set-cookie", cookies);
    // A page about a user must not be cached.
    response.setHeader("cache-control", "private, no-store");
    if (!session) {
      const back = `${HERE}${request.url}`;
      return response.writeHead(302, { location: `${COUNTERSIGN}/auth/sign-in?${new URLSearchParams({ redirect_to: back })}` }).end();
    }
    const roles = API ? `<p>The API knows your roles: ${escape((await rolesOf(request)).join(", "))}.</p>` : "";
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(
      `<!doctype html><html lang="en"><title>Hello</title><h1>Hello ${escape(session.user.name)}</h1><p>Signed in as ${escape(session.user.email)}.</p>${roles}</html>`,
    );
  } catch (error) {
    // Not "signed out": the service could not be asked.
    console.error(error);
    response.writeHead(503, { "retry-after": "1" }).end("Please try again in a moment.");
  }
}).listen(PORT, "127.0.0.1");
