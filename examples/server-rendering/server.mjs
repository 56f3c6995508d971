// Pages made on a server, as Next.js and its like do it: the browser's cookies are handed on to `/get-session`, which says who this is; what it sets goes
// back to the browser. Needs Node 20 and nothing else. The page and Countersign share a host (or `sessions.cookie_domain`), so that both see the cookies;
// its origin has to be in `server.trusted_origins`, or no user is redirected back here.
//
//     COUNTERSIGN=http://localhost:4000 PORT=3000 node server.mjs
import { createServer } from "node:http";

const COUNTERSIGN = process.env.COUNTERSIGN ?? "http://localhost:4000";
const PORT = Number(process.env.PORT ?? 3000);
const HERE = process.env.HERE ?? `http://localhost:${PORT}`;

/** Who asks, and what the browser is to be told of its cookies. */
async function sessionOf(request) {
  const headers = { cookie: request.headers.cookie ?? "", "user-agent": request.headers["user-agent"] ?? "" };
  const answer = await fetch(`${COUNTERSIGN}/api/auth/get-session`, { headers, signal: AbortSignal.timeout(5_000) });
  if (!answer.ok) throw new Error(`get-session answered ${answer.status}`);
  return { session: await answer.json(), cookies: answer.headers.getSetCookie() };
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
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(`<!doctype html><html lang="en"><title>Hello</title><h1>Hello ${escape(session.user.name)}</h1><p>Signed in as ${escape(session.user.email)}.</p></html>`);
  } catch (error) {
    // Not "signed out": the service could not be asked.
    console.error(error);
    response.writeHead(503, { "retry-after": "1" }).end("Please try again in a moment.");
  }
}).listen(PORT, "127.0.0.1");
