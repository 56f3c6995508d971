// Eight tabs of one browser, for a minute (or TABS_SECONDS): reloads at random, offline spells, answers that get lost after the service has acted.
// Once with what browsers have for talking between tabs, and once without. No user is signed out.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chance, start, waitFor } from "./place.mjs";

const SECONDS = Number(process.env.TABS_SECONDS ?? 60);
const [TTL, GRACE] = [60, 10];
const PASSWORD = "a good long password";
const SEED = Number(process.env.TABS_SEED ?? 2026);

/** What the service was asked, by the browser that asked. */
const counts = new Map();
const of = (name) => counts.get(name) ?? counts.set(name, { answered: 0, lost: 0, refused: 0, lostAt: -Infinity, draw: chance(SEED + name.length) }).get(name);

function hears(request, answer) {
  if (!request.url.endsWith("/refresh") || request.method !== "POST") return;
  // The first visit has no session yet: its answer is `null`, and no token is lost with it.
  if (!request.headers.cookie?.includes("refresh_token=")) return;
  const count = of(request.headers["user-agent"]);
  if (answer.statusCode === 401) count.refused++;
  // Never two in a row: a grace of ten seconds is made for one loss.
  if (answer.statusCode === 200 && performance.now() - count.lostAt > 2 * GRACE * 1000 && (count.lost === 0 || count.draw() < 0.6)) {
    count.lostAt = performance.now();
    count.lost++;
    return "lose";
  }
  count.answered++;
}

let place;
before(async () => {
  const windows = [`tokens.access_ttl=${TTL}s`, `sessions.refresh_grace=${GRACE}s`, "sessions.refresh_cooldown=25s", "keys.jwks_max_age=30s"];
  place = await start(windows, hears);
});
after(async () => place?.stop());

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const state = (page) => page.locator("#state").textContent();

async function storm(name, prepare) {
  const context = await place.browser.newContext({ userAgent: name });
  if (prepare) await context.addInitScript(prepare);
  const signedOut = [];
  let watching = false;
  context.on("console", (message) => watching && message.text() === "state: signedOut" && signedOut.push(message.location()));
  const tabs = [await context.newPage()];
  await tabs[0].goto(`${place.origin}/spa`);
  await tabs[0].evaluate((form) => auth.signUp(form), { name, email: `${name}@example.com`, password: PASSWORD });
  watching = true;
  while (tabs.length < 8) {
    tabs.push(await context.newPage());
    await tabs.at(-1).goto(`${place.origin}/spa`);
  }
  const everybodyIsIn = async () => (await Promise.all(tabs.map(state))).every((text) => text === `${name}@example.com`);
  await waitFor(everybodyIsIn, `${name}: all tabs to be signed in`);
  const random = chance(SEED);
  const started = performance.now();
  const before = { ...of(name) };
  let [reloads, spells] = [0, 0];
  while (performance.now() - started < SECONDS * 1000) {
    await sleep(500 + random() * 1_500);
    if (random() < 0.75) {
      reloads++;
      await tabs[Math.floor(random() * tabs.length)].reload();
    } else {
      spells++;
      await context.setOffline(true);
      await sleep(random() * (GRACE / 2) * 1000);
      await context.setOffline(false);
    }
  }
  const lifetimes = (performance.now() - started) / 1000 / TTL;
  const { answered, lost, refused } = of(name);
  const asked = answered - before.answered;
  const [no, missed] = [refused - before.refused, lost - before.lost];
  console.log(
    `${name}: 8 tabs, ${Math.round(lifetimes * TTL)} s, ${reloads} reloads, ${spells} offline spells, ${missed} answers lost; sign-outs: ${signedOut.length}; ` +
      `refreshes: ${asked} and the ${missed} that were lost, ${((asked + missed) / lifetimes).toFixed(2)} a lifetime (seed ${SEED})`,
  );
  await waitFor(everybodyIsIn, `${name}: all tabs to be signed in at the end`);
  assert.deepEqual([signedOut, no], [[], 0]);
  watching = false;
  assert.ok(missed > 0 && asked + missed >= Math.floor(lifetimes), "answers got lost, and tokens were renewed");
  for (const tab of tabs) {
    const good = await tab.evaluate(async (auth_) => (await fetch(`${auth_}/api/auth/session`, { headers: { authorization: `Bearer ${await auth.getAccessToken()}` } })).status, place.auth);
    assert.equal(good, 200, "every tab's token is good");
  }
  return { context, tabs, asked, lifetimes };
}

test("eight tabs, one refresh a lifetime, no user signed out; without locks and channel neither", { timeout: (SECONDS + 120) * 1000 }, async () => {
  const [coordinated, alone] = await Promise.all([
    storm("coordinated"),
    storm("alone", () => {
      delete Navigator.prototype.locks;
      delete globalThis.BroadcastChannel;
    }),
  ]);
  assert.deepEqual(await alone.tabs[0].evaluate(() => [navigator.locks, typeof BroadcastChannel]), [undefined, "undefined"]);
  // Renewed at three quarters at the earliest, of a lifetime that may be a tenth shorter: 1.5 a lifetime, and one for the ends of the time.
  assert.ok(coordinated.asked <= coordinated.lifetimes * 1.5 + 1, `${coordinated.asked} refreshes in ${coordinated.lifetimes} lifetimes`);
  await coordinated.tabs[3].evaluate(() => auth.signOut());
  await waitFor(async () => (await Promise.all(coordinated.tabs.map(state))).every((text) => text === "signedOut"), "all tabs to be signed out");
  await Promise.all([coordinated.context.close(), alone.context.close()]);
});
