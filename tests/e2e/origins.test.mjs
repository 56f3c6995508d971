// What a real browser makes of our answers to other origins: preflights with the headers of tracing, and pages whose origin is null.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as ask } from "node:http";
import { after, before, test } from "node:test";
import { start, waitFor } from "./place.mjs";

const PASSWORD = "a good long password";
/** What reached the service by POST, and what it answered: a browser may keep an answer from the page that asked. */
const posts = [];
const hears = ({ method, url, headers }, { statusCode }) => {
  if (method === "POST") posts.push({ url, origin: headers.origin, site: headers["sec-fetch-site"], cookie: headers.cookie, status: statusCode });
};
/** What came by POST to this address, once it has come. */
const posted = (url) => waitFor(() => posts.find((post) => post.url === url), `a POST to ${url}`);

let place;
let proxy;
before(async () => {
  place = await start([`server.trusted_proxies=127.0.0.1`], hears);
  // A proxy that adds `Referrer-Policy: no-referrer` to everything, as some are told to; with it browsers send `Origin: null` with a form.
  const target = new URL(place.auth);
  proxy = createServer((request, response) => {
    const headers = { ...request.headers, host: target.host };
    const onward = ask({ host: "127.0.0.1", port: target.port, method: request.method, path: request.url, headers }, (answer) => {
      response.writeHead(answer.statusCode, { ...answer.headers, "referrer-policy": "no-referrer" });
      answer.pipe(response);
    });
    request.pipe(onward);
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  proxy.url = `http://localhost:${proxy.address().port}`;
});
after(async () => {
  proxy?.close().closeAllConnections();
  await place?.stop();
});

/** What a page at this address gets for a request with headers of its own: the status, or "refused" where the browser keeps it. */
async function asked(address, path, headers, options = {}) {
  const context = await place.browser.newContext();
  const page = await context.newPage();
  await page.goto(address);
  const answer = await page.evaluate(
    async ([url, own, more]) => {
      try {
        const response = await fetch(url, { headers: own, ...more });
        return { status: response.status, id: response.headers.get("x-request-id") };
      } catch {
        return "refused";
      }
    },
    [place.auth + path, headers, options],
  );
  await context.close();
  return answer;
}

const TRACING = { "sentry-trace": "x", baggage: "x", traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-requested-with": "XMLHttpRequest", dpop: "x" };

test("a trusted page sends the headers of tracing along, with cookies, and no other page does", async () => {
  const post = { method: "POST", credentials: "include", body: "{}" };
  const json = { ...TRACING, "content-type": "application/json" };
  const answer = await asked(place.origin, "/api/auth/sign-out", json, post);
  assert.ok(answer !== "refused" && answer.id, JSON.stringify(answer));
  assert.notEqual(await asked(place.origin, "/api/auth/get-session", TRACING, { credentials: "include" }), "refused");
  assert.equal(await asked(place.evil, "/api/auth/sign-out", json, post), "refused");
  assert.equal(await asked(place.evil, "/api/auth/get-session", TRACING), "refused");
});

test("any page reads keys and discovery with any header, without cookies", async () => {
  for (const path of ["/api/auth/jwks", "/.well-known/openid-configuration"]) {
    for (const page of [place.origin, place.evil]) {
      const answer = await asked(page, path, TRACING);
      assert.equal(answer.status, 200, `${path} from ${page}: ${JSON.stringify(answer)}`);
    }
    assert.equal(await asked(place.evil, path, TRACING, { credentials: "include" }), "refused");
    assert.equal((await asked(place.origin, path, TRACING, { credentials: "include" })).status, 200);
  }
});

test("a form of ours behind a proxy that adds no-referrer is sent with the origin null, and passes", async () => {
  const context = await place.browser.newContext();
  const page = await context.newPage();
  const sent = [];
  page.on("request", async (request) => request.method() === "POST" && request.isNavigationRequest() && sent.push(await request.allHeaders()));
  await page.goto(`${proxy.url}/auth/sign-up`);
  await page.getByLabel("Name", { exact: true }).fill("nora");
  await page.getByLabel("Email address", { exact: true }).fill("nora@example.com");
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Create account", exact: true }).click();
  await page.waitForURL((url) => url.pathname === "/auth/account");
  assert.deepEqual([sent[0].origin, sent[0]["sec-fetch-site"]], ["null", "same-origin"]);
  await context.close();
});

test("a sandboxed frame has the origin null too, is cross-site, and is refused whatever it sends", async () => {
  // A `srcdoc` document has the content security policy of the page around it; ours lets no script of it run, so that there would be nothing to see.
  const context = await place.browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  for (const [name, host] of [["trusted", place.origin], ["untrusted", place.evil], ["own", place.auth]]) {
    const [form, fetched] = [`form-${name}`, `fetch-${name}`].map((query) => `/api/auth/sign-out?${query}`);
    await page.goto(`${host}/health`);
    await page.evaluate(
      ([action, asked]) => {
        const frame = document.createElement("iframe");
        frame.sandbox = "allow-scripts allow-forms";
        frame.srcdoc = `<form method="post" action="${action}"></form><script>
          fetch("${asked}", { method: "POST", mode: "no-cors", credentials: "include", body: "" }).finally(() => document.forms[0].submit());
        </script>`;
        document.body.append(frame);
      },
      [place.auth + form, place.auth + fetched],
    );
    for (const path of [form, fetched]) {
      const { origin, site, status } = await posted(path);
      assert.deepEqual([origin, site, status], ["null", "cross-site", 403], path);
    }
  }
  await context.close();
});
