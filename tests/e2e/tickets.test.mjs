// Retry tickets in a real browser: eight tabs of one browser, sixty of which are closed at random while they refresh (two hundred in runs of a minute or more), and answers that get
// lost after the service has acted; for half a minute, or TICKETS_SECONDS. No user is signed out. A thief with a copied cookie jar who follows each rotation is found at the first step; one with the storage, too, is
// found when both have gone on.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { chance, cookie, mailsTo, start, waitFor } from "./place.mjs";

const SECONDS = Number(process.env.TICKETS_SECONDS ?? 30);
const CLOSED = SECONDS < 60 ? 60 : 200;
const LOST = 0.15;
const PASSWORD = "a good long password";
const SEED = Number(process.env.TICKETS_SEED ?? 2026);
/** Runs of a minute or more have the windows that the service has without settings. In shorter ones there is no grace, which plays no part with tickets, and a cool-down that
 *  two messages fit into, so that tokens rotate often. */
const DEFAULTS = SECONDS >= 60;
const COOLDOWN_S = DEFAULTS ? 50 : 10;

const draw = chance(SEED);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** What the service answered to the refreshes of each browser, and who wants to hear of the next rotation. */
const counts = new Map();
const of = (name) => counts.get(name) ?? counts.set(name, { asked: 0, rotated: 0, lost: 0, refused: 0, loses: false, onRotation: null }).get(name);

async function hears(request, answer) {
  if (!request.url.endsWith("/refresh") || request.method !== "POST" || !request.headers.cookie?.includes("refresh_token=")) return;
  const count = of(request.headers["user-agent"]);
  count.asked++;
  if (answer.statusCode === 401) count.refused++;
  const rotates = answer.headers["set-cookie"]?.some((line) => line.includes("refresh_token="));
  if (rotates) count.rotated++;
  if (rotates && count.onRotation) await count.onRotation(request);
  if (count.loses && answer.statusCode === 200 && draw() < LOST) {
    count.lost++;
    return "lose";
  }
}

let place;
before(async () => {
  const windows = DEFAULTS ? [] : ["sessions.refresh_grace=0s", `sessions.refresh_cooldown=${COOLDOWN_S}s`, "tokens.access_ttl=60s", "keys.jwks_max_age=30s"];
  place = await start(windows, hears);
});
after(async () => place?.stop());

const state = (page) => page.locator("#state").textContent();

/** A browser that is signed in on /spa, with a mailbox that is proven. */
async function signedIn(name) {
  const context = await place.browser.newContext({ userAgent: name });
  const email = `${name}@example.com`;
  const [command, args, options] = place.cli("users", "create", email, "--email-verified");
  execFileSync(command, args, { ...options, input: `${PASSWORD}\n` });
  const page = await context.newPage();
  await page.goto(`${place.origin}/spa`);
  await page.evaluate((form) => auth.signIn(form), { email, password: PASSWORD });
  await waitFor(async () => (await state(page)) === email, `${name} to be signed in`);
  return { context, page, email };
}

const refreshCookie = async (context) => (await context.cookies(`${place.auth}/api/auth/refresh`)).find((c) => c.name === cookie("refresh_token")).value;
const asThief = (token, attempt) =>
  fetch(`${place.auth}/api/auth/refresh`, {
    method: "POST",
    headers: { "content-type": "application/json", origin: place.origin, cookie: `${cookie("refresh_token")}=${token}`, "user-agent": "thief" },
    body: JSON.stringify({ attempt }),
  });

test("eight tabs that are closed at random while they refresh, answers that get lost: no user is signed out", { timeout: (SECONDS + 120) * 1000 }, async () => {
  const { context, page, email } = await signedIn("tabs");
  const signedOut = [];
  context.on("console", (message) => message.text() === "state: signedOut" && signedOut.push(message.location()));
  const tabs = [page];
  const open = async () => {
    const tab = await context.newPage();
    await tab.goto(`${place.origin}/spa`);
    return tab;
  };
  while (tabs.length < 8) tabs.push(await open());
  const count = of("tabs");
  count.loses = true;
  const [started, asked, rotated] = [performance.now(), count.asked, count.rotated];
  let closed = 0;
  const pause = (SECONDS * 1000) / CLOSED;
  while (closed < CLOSED || performance.now() - started < SECONDS * 1000) {
    const turn = performance.now();
    const at = Math.floor(draw() * tabs.length);
    const [tab] = tabs.splice(at, 1);
    // It asks, and is gone before, while or after the service acts.
    await tab.evaluate(() => void auth.session({ fresh: true }).catch(() => {}));
    await sleep(draw() * 60);
    await tab.close();
    closed++;
    tabs.push(await open());
    await sleep(Math.max(0, pause - (performance.now() - turn)));
  }
  count.loses = false;
  await waitFor(async () => (await Promise.all(tabs.map(state))).every((text) => text === email), "all tabs to be signed in at the end");
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `8 tabs, ${Math.round(seconds)} s, ${closed} closed while they refreshed, ${count.lost} answers lost; sign-outs: ${signedOut.length}; refused: ${count.refused}; ` +
      `${count.asked - asked} refreshes, ${count.rotated - rotated} of them with another token, ${((count.rotated - rotated) / (seconds / COOLDOWN_S)).toFixed(2)} a cool-down (seed ${SEED})`,
  );
  assert.deepEqual([signedOut, count.refused], [[], 0]);
  assert.ok(count.lost > 3 && count.rotated - rotated >= Math.floor(seconds / COOLDOWN_S / 2), "answers got lost, and tokens rotated");
  assert.deepEqual(mailsTo(place, email).filter((mail) => mail.subject.startsWith("You were signed out")), []);
  await context.close();
});

test("a thief with a copied jar, 100 ms behind each rotation, is found at the first step, and the owner is told", async () => {
  const { context, page, email } = await signedIn("owner");
  const stolen = await refreshCookie(context);
  let step;
  of("owner").onRotation = async () => {
    of("owner").onRotation = null;
    await sleep(100);
    step = asThief(stolen, "EBESExQVFhcYGRobHB0eHw");
  };
  await page.evaluate(() => auth.session({ fresh: true }));
  const answer = await step;
  assert.deepEqual([answer.status, (await answer.json()).code], [401, "REFRESH_TOKEN_REUSED"]);
  await page.evaluate(() => auth.session({ fresh: true }));
  await waitFor(async () => (await state(page)) === "signedOut", "the owner to be signed out");
  const [mail] = await waitFor(() => {
    const told = mailsTo(place, email).filter((m) => m.subject.startsWith("You were signed out"));
    return told.length > 0 && told;
  }, "the mail to the owner");
  assert.match(mail.text, /used a second time/);
  await context.close();
});

test("a thief with the cookie and the ticket is the owner's equal until both have gone on, and then found", { timeout: 180_000 }, async () => {
  const { context, page } = await signedIn("profile");
  const key = `countersign:${place.auth}/api/auth:ticket`;
  // A refresh is under way when the profile is copied: only then is a ticket in the storage.
  const copied = {};
  of("profile").onRotation = async (request) => {
    of("profile").onRotation = null;
    copied.token = new RegExp(`${cookie("refresh_token")}=([^;]+)`).exec(request.headers.cookie)[1];
    copied.ticket = await page.evaluate((name) => localStorage.getItem(name), key);
  };
  await page.evaluate(() => auth.session({ fresh: true }));
  assert.match(copied.ticket, /^[A-Za-z0-9_-]{22}$/);
  assert.equal(await page.evaluate((name) => localStorage.getItem(name), key), null);
  const equal = await asThief(copied.token, copied.ticket);
  assert.equal(equal.status, 200, await equal.text());
  const theirs = equal.headers.getSetCookie().find((line) => line.startsWith(cookie("refresh_token")));
  assert.equal(/=([^;]+)/.exec(theirs)[1], await refreshCookie(context), "the very token of the owner");
  await sleep((COOLDOWN_S + 1) * 1000);
  await page.evaluate(() => auth.session({ fresh: true }));
  const next = await asThief(/=([^;]+)/.exec(theirs)[1], "EBESExQVFhcYGRobHB0eHw");
  assert.deepEqual([next.status, (await next.json()).code], [401, "REFRESH_TOKEN_REUSED"]);
  await context.close();
});
