// A backend that wants another proof from the user: what the client makes of its challenge, of the user's answer, and of other tabs.
import axios from "axios";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { withCountersign } from "../src/axios.js";
import { demandOf } from "../src/challenge.js";
import { createCountersign, SecondStepRequired, StepUpRequired } from "../src/index.js";
import type { StepUpNeeded } from "../src/index.js";
import { API, BASE, FIRST, pass, SECOND, type Tab, World } from "./world.js";

let world: World;
beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
});
afterEach(() => {
  world.end();
  vi.useRealTimers();
});

const ANA = { email: "ana@example.com", password: "right" };
const CODE = { code: "111111" };
const MINUTE = 60_000;
const NEEDED = { acrValues: SECOND, methods: ["totp", "backup_code"] };

async function settle<T>(promise: Promise<T>, ms = 3_000): Promise<T> {
  promise.catch(() => {});
  await pass(ms);
  return promise;
}

const now = (tab: Tab) => tab.client.getSnapshot();
const post = (body: string) => ({ method: "POST", body });

/** A tab that is signed in with a password, and a backend that demands a second factor. The form gives this code. */
async function demanding(form: ((tab: Tab, needed: StepUpNeeded) => Promise<boolean>) | null = async (tab) => Boolean(await tab.client.secondStep(CODE)), options = {}) {
  const asked: StepUpNeeded[] = [];
  const onStepUp = (needed: StepUpNeeded) => (asked.push(needed), form!(tab, needed));
  const tab: Tab = world.tab({ ...(form && { onStepUp }), ...options });
  tab.client.subscribe(() => {});
  await pass(1_000);
  await settle(tab.client.signIn(ANA), 500);
  world.demand = { acr: SECOND };
  world.backend = world.refreshes = 0;
  return { tab, asked, before: now(tab).session!.id };
}

describe("the challenge", () => {
  const ERROR = 'error="insufficient_user_authentication"';
  test.each([
    [`Bearer ${ERROR}, acr_values="a b", max_age=300`, { acrValues: "a b", maxAge: 300 }],
    [`Bearer max_age="300",acr_values=a,${ERROR}`, { acrValues: "a", maxAge: 300 }],
    ["Bearer error=insufficient_user_authentication", {}],
    [`bearer realm="x", ERROR = "insufficient_user_authentication" , MAX_AGE=0`, { maxAge: 0 }],
    [`Bearer realm="say \\"Bearer error=\\\\\\"", ${ERROR}, acr_values="a"`, { acrValues: "a" }],
    [`Basic realm="a, Bearer x", Bearer ${ERROR}, acr_values="a", Digest realm="y", acr_values="b"`, { acrValues: "a" }],
    [`Negotiate YWJj/ZGVm==, Bearer ${ERROR}`, {}],
    [`Negotiate, , Bearer ${ERROR},`, {}],
    [`Bearer realm="x", error="invalid_token", Bearer ${ERROR}, max_age=60`, { maxAge: 60 }],
    [`Bearer ${ERROR}, max_age=soon, error_description="Max. 5 minutes, please"`, {}],
    [`Bearer ${ERROR}, max_age=-1`, {}],
  ])("%s", (header, demand) => expect(demandOf(header)).toEqual(demand));

  test.each([
    null,
    "",
    "Bearer",
    'Bearer error="invalid_token"',
    `DPoP ${ERROR}`,
    `Basic realm="Bearer ${ERROR.replaceAll('"', '\\"')}"`,
    'Bearer error="invalid_token", error_description="no insufficient_user_authentication"',
    `Bearer realm="open, ${ERROR}`,
    `realm="x", ${ERROR}`,
    `Bearer error="insufficient_user_authentication`,
  ])("not %s", (header) => expect(demandOf(header)).toBeUndefined());
});

describe("fetch", () => {
  test.each([401, 403])("a %i with a demand asks the user once, and the request is sent again, body and all", async (status) => {
    const { tab, asked, before } = await demanding();
    world.demandStatus = status;
    const answer = await settle(tab.client.fetch(API, post("a")));
    expect([answer.status, await answer.json()]).toEqual([200, { body: "a" }]);
    expect(asked).toEqual([NEEDED]);
    expect(world.stepUps).toEqual([{ acrValues: SECOND }, { acrValues: SECOND }]);
    expect([world.backend, world.refreshes, now(tab).status]).toEqual([2, 0, "signedIn"]);
    expect(now(tab).session!.id).not.toBe(before);
    expect((await settle(tab.client.fetch(API))).status).toBe(200);
    expect([world.backend, asked.length]).toEqual([3, 1]);
  });

  test("a streamed body is sent again", async () => {
    const { tab } = await demanding();
    const body = new Blob(["one ", "two"]).stream();
    const answer = await settle(tab.client.fetch(API, { method: "POST", body, duplex: "half" } as RequestInit));
    expect(await answer.json()).toEqual({ body: "one two" });
  });

  test("an expired token is refreshed first, and a streamed body is sent a third time", async () => {
    const { tab, asked } = await demanding();
    world.tokens.clear();
    const body = new Blob(["one ", "two"]).stream();
    const answer = await settle(tab.client.fetch(API, { method: "POST", body, duplex: "half" } as RequestInit));
    expect(await answer.json()).toEqual({ body: "one two" });
    expect([world.backend, world.refreshes, asked.length]).toEqual([3, 1, 1]);
  });

  test("a session that suffices already is not asked about: its new token says so", async () => {
    const { tab, asked, before } = await demanding();
    const sister = world.tab();
    // It was proved in the session, and the token that is held does not say so yet.
    Object.assign(world.live.get(before)!, { acr: SECOND });
    sister.client.subscribe(() => {});
    await pass(1_000);
    expect((await settle(tab.client.fetch(API))).status).toBe(200);
    expect([asked.length, world.backend, world.refreshes, now(tab).session!.id]).toEqual([0, 2, 0, before]);
    expect(await sister.client.getAccessToken()).toBe(await tab.client.getAccessToken());
  });

  test("a service that tells no token is asked for one by a refresh", async () => {
    const { tab, before } = await demanding();
    Object.assign(world.live.get(before)!, { acr: SECOND });
    world.tellsToken = false;
    expect((await settle(tab.client.fetch(API))).status).toBe(200);
    expect([world.backend, world.refreshes, now(tab).session!.id]).toEqual([2, 1, before]);
  });

  test("what is demanded is passed on as it was said", async () => {
    const { tab, asked } = await demanding(async () => false);
    world.demand = { acr: `${SECOND} urn:countersign:acr:phr`, maxAge: 0 };
    world.ways = { methods: [], enrol: ["totp", "passkey"] };
    await settle(tab.client.fetch(API));
    expect(asked).toEqual([{ acrValues: `${SECOND} urn:countersign:acr:phr`, maxAge: 0, methods: [], enrol: ["totp", "passkey"] }]);
  });

  test("a user who gives no proof gets the backend's own answer, and stays signed in", async () => {
    const { tab, asked } = await demanding(async () => false);
    const answer = await settle(tab.client.fetch(API, post("a")));
    expect([answer.status, await answer.json(), asked.length]).toEqual([401, { refused: "a" }, 1]);
    expect([world.backend, world.refreshes, world.stepUps.length, now(tab).status]).toEqual([1, 0, 1, "signedIn"]);
    expect(world.left).toEqual([]);
    expect((await settle(tab.client.fetch(API))).status).toBe(401);
    expect(asked.length).toBe(2);
  });

  test("a form that fails is no proof: its error is told, and the request has its answer", async () => {
    const thrown: unknown[] = [];
    const { tab } = await demanding(async () => {
      throw new Error("the application's fault");
    });
    const original = globalThis.setTimeout;
    const timeout = vi.spyOn(globalThis, "setTimeout").mockImplementation(((work: () => void, ms?: number) =>
      original(() => {
        try {
          work();
        } catch (error) {
          thrown.push(error);
        }
      }, ms)) as never);
    expect((await settle(tab.client.fetch(API))).status).toBe(401);
    timeout.mockRestore();
    expect([thrown.length, now(tab).status]).toEqual([1, "signedIn"]);
  });

  test("a form that says yes without a proof: the service is asked once more, and the answer stands", async () => {
    const { tab, asked } = await demanding(async () => true);
    expect((await settle(tab.client.fetch(API))).status).toBe(401);
    expect([world.backend, world.stepUps.length, asked.length]).toEqual([1, 2, 1]);
  });

  test.each([401, 403])("a backend that no proof pleases is asked twice (%i), without a refresh", async (status) => {
    const { tab, asked } = await demanding();
    Object.assign(world, { demand: { acr: "urn:countersign:acr:phr" }, demandStatus: status, demandHeader: `Bearer error="insufficient_user_authentication", acr_values="${FIRST}"` });
    for (const sent of [2, 4, 6]) {
      expect((await settle(tab.client.fetch(API))).status).toBe(status);
      expect([world.backend, world.refreshes, asked.length, now(tab).status]).toEqual([sent, 0, 0, "signedIn"]);
    }
  });

  test("a 403 without a demand is the answer", async () => {
    const { tab, asked } = await demanding();
    Object.assign(world, { demandStatus: 403, demandHeader: 'Bearer error="insufficient_scope"' });
    expect((await settle(tab.client.fetch(API))).status).toBe(403);
    expect([world.backend, world.stepUps.length, asked.length]).toEqual([1, 0, 0]);
  });

  test.each([200, 404, 500])("a %i is the answer, whatever its header says", async (status) => {
    const { tab, asked } = await demanding();
    world.demandStatus = status;
    expect((await settle(tab.client.fetch(API))).status).toBe(status);
    expect([world.backend, world.stepUps.length, asked.length]).toEqual([1, 0, 0]);
  });

  test.each([
    ["is away", 503],
    ["does not know the name", 400],
    ["limits the pace", 429],
  ])("a service that %s: the answer stands, and no user is signed out", async (_, status) => {
    const { tab, asked } = await demanding();
    world.before = (path) => (path.endsWith("/step-up") ? new Response("{}", { status }) : undefined);
    expect((await settle(tab.client.fetch(API))).status).toBe(401);
    expect([world.backend, asked.length, world.refreshes, now(tab).status]).toEqual([1, 0, 0, "signedIn"]);
  });

  test("a session that is over is found to be so by the service's word", async () => {
    const { tab, asked } = await demanding();
    world.before = (path) => {
      if (path.endsWith("/step-up")) world.live.clear();
    };
    expect((await settle(tab.client.fetch(API))).status).toBe(401);
    expect([world.backend, asked.length, now(tab).status]).toEqual([1, 0, "signedOut"]);
  });

  test("several requests at once share one step-up; what is demanded otherwise waits for its turn", async () => {
    let open = 0;
    const { tab, asked } = await demanding(async (tab) => {
      expect(++open).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await tab.client.secondStep(CODE);
      open--;
      return true;
    });
    const requests = ["a", "b", "c"].map((body) => tab.client.fetch(API, post(body)));
    await pass(100);
    world.demand = { maxAge: 30 };
    await pass(100);
    world.live.get(world.jar!.session)!.provenAt -= MINUTE;
    for (const token of world.tokens.values()) token.provenAt -= MINUTE;
    const other = tab.client.fetch(API, post("d"));
    const answers = await settle(Promise.all([...requests, other]), 6_000);
    expect(await Promise.all(answers.map((answer) => answer.json()))).toEqual(["a", "b", "c", "d"].map((body) => ({ body })));
    expect([asked.length, world.backend, world.refreshes]).toEqual([1, 8, 0]);
    // Three of the requests together, before the form and after it; then the fourth.
    expect(world.stepUps).toEqual([{ acrValues: SECOND }, { acrValues: SECOND }, { maxAge: 30 }]);
  });

  test("a user who says no is not asked for what was sent before", async () => {
    const { tab, asked } = await demanding(async () => false);
    const slow = world.answer.bind(world);
    let late = true;
    world.answer = async (request, of) => {
      const mine = late && request.url === API;
      late = false;
      const answer = await slow(request, of);
      if (mine) await new Promise((resolve) => setTimeout(resolve, 1_000));
      return answer;
    };
    const answers = await settle(Promise.all([tab.client.fetch(API), tab.client.fetch(API)]));
    expect([answers.map((answer) => answer.status), asked.length]).toEqual([[401, 401], 1]);
  });

  test("a request that was given up meanwhile is not sent again", async () => {
    const stop = new AbortController();
    const { tab } = await demanding(async (tab) => {
      stop.abort();
      return Boolean(await tab.client.secondStep(CODE));
    });
    expect((await settle(tab.client.fetch(API, { signal: stop.signal }))).status).toBe(401);
    expect(world.backend).toBe(1);
  });

  test("other origins get no token, and their demands open no form", async () => {
    const { tab, asked } = await demanding(undefined, { origins: ["https://other.example.com"] });
    world.refusesEverything = false;
    expect((await settle(tab.client.fetch(API))).status).toBe(401);
    expect([asked.length, world.stepUps.length]).toEqual([0, 0]);
  });
});

describe("other tabs", () => {
  /** A second tab that is in the same session. */
  async function sister() {
    const tab = world.tab();
    tab.client.subscribe(() => {});
    await pass(1_000);
    return tab;
  }

  test.each([true, false])("take the session that has replaced theirs (locks: %s)", async (hasLocks) => {
    if (!hasLocks) world.locks = undefined;
    const { tab, before } = await demanding();
    const other = await sister();
    const states: string[] = [];
    other.client.subscribe(({ status }) => states.push(status));
    expect((await settle(tab.client.fetch(API))).status).toBe(200);
    expect(now(tab).session!.id).not.toBe(before);
    expect(now(other).session!.id).toBe(now(tab).session!.id);
    expect((await settle(other.client.fetch(API))).status).toBe(200);
    expect([...new Set(states)]).toEqual(["signedIn"]);
    expect(world.backend).toBe(3);
  });

  test("one that has heard nothing of it needs no proof of its own", async () => {
    world.hasChannel = false;
    const { tab } = await demanding();
    const other = await sister();
    await settle(tab.client.fetch(API));
    world.backend = world.refreshes = 0;
    const asks = vi.fn();
    world.before = asks;
    expect((await settle(other.client.fetch(API))).status).toBe(200);
    expect([now(other).session!.id, now(other).status]).toEqual([now(tab).session!.id, "signedIn"]);
  });

  test("a proof that was given without this client, such as a passkey by another one", async () => {
    const { tab, before } = await demanding(async () => {
      world.steppedUpElsewhere();
      return true;
    });
    const other = await sister();
    expect((await settle(tab.client.fetch(API))).status).toBe(200);
    expect(now(tab).session!.id).not.toBe(before);
    expect([now(other).session!.id, now(other).status]).toEqual([now(tab).session!.id, "signedIn"]);
  });

  test("a sign-out while the form is open: the request has its answer, and nothing comes back", async () => {
    const { tab } = await demanding(async (tab) => {
      await tab.client.signOut();
      return true;
    });
    expect((await settle(tab.client.fetch(API))).status).toBe(401);
    expect([now(tab).status, world.backend]).toEqual(["signedOut", 1]);
  });
});

describe("without a form the page goes to the service's own", () => {
  const PAGE = `${BASE}/auth/step-up?acr_values=${encodeURIComponent(SECOND)}&redirect_to=${encodeURIComponent("http://localhost:5173/notes?page=2")}`;

  test("with what is demanded and the way back; the request has its answer", async () => {
    const { tab } = await demanding(null);
    expect((await settle(tab.client.fetch(API))).status).toBe(401);
    expect([world.left, world.backend, now(tab).status]).toEqual([[PAGE], 1, "signedIn"]);
  });

  test("below a path, with an age", async () => {
    world.folder = "/login";
    const { tab } = await demanding(null, { baseURL: `${BASE}/login/` });
    world.demand = { maxAge: 0 };
    await settle(tab.client.fetch(API));
    expect(world.left).toEqual([`${BASE}/login/auth/step-up?max_age=0&redirect_to=${encodeURIComponent("http://localhost:5173/notes?page=2")}`]);
  });

  test("once for several requests, and not again where it led straight back", async () => {
    const { tab } = await demanding(null);
    await settle(Promise.all([tab.client.fetch(API), tab.client.fetch(API)]));
    expect(world.left.length).toBe(1);
    tab.client.close();
    const reloaded = world.tab();
    expect((await settle(reloaded.client.fetch(API))).status).toBe(401);
    expect(world.left.length).toBe(1);
    await pass(MINUTE);
    await settle(reloaded.client.fetch(API));
    expect(world.left.length).toBe(2);
  });

  test("not where the user can do nothing there; and without storage too", async () => {
    const { tab } = await demanding(null);
    world.ways = { methods: [] };
    expect((await settle(tab.client.fetch(API))).status).toBe(401);
    expect(world.left).toEqual([]);
    world.ways = { methods: [], enrol: ["totp"] };
    world.storage!.refuses = true;
    await settle(tab.client.fetch(API));
    expect(world.left).toEqual([PAGE]);
  });

  test("a page that comes back with the proof gets through", async () => {
    const { tab } = await demanding(null);
    await settle(tab.client.fetch(API));
    tab.client.close();
    world.steppedUpElsewhere();
    const back = world.tab();
    expect((await settle(back.client.fetch(API))).status).toBe(200);
    expect(world.left.length).toBe(1);
  });
});

describe("stepUp", () => {
  test("a code, a recovery code or the password proves it, and says what is proved", async () => {
    const { tab } = await demanding(null);
    const ask = { acrValues: SECOND };
    await expect(settle(tab.client.stepUp(ask))).rejects.toMatchObject({ name: "CountersignError", status: 403, code: "INSUFFICIENT_USER_AUTHENTICATION", methods: NEEDED.methods, enrol: undefined });
    await expect(settle(tab.client.stepUp(ask))).rejects.toBeInstanceOf(StepUpRequired);
    await expect(settle(tab.client.stepUp({ ...ask, code: "000000" }))).rejects.toMatchObject({ code: "INVALID_CODE" });
    expect(await settle(tab.client.stepUp({ ...ask, ...CODE }))).toEqual({ acr: SECOND, amr: ["pwd", "otp"], authTime: expect.any(Number) });
    const second = now(tab).session!.id;
    await pass(10 * MINUTE);
    await expect(settle(tab.client.stepUp({ maxAge: 60 }))).rejects.toMatchObject({ status: 403 });
    await expect(settle(tab.client.stepUp({ maxAge: 60, password: "wrong" }))).rejects.toMatchObject({ status: 400, code: "INVALID_PASSWORD" });
    expect(now(tab).session!.id).toBe(second);
    await settle(tab.client.stepUp({ maxAge: 60, password: "right" }));
    expect(now(tab).session!.id).not.toBe(second);
    await settle(tab.client.stepUp({ recoveryCode: "AAAA-BBBB-CCCC-DDDD", emailCode: "333333" }));
    expect([world.recoveryCodes.size, world.mailed.size]).toEqual([0, 1]);
    await settle(tab.client.stepUp({ emailCode: "333333" }));
    expect([world.mailed.size, now(tab).status]).toEqual([0, "signedIn"]);
    expect(world.stepUps.at(-1)).toEqual({});
  });

  test("an answer that is lost after its cookies came is no failure", async () => {
    const { tab, before } = await demanding(null);
    world.after = (path) => {
      if (path.endsWith("/step-up/password")) throw new TypeError("Failed to fetch");
    };
    expect((await settle(tab.client.stepUp({ password: "right" }), 5_000)).acr).toBe(FIRST);
    expect([now(tab).status, now(tab).session!.id === before]).toEqual(["signedIn", false]);
  });

  test("without a session it is refused, also on a server", async () => {
    const tab = world.tab();
    await expect(settle(tab.client.stepUp({ maxAge: 60 }))).rejects.toMatchObject({ status: 401 });
    const client = createCountersign({ baseURL: BASE });
    const fetched = vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response('{"code":"UNAUTHORIZED","message":""}', { status: 401 }));
    await expect(client.stepUp()).rejects.toMatchObject({ status: 401 });
    expect(fetched).toHaveBeenCalledTimes(1);
    fetched.mockRestore();
  });
});

describe("axios", () => {
  async function api(form?: (tab: Tab) => Promise<boolean>) {
    const { tab, asked } = await demanding(form);
    const made = axios.create({ adapter: "fetch", env: { fetch: (input: RequestInfo, init?: RequestInit) => world.answer(new Request(input, init), tab) } } as object);
    withCountersign(made, tab.client);
    return { tab, asked, api: made };
  }

  test.each([401, 403])("a %i with a demand asks the user once, and the request is sent again", async (status) => {
    const { asked, api: notes } = await api();
    world.demandStatus = status;
    const answers = await settle(Promise.all([notes.post(API, { a: 1 }), notes.get(API)]), 5_000);
    expect(answers.map((answer) => answer.data)).toEqual([{ body: '{"a":1}' }, { body: "" }]);
    expect([asked.length, world.backend, world.refreshes]).toEqual([1, 4, 0]);
  });

  test("after a refresh too; without a proof the refusal is the application's", async () => {
    const { tab, api: notes } = await api(async () => false);
    world.tokens.clear();
    await expect(settle(notes.get(API), 5_000)).rejects.toMatchObject({ response: { status: 401 } });
    expect([world.backend, world.refreshes, now(tab).status]).toEqual([2, 1, "signedIn"]);
  });
});

test("a second step tells what is to be set up first", async () => {
  const tab = world.tab();
  world.before = (path) => {
    if (path.endsWith("/sign-in/email")) return new Response(JSON.stringify({ twoFactorRedirect: true, twoFactorMethods: [], enrol: ["totp", "passkey"] }));
  };
  const error = await settle(tab.client.signIn(ANA)).catch((e) => e);
  expect(error).toBeInstanceOf(SecondStepRequired);
  expect([error.methods, error.enrol]).toEqual([[], ["totp", "passkey"]]);
});
