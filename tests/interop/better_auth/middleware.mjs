// The middleware of a Next.js application, as Better Auth's documents have it: `getSessionCookie` with its defaults decides whether a page is shown.
// node middleware.mjs COOKIE_HEADER; prints the status of the answer.
import { getSessionCookie } from "better-auth/cookies";

function middleware(request) {
  if (!getSessionCookie(request)) return Response.redirect(new URL("/sign-in", request.url));
  return new Response("the page");
}

const headers = process.argv[2] ? { cookie: process.argv[2] } : {};
console.log(middleware(new Request("https://app.example.com/dashboard", { headers })).status);
