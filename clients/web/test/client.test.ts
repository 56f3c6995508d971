// The client in a browser of our making: who is signed in, when tokens are renewed, what gets lost, eight tabs.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CountersignError, createCountersign, SecondStepRequired } from "../src/index.js";
import { API, BASE, pass, World } from "./world.js";

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
const MINUTE = 60_000;

/** What comes of a promise while time passes. */
async function settle<T>(promise: Promise<T>, ms = 2_000): Promise<T> {
  promise.catch(() => {});
  await pass(ms);
  return promise;
}

async function signedIn(options = {}) {
  const tab = world.tab(options);
  const states: string[] = [];
  tab.client.subscribe((state) => states.push(state.status));
  await pass(1_000);
  await settle(tab.client.signIn(ANA), 500);
  return { tab, states };
}

const status = (tab: { client: { getSnapshot(): { status: string } } }) => tab.client.getSnapshot().status;

describe("who is signed in", () => {
  test("signed out, then Ana, then signed out", async () => {
    const { tab, states } = await signedIn();
    expect(tab.client.getSnapshot().user?.name).toBe("Ana");
    await settle(tab.client.signOut());
    expect(states).toEqual(["loading", "signedOut", "signedIn", "signedOut"]);
    expect(await tab.client.getAccessToken()).toBeNull();
  });

  test("a wrong password is an error with the code, and changes nothing", async () => {
    const tab = world.tab();
    const error = await settle(tab.client.signIn({ ...ANA, password: "wrong" })).catch((e) => e);
    expect(error).toBeInstanceOf(CountersignError);
    expect([error.status, error.code]).toEqual([401, "INVALID_EMAIL_OR_PASSWORD"]);
  });

  test("a reload finds the session by the cookie", async () => {
    const { tab } = await signedIn();
    tab.client.close();
    const reloaded = world.tab();
    expect((await settle(reloaded.client.session()))?.user.name).toBe("Ana");
    expect(reloaded.client.getSnapshot().session?.expiresAt).toBe("2030-01-01T00:00:00.000Z");
  });

  test("the absolute end of the session is known from the sign-in on", async () => {
    const { tab } = await signedIn();
    expect(tab.client.getSnapshot().session).toEqual({ id: expect.any(String), expiresAt: "2030-01-01T00:00:00.000Z" });
  });

  test("a visit without a session is no refusal: the service answers null", async () => {
    const tab = world.tab();
    tab.client.subscribe(() => {});
    await pass(1_000);
    expect([status(tab), world.answered]).toEqual(["signedOut", [200]]);
  });

  test("roles and permissions are the access token's, also those that change", async () => {
    world.claims = { roles: ["user", "lektor"], permissions: ["note:größe"] };
    const { tab } = await signedIn();
    expect(tab.client.getSnapshot().user).toMatchObject({ name: "Ana", roles: ["user", "lektor"], permissions: ["note:größe"] });
    world.claims = {};
    await settle(tab.client.session({ fresh: true }));
    expect(tab.client.getSnapshot().user).toMatchObject({ roles: [], permissions: [] });
  });

  test("a new password goes on in a new session, in all tabs", async () => {
    const { tab } = await signedIn();
    const sister = world.tab();
    sister.client.subscribe(() => {});
    await pass(1_000);
    const before = tab.client.getSnapshot().session!.id;
    expect(sister.client.getSnapshot().session!.id).toBe(before);
    await settle(tab.client.changePassword({ currentPassword: "right", newPassword: "another" }));
    const after = tab.client.getSnapshot().session!.id;
    expect(after).not.toBe(before);
    expect([sister.client.getSnapshot().session!.id, status(sister)]).toEqual([after, "signedIn"]);
    expect((await settle(sister.client.fetch(API))).status).toBe(200);
  });

  test("any other request goes to the service with its path, and a refusal is an error with the code", async () => {
    const { tab } = await signedIn();
    const seen: string[] = [];
    world.before = (path) => void seen.push(path);
    expect(await settle(tab.client.call("/update-user", { name: "Anna" }))).toEqual({ success: true });
    expect(seen).toEqual(["/api/auth/update-user"]);
    world.before = () => new Response('{"code":"PASSWORD_TOO_SHORT","message":""}', { status: 400 });
    await expect(settle(tab.client.call("/reset-password", { token: "t", newPassword: "x" }))).rejects.toMatchObject({ status: 400, code: "PASSWORD_TOO_SHORT" });
  });

  test("the snapshot is the same object until something changes", async () => {
    const { tab } = await signedIn();
    await pass(14 * MINUTE);
    const seen = tab.client.getSnapshot();
    await pass(14 * MINUTE);
    expect(world.refreshes).toBeGreaterThan(1);
    expect(tab.client.getSnapshot()).toBe(seen);
  });

  test("on a server nothing happens and there is no session", async () => {
    const client = createCountersign({ baseURL: BASE });
    const listener = vi.fn();
    client.subscribe(listener)();
    expect(listener).toHaveBeenCalledWith({ status: "loading", user: null, session: null, error: null, hint: null });
    expect(client.getServerSnapshot()).toBe(client.getServerSnapshot());
    expect(await client.getAccessToken()).toBeNull();
    expect(await client.session()).toBeNull();
  });
});

describe("in time", () => {
  test("refreshed between 75 and 90 % of the lifetime, once", async () => {
    await signedIn();
    world.refreshes = 0;
    await pass(0.75 * 15 * MINUTE - 5_000);
    expect(world.refreshes).toBe(0);
    await pass(0.15 * 15 * MINUTE + 10_000);
    expect(world.refreshes).toBe(1);
  });

  test("not while hidden or offline, but on coming back", async () => {
    const { tab } = await signedIn();
    world.refreshes = 0;
    tab.document.visibilityState = "hidden";
    await pass(20 * MINUTE);
    expect(world.refreshes).toBe(0);
    tab.document.visibilityState = "visible";
    tab.document.dispatchEvent(new Event("visibilitychange"));
    await pass(1_000);
    expect(world.refreshes).toBe(1);
    tab.online = false;
    await pass(20 * MINUTE);
    tab.online = true;
    tab.say("online");
    await pass(1_000);
    expect([world.refreshes, status(tab)]).toEqual([2, "signedIn"]);
  });

  test("after a sleep in which timers stood still", async () => {
    const { tab } = await signedIn();
    const before = await tab.client.getAccessToken();
    world.slept = 60 * MINUTE;
    tab.say("focus");
    await pass(1_000);
    const after = await tab.client.getAccessToken();
    expect(after).not.toBe(before);
    expect((await settle(tab.client.fetch(API))).status).toBe(200);
  });

  test.each([-10 * 365 * 24 * 60 * MINUTE, -MINUTE, 10 * 365 * 24 * 60 * MINUTE])("a clock that is wrong by %i ms, or set so meanwhile, does no harm", async (skew) => {
    world.skew = skew;
    const { tab } = await signedIn();
    for (const next of [skew, 0, -skew]) {
      world.skew = next;
      await pass(13 * MINUTE);
      expect((await settle(tab.client.fetch(API))).status).toBe(200);
      expect(status(tab)).toBe("signedIn");
    }
  });

  test("a page put away and brought back asks again", async () => {
    const { tab } = await signedIn();
    tab.say("pagehide");
    await pass(1);
    expect((await world.locks!.query()).held).toEqual([]);
    world.jar = null;
    tab.window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    await pass(1_000);
    expect(status(tab)).toBe("signedOut");
  });
});

describe("fetch", () => {
  test("sends the token, and heals a 401 with one refresh and one replay, body and all", async () => {
    const { tab } = await signedIn();
    world.tokens.clear();
    world.refreshes = world.backend = 0;
    const answers = await settle(Promise.all(["a", "b", "c"].map((body) => tab.client.fetch(API, { method: "POST", body }))));
    expect(await Promise.all(answers.map((answer) => answer.json()))).toEqual([{ body: "a" }, { body: "b" }, { body: "c" }]);
    expect([world.refreshes, world.backend]).toEqual([1, 6]);
  });

  test("a streamed body is sent again too", async () => {
    const { tab } = await signedIn();
    world.tokens.clear();
    const body = new Blob(["one ", "two"]).stream();
    const answer = await settle(tab.client.fetch(API, { method: "POST", body, duplex: "half" } as RequestInit));
    expect(await answer.json()).toEqual({ body: "one two" });
  });

  test("a backend that refuses every token is asked twice, and then once each time", async () => {
    const { tab } = await signedIn();
    world.refusesEverything = true;
    world.refreshes = world.backend = 0;
    for (let i = 0; i < 3; i++) expect((await settle(tab.client.fetch(API))).status).toBe(401);
    expect([world.refreshes, world.backend, status(tab)]).toEqual([1, 4, "signedIn"]);
  });

  test("with origins named, no other origin gets the token; a caller's own is left", async () => {
    const { tab } = await signedIn({ origins: ["https://other.example.com/"] });
    expect((await settle(tab.client.fetch(API))).status).toBe(401);
    const own = world.tab();
    const seen = vi.fn();
    world.before = () => void seen();
    expect((await settle(own.client.fetch(API, { headers: { authorization: "Basic x" } }))).status).toBe(401);
    expect(seen).not.toHaveBeenCalled();
  });
});

describe("answers that get lost", () => {
  test("the same token after one and two seconds; then later; no user is signed out", async () => {
    const { tab } = await signedIn();
    let at: number[] = [];
    world.before = (path) => {
      if (path.endsWith("/refresh")) at.push(performance.now());
      throw new TypeError("Failed to fetch");
    };
    const refused = settle(tab.client.session({ fresh: true }), 4_000);
    await expect(refused).rejects.toMatchObject({ status: 0, code: "NETWORK_ERROR" });
    expect(at.map((t) => Math.round((t - at[0]!) / 500) / 2)).toEqual([0, 1, 3]);
    expect(tab.client.getSnapshot()).toMatchObject({ status: "signedIn", error: null });
    await pass(14 * MINUTE);
    expect(tab.client.getSnapshot()).toMatchObject({ status: "signedIn", error: { code: "NETWORK_ERROR" } });
    at = [];
    await pass(5 * MINUTE);
    expect(at.length).toBeGreaterThan(6);
    expect(at.length).toBeLessThan(40);
    world.before = () => {};
    await pass(2 * MINUTE);
    expect(tab.client.getSnapshot()).toMatchObject({ status: "signedIn", error: null });
  });

  describe("the first question gets no answer", () => {
    const refuse = (path: string) => {
      if (path.endsWith("/refresh")) throw new TypeError("Failed to fetch");
    };

    test.each([
      ["the page's origin is not trusted", refuse, /refuses requests of this page. Add "http:\/\/localhost:5173" to server.trusted_origins/],
      ["the service says so", () => new Response('{"code":"INVALID_ORIGIN","message":""}', { status: 403 }), /Add "http:\/\/localhost:5173" to server.trusted_origins/],
      [
        "there is no service",
        () => {
          throw new TypeError("Failed to fetch");
        },
        /no answer from https:\/\/auth.example.com\/api\/auth\/refresh. Is the service running, and are baseURL and basePath right/,
      ],
      ["the path is another", () => new Response("", { status: 404 }), /no answer .* basePath right/],
      ["it has a fault", () => new Response('{"code":"INTERNAL_SERVER_ERROR","message":"a fault"}', { status: 500 }), /answers 500 INTERNAL_SERVER_ERROR: a fault/],
    ] as const)("%s: an error with a hint, once in the console", async (_, before, hint) => {
      world.before = before;
      const tab = world.tab();
      const states: string[] = [];
      tab.client.subscribe((state) => states.push(state.status));
      await pass(10_000);
      expect(tab.client.getSnapshot()).toMatchObject({ status: "error", user: null, hint: expect.stringMatching(hint) });
      expect(tab.client.getSnapshot().error).toBeInstanceOf(CountersignError);
      await pass(5 * MINUTE);
      expect(world.warnings).toEqual([expect.stringMatching(hint)]);
      // It goes on asking, and an answer ends the error.
      world.before = () => {};
      await pass(2 * MINUTE);
      expect(tab.client.getSnapshot()).toMatchObject({ status: "signedOut", error: null, hint: null });
      expect([states[0], states.at(-1), new Set(states).size]).toEqual(["loading", "signedOut", 3]);
    });

    test("nothing is written to the console of a page in production", async () => {
      world.origin = "https://localhost.example.com";
      world.before = refuse;
      const tab = world.tab();
      tab.client.subscribe(() => {});
      await pass(10_000);
      expect(tab.client.getSnapshot()).toMatchObject({ status: "error", hint: expect.stringContaining("https://localhost.example.com") });
      expect(world.warnings).toEqual([]);
    });

    test("an answer at the third attempt is no error", async () => {
      let attempts = 0;
      world.before = (path) => {
        if (path.endsWith("/refresh") && ++attempts < 3) throw new TypeError("Failed to fetch");
      };
      const tab = world.tab();
      const states: string[] = [];
      tab.client.subscribe((state) => states.push(state.status));
      await pass(10_000);
      expect(states).toEqual(["loading", "signedOut"]);
      expect(world.warnings).toEqual([]);
    });

    test("who is signed in stays so", async () => {
      const { tab } = await signedIn();
      world.before = refuse;
      await pass(20 * MINUTE);
      expect(tab.client.getSnapshot()).toMatchObject({ status: "signedIn", error: { code: "NETWORK_ERROR" }, hint: null });
    });
  });

  test("a rotation whose answer is lost is repeated inside the grace", async () => {
    const { tab } = await signedIn();
    let losses = 2;
    world.lost = true;
    world.after = (path) => {
      if (path.endsWith("/refresh") && losses-- > 0) throw new TypeError("network error");
      world.lost = false;
    };
    expect(await settle(tab.client.session({ fresh: true }), 5_000)).not.toBeNull();
    expect(losses).toBe(-1);
  });

  test.each([429, 500, 502, 503])("a %i is no sign-out, and Retry-After is kept to", async (code) => {
    const { tab } = await signedIn();
    const at: number[] = [];
    world.before = () => {
      at.push(performance.now());
      if (at.length < 3) return new Response("{}", { status: code, headers: { "retry-after": "4" } });
    };
    expect(await settle(tab.client.session({ fresh: true }), 12_000)).not.toBeNull();
    expect(at.map((t) => Math.round((t - at[0]!) / 1_000))).toEqual([0, 4, 8]);
  });

  test("the network's return ends the pause", async () => {
    const { tab } = await signedIn();
    tab.online = false;
    const coming = tab.client.session({ fresh: true });
    await pass(100);
    tab.online = true;
    tab.say("online");
    await pass(200);
    expect(await coming).not.toBeNull();
  });

  test("while the service is away a token that still lasts is used", async () => {
    const { tab } = await signedIn();
    const held = await tab.client.getAccessToken();
    world.before = () => new Response("", { status: 503 });
    await pass(14 * MINUTE);
    expect(await settle(tab.client.getAccessToken(), 15_000)).toBe(held);
    await pass(MINUTE);
    await expect(settle(tab.client.getAccessToken(), 15_000)).rejects.toMatchObject({ status: 503 });
    expect(status(tab)).toBe("signedIn");
  });
});

describe("retry tickets", () => {
  const key = `countersign:${BASE}/api/auth:ticket`;
  /** Time for one refresh, and not for two. */
  const renewal = () => pass(14 * MINUTE);
  const isRefresh = (path: string) => path.endsWith("/refresh");
  const row = () => world.live.get(world.jar!.session)!;

  async function ticketed() {
    const { tab } = await signedIn();
    [world.tickets, world.refreshes] = [[], 0];
    return tab;
  }

  /** The service acts, and no answer arrives. */
  function loseAnswers(lost: boolean) {
    world.lost = lost;
    world.after = (path) => {
      if (lost && isRefresh(path)) throw new TypeError("Failed to fetch");
    };
  }

  test("asked for at the sign-in, stored before it is sent, dropped when a successor has come", async () => {
    await ticketed();
    expect(row().retry).toBe("ticket");
    const stored: unknown[] = [];
    world.before = (path) => void (isRefresh(path) && stored.push(world.storage!.items.get(key)));
    await renewal();
    expect(stored).toEqual(world.tickets);
    expect(stored).toEqual([expect.stringMatching(/^[A-Za-z0-9_-]{22}$/)]);
    expect(world.storage!.items.size).toBe(0);
    await renewal();
    expect(new Set(world.tickets).size).toBe(2);
  });

  test("a device that was away before the answer came goes on hours later", async () => {
    const tab = await ticketed();
    loseAnswers(true);
    await renewal();
    expect(world.tickets.length).toBeGreaterThan(1);
    loseAnswers(false);
    world.slept += 6 * 60 * MINUTE;
    tab.say("online");
    await pass(MINUTE);
    expect(new Set(world.tickets).size).toBe(1);
    expect(status(tab)).toBe("signedIn");
    expect(world.storage!.items.size).toBe(0);
  });

  test("a tab that dies while its request is under way leaves its ticket to the others", async () => {
    const first = await ticketed();
    loseAnswers(true);
    await renewal();
    first.client.close();
    loseAnswers(false);
    world.slept += 60 * MINUTE;
    const second = world.tab();
    await settle(second.client.session());
    expect(new Set(world.tickets).size).toBe(1);
    expect(status(second)).toBe("signedIn");
  });

  test("a token that is kept keeps its ticket, and a successor drops it", async () => {
    const tab = await ticketed();
    world.cooldown = 5 * MINUTE;
    await renewal();
    expect(world.storage!.items.size).toBe(0);
    await settle(tab.client.session({ fresh: true }));
    const kept = world.storage!.items.get(key);
    expect(kept).toBe(world.tickets[1]);
    await renewal();
    expect(world.tickets[2]).toBe(kept);
    expect(world.storage!.items.size).toBe(0);
  });

  test("a tab takes no ticket that another tab has used up", async () => {
    const first = await ticketed();
    const second = world.tab();
    second.client.subscribe(() => {});
    await pass(1_000);
    [world.tickets, world.refreshes] = [[], 0];
    // The first tab's answer is lost; the second one asks again with the same ticket, and a successor comes.
    loseAnswers(true);
    first.client.session({ fresh: true }).catch(() => {});
    await pass(30_000);
    loseAnswers(false);
    await settle(second.client.session({ fresh: true }));
    const used = new Set(world.tickets);
    expect([used.size, world.storage!.items.size]).toEqual([1, 0]);
    await settle(first.client.session({ fresh: true }));
    expect(used.has(world.tickets.at(-1)!)).toBe(false);
    expect([status(first), status(second)]).toEqual(["signedIn", "signedIn"]);
  });

  test("a late answer leaves the ticket that another tab has stored since", async () => {
    const tab = await ticketed();
    let other: string | undefined;
    world.after = (path) => {
      if (isRefresh(path) && !other) world.storage!.items.set(key, (other = "EBESExQVFhcYGRobHB0eHw"));
    };
    await settle(tab.client.session({ fresh: true }));
    expect(world.storage!.items.get(key)).toBe(other);
  });

  test.each([
    ["without locks", () => void (world.locks = undefined)],
    ["without storage", () => void (world.storage = undefined)],
    ["where the storage refuses", () => void (world.storage!.refuses = true)],
  ])("%s a session does not ask for them, and is refreshed all the same", async (_, prepare) => {
    prepare();
    const tab = await ticketed();
    expect(row().retry).toBe("window");
    await renewal();
    expect([status(tab), world.refreshes]).toEqual(["signedIn", 1]);
  });

  test("storage that is refused later on does not end the session", async () => {
    const tab = await ticketed();
    world.storage!.refuses = true;
    await renewal();
    await renewal();
    expect([status(tab), new Set(world.tickets).size]).toEqual(["signedIn", 2]);
  });

  test("a new password goes on with tickets", async () => {
    const tab = await ticketed();
    await settle(tab.client.changePassword({ currentPassword: "right", newPassword: "another" }));
    expect(row().retry).toBe("ticket");
    await renewal();
    expect(status(tab)).toBe("signedIn");
  });
});

describe("the second step", () => {
  const CODE = { code: "111111" };
  const BO = { email: "bo@example.com", password: "right" };
  const id = (tab: { client: { getSnapshot(): { session: { id: string } | null } } }) => tab.client.getSnapshot().session?.id;
  const isCode = (path: string) => path.includes("/two-factor/");
  const loseAnswer = (path: string) => {
    if (isCode(path)) throw new TypeError("Failed to fetch");
  };

  /** Two tabs of a browser in which the password was right. */
  async function pending() {
    world.secured.add(ANA.email);
    const [tab, sister] = [world.tab(), world.tab()];
    for (const each of [tab, sister]) each.client.subscribe(() => {});
    await pass(1_000);
    const error = await settle(tab.client.signIn(ANA)).catch((e) => e);
    return { tab, sister, error };
  }

  /** Two tabs of a browser in which both steps are done. */
  async function done() {
    const { tab, sister } = await pending();
    await settle(tab.client.secondStep(CODE));
    return { tab, sister, before: id(tab) };
  }

  test("a right password alone is an error that says what is asked for; a code signs all tabs in", async () => {
    const { tab, sister, error } = await pending();
    expect(error).toBeInstanceOf(SecondStepRequired);
    expect(error).toBeInstanceOf(CountersignError);
    expect([error.code, error.methods]).toEqual(["SECOND_STEP_REQUIRED", ["totp"]]);
    expect([status(tab), status(sister)]).toEqual(["signedOut", "signedOut"]);
    const user = await settle(tab.client.secondStep({ ...CODE, trustDevice: true }));
    expect([user.email, user.roles, user.twoFactorEnabled]).toEqual([ANA.email, ["user"], true]);
    expect([status(tab), status(sister), id(sister)]).toEqual(["signedIn", "signedIn", id(tab)]);
    expect(world.said).toMatchObject([{ ...CODE, trustDevice: true }]);
  });

  test("the session keeps the retry tickets that the sign-in asked for", async () => {
    const { tab } = await done();
    expect(world.live.get(world.jar!.session)!.retry).toBe("ticket");
    await pass(14 * MINUTE);
    expect([status(tab), world.tickets.length > 0]).toEqual(["signedIn", true]);
  });

  test("the sign-in ends the session that the browser had, in all tabs", async () => {
    const { tab } = await signedIn();
    const sister = world.tab();
    sister.client.subscribe(() => {});
    await pass(1_000);
    world.secured.add(ANA.email);
    world.refreshes = 0;
    await expect(settle(sister.client.signIn(ANA))).rejects.toMatchObject({ code: "SECOND_STEP_REQUIRED" });
    expect([status(tab), status(sister), await tab.client.getAccessToken()]).toEqual(["signedOut", "signedOut", null]);
  });

  test("a tab that knows of no session yet ends that of its sisters too", async () => {
    const { tab } = await signedIn();
    world.secured.add(ANA.email);
    const fresh = world.tab();
    await expect(settle(fresh.client.signIn(ANA))).rejects.toMatchObject({ code: "SECOND_STEP_REQUIRED" });
    expect([status(tab), status(fresh)]).toEqual(["signedOut", "signedOut"]);
  });

  test("a wrong code is an error with the code and changes nothing; after five the sign-in begins again", async () => {
    const { tab } = await pending();
    for (let tried = 0; tried < 4; tried++) await expect(settle(tab.client.secondStep({ code: "000000" }))).rejects.toMatchObject({ status: 401, code: "INVALID_CODE" });
    expect(status(tab)).toBe("signedOut");
    await expect(settle(tab.client.secondStep({ recoveryCode: "wrong" }))).rejects.toMatchObject({ status: 401, code: "INVALID_BACKUP_CODE" });
    await expect(settle(tab.client.secondStep(CODE))).rejects.toMatchObject({ status: 400, code: "TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE" });
    await expect(settle(tab.client.signIn(ANA))).rejects.toMatchObject({ code: "SECOND_STEP_REQUIRED" });
    expect((await settle(tab.client.secondStep(CODE))).name).toBe("Ana");
  });

  test("a recovery code takes the place of the app; an empty field is no recovery code", async () => {
    const { tab } = await pending();
    await settle(tab.client.secondStep({ code: "", recoveryCode: "AAAA-BBBB-CCCC-DDDD" }));
    await settle(tab.client.secondStep({ ...CODE, recoveryCode: "" }));
    expect([status(tab), world.recoveryCodes.size, world.codes.size]).toEqual(["signedIn", 0, 1]);
    await expect(settle(tab.client.secondStep({}))).rejects.toMatchObject({ status: 400, errors: { code: ["required"] } });
  });

  test("a tab that was closed between the two steps leaves the second to any other", async () => {
    const { tab, sister } = await pending();
    for (const each of [tab, sister]) each.client.close();
    const reloaded = world.tab();
    expect(await settle(reloaded.client.session())).toBeNull();
    expect((await settle(reloaded.client.secondStep(CODE))).name).toBe("Ana");
    expect(status(reloaded)).toBe("signedIn");
  });

  test("a code without a sign-in is refused", async () => {
    const tab = world.tab();
    await expect(settle(tab.client.secondStep(CODE))).rejects.toMatchObject({ status: 401, code: "INVALID_TWO_FACTOR_COOKIE" });
  });

  test("a look at the service while the user reads the code disturbs nothing", async () => {
    const { tab, sister } = await pending();
    await pass(15_000);
    tab.say("focus");
    await pass(10);
    await settle(tab.client.secondStep(CODE));
    expect([status(tab), status(sister), id(sister)]).toEqual(["signedIn", "signedIn", id(tab)]);
  });

  test("of two tabs that send one code one is refused, and both are signed in", async () => {
    const { tab, sister } = await pending();
    const outcomes = await settle(Promise.allSettled([tab, sister].map((each) => each.client.secondStep(CODE))));
    expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(outcomes.find((outcome) => outcome.status === "rejected")).toMatchObject({ reason: { code: "INVALID_CODE" } });
    expect([status(tab), status(sister), id(sister)]).toEqual(["signedIn", "signedIn", id(tab)]);
  });

  describe.each([true, false])("another user who signs in meanwhile (locks: %s)", (hasLocks) => {
    test.each([
      ["stays, if that answer comes last", false, "signedIn"],
      ["is signed out, if the cookies are cleared after it", true, "signedOut"],
    ] as const)("%s", async (_, clears, expected) => {
      if (!hasLocks) world.locks = undefined;
      world.secured.add(ANA.email);
      const [tab, sister] = [world.tab(), world.tab()];
      for (const each of [tab, sister]) each.client.subscribe(() => {});
      await pass(1_000);
      let answers = 0;
      world.after = async (path) => {
        if (!path.endsWith("/sign-in/email") || answers++) return;
        // Without locks the other sign-in overtakes this answer.
        await new Promise((resolve) => setTimeout(resolve, 500));
        if (clears) world.jar = null;
      };
      const first = tab.client.signIn(ANA).catch((e) => e);
      await pass(100);
      const second = sister.client.signIn(BO);
      await pass(3_000);
      expect([await first, (await second).email]).toMatchObject([{ code: "SECOND_STEP_REQUIRED" }, BO.email]);
      const seen = hasLocks ? "signedIn" : expected;
      expect([status(tab), status(sister), world.jar !== null]).toEqual([seen, seen, seen === "signedIn"]);
      // The code of the one is none of the other's: the session stays what it is.
      world.codes.clear();
      await expect(settle(tab.client.secondStep(CODE))).rejects.toMatchObject({ code: "INVALID_CODE" });
      expect(tab.client.getSnapshot().user?.email).toBe(seen === "signedIn" ? BO.email : undefined);
    });
  });

  test("in a session it proves the factor again, and goes on in a new one in all tabs", async () => {
    const { tab, sister, before } = await done();
    await settle(sister.client.secondStep({ code: "222222" }));
    expect(id(sister)).not.toBe(before);
    expect([status(tab), id(tab)]).toEqual(["signedIn", id(sister)]);
    expect((await settle(tab.client.fetch(API))).status).toBe(200);
    await expect(settle(tab.client.secondStep({ code: "222222" }))).rejects.toMatchObject({ code: "INVALID_CODE" });
    expect([status(tab), status(sister)]).toEqual(["signedIn", "signedIn"]);
  });

  test.each([true, false])("an answer that is lost after its cookies came is no failure (locks: %s)", async (hasLocks) => {
    if (!hasLocks) world.locks = undefined;
    const { tab, sister } = await pending();
    world.after = loseAnswer;
    expect(await settle(tab.client.secondStep(CODE), 5_000)).toMatchObject({ email: ANA.email, roles: ["user"] });
    expect([status(tab), status(sister), id(sister)]).toEqual(["signedIn", "signedIn", id(tab)]);
    const before = id(tab);
    await settle(tab.client.secondStep({ code: "222222" }), 5_000);
    expect(id(tab)).not.toBe(before);
    expect([id(sister), world.said.length]).toEqual([id(tab), 2]);
  });

  test("a request that is lost is an error, and the code is good for the next one", async () => {
    const { tab, sister } = await pending();
    world.before = loseAnswer;
    await expect(settle(tab.client.secondStep(CODE), 5_000)).rejects.toMatchObject({ code: "NETWORK_ERROR" });
    expect([status(tab), status(sister)]).toEqual(["signedOut", "signedOut"]);
    world.before = () => {};
    await settle(tab.client.secondStep(CODE));
    const before = id(tab);
    world.before = loseAnswer;
    await expect(settle(tab.client.secondStep({ code: "222222" }), 5_000)).rejects.toMatchObject({ code: "NETWORK_ERROR" });
    expect([status(tab), id(tab), id(sister)]).toEqual(["signedIn", before, before]);
  });

  test("an answer that is lost with its cookies is an error, and leaves this browser signed out", async () => {
    const { tab, sister } = await done();
    world.after = loseAnswer;
    world.before = (path) => void (world.lost = isCode(path));
    await expect(settle(tab.client.secondStep({ code: "222222" }), 5_000)).rejects.toMatchObject({ code: "NETWORK_ERROR" });
    expect([status(tab), status(sister)]).toEqual(["signedOut", "signedOut"]);
  });

  test("without a network at all the client finds the session once there is one", async () => {
    const { tab, sister } = await pending();
    world.after = (path) => {
      if (isCode(path)) tab.online = false;
      loseAnswer(path);
    };
    await expect(settle(tab.client.secondStep(CODE), 15_000)).rejects.toMatchObject({ code: "NETWORK_ERROR" });
    expect(status(tab)).toBe("signedOut");
    tab.online = true;
    tab.say("online");
    await pass(MINUTE);
    expect([status(tab), status(sister), id(sister)]).toEqual(["signedIn", "signedIn", id(tab)]);
  });

  test("on a server nothing is kept", async () => {
    const client = createCountersign({ baseURL: BASE });
    const fetched = vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response('{"twoFactorRedirect":true,"twoFactorMethods":["totp"]}'));
    await expect(client.signIn(ANA)).rejects.toBeInstanceOf(SecondStepRequired);
    expect([client.getSnapshot().status, fetched.mock.calls.length]).toEqual(["loading", 1]);
    fetched.mockRestore();
  });
});

describe.each([
  ["with locks and a channel", true, true],
  ["with a channel alone", false, true],
  ["with neither", false, false],
])("eight tabs %s", (_, hasLocks, hasChannel) => {
  const HOUR = 60 * MINUTE;

  async function eight() {
    if (!hasLocks) world.locks = undefined;
    world.hasChannel = hasChannel;
    const { tab } = await signedIn();
    const others = Array.from({ length: 7 }, () => world.tab());
    for (const other of others) other.client.subscribe(() => {});
    await pass(2_000);
    return [tab, ...others];
  }

  test("an hour, with reloads: everybody stays, one refresh a lifetime where tabs can talk", async () => {
    const tabs = await eight();
    world.refreshes = 0;
    for (let minute = 0; minute < 60; minute++) {
      const at = minute % tabs.length;
      tabs[at]!.client.close();
      tabs[at] = world.tab();
      tabs[at]!.client.subscribe(() => {});
      await pass(MINUTE);
      expect(tabs.map(status)).toEqual(Array(8).fill("signedIn"));
    }
    const lifetimes = HOUR / (world.ttl * 1_000);
    if (hasChannel) expect(world.refreshes).toBeLessThanOrEqual(Math.ceil(lifetimes / 0.75) + 1);
    expect(world.refreshes).toBeGreaterThanOrEqual(lifetimes);
  });

  test("signing out here is signing out everywhere", async () => {
    const tabs = await eight();
    await settle(tabs[3]!.client.signOut());
    if (hasChannel) expect(tabs.map(status)).toEqual(Array(8).fill("signedOut"));
    await pass(15 * MINUTE);
    expect(tabs.map(status)).toEqual(Array(8).fill("signedOut"));
  });

  test("a session ended from elsewhere ends in all of them with one question, where tabs can talk", async () => {
    const tabs = await eight();
    world.live.clear();
    world.refreshes = 0;
    expect(await settle(tabs[5]!.client.session({ fresh: true }))).toBeNull();
    if (!hasChannel) return;
    expect(tabs.map(status)).toEqual(Array(8).fill("signedOut"));
    expect(world.refreshes).toBe(1);
  });

  test("signing in as another shows in all of them", async () => {
    const tabs = await eight();
    const before = tabs[0]!.client.getSnapshot().session!.id;
    await settle(tabs[2]!.client.signIn(ANA));
    const now = tabs[2]!.client.getSnapshot().session!.id;
    expect(now).not.toBe(before);
    if (hasChannel) expect(tabs.map((tab) => tab.client.getSnapshot().session!.id)).toEqual(Array(8).fill(now));
  });

  test("a refresh under way during a sign-out does not restore the session", async () => {
    const tabs = await eight();
    const late = tabs[0]!.client.session({ fresh: true });
    const out = tabs[0]!.client.signOut();
    await pass(2_000);
    await Promise.all([late, out]);
    expect(status(tabs[0]!)).toBe("signedOut");
  });
});

test("a tab whose clock is set back takes no old token for a new one", async () => {
  const { tab } = await signedIn();
  await pass(10 * MINUTE);
  world.skew = -10 * MINUTE;
  const sister = world.tab();
  sister.client.subscribe(() => {});
  await pass(500);
  expect(await sister.client.getAccessToken()).toBe(await tab.client.getAccessToken());
  for (let minute = 0; minute < 10; minute++) {
    await pass(MINUTE);
    for (const each of [tab, sister]) expect((await settle(each.client.fetch(API), 500)).status).toBe(200);
  }
});

test("a listener that throws stops nothing: all tabs are signed out", async () => {
  const { tab } = await signedIn();
  const sister = world.tab();
  sister.client.subscribe(() => {});
  await pass(1_000);
  const thrown: unknown[] = [];
  const before = tab.client.getSnapshot();
  tab.client.subscribe((state) => {
    if (state !== before) throw new Error("the application's fault");
  });
  const original = globalThis.setTimeout;
  const timeout = vi.spyOn(globalThis, "setTimeout");
  // What would be the page's `error` event.
  timeout.mockImplementation(((work: () => void, ms?: number) => original(() => {
    try {
      work();
    } catch (error) {
      thrown.push(error);
    }
  }, ms)) as never);
  await settle(tab.client.signOut());
  timeout.mockRestore();
  expect([status(tab), status(sister), thrown.length]).toEqual(["signedOut", "signedOut", 1]);
});

test("signing out everywhere with a session that is over ends nothing elsewhere, and says so", async () => {
  const { tab } = await signedIn();
  world.before = (path) => {
    if (path.endsWith("/revoke-sessions")) return new Response("{}", { status: 401 });
  };
  await expect(settle(tab.client.signOut({ everywhere: true }))).rejects.toMatchObject({ status: 401 });
  expect(status(tab)).toBe("signedOut");
});

test("everywhere: done even if the last answer is lost", async () => {
  const { tab } = await signedIn();
  world.before = (path) => {
    if (path.endsWith("/sign-out")) throw new TypeError("Failed to fetch");
  };
  await settle(tab.client.signOut({ everywhere: true }));
  expect(status(tab)).toBe("signedOut");
});

test("who comes back to the page learns of a session that ended elsewhere", async () => {
  const { tab } = await signedIn();
  await pass(MINUTE);
  world.live.clear();
  tab.say("focus");
  await pass(1_000);
  expect(status(tab)).toBe("signedOut");
});

test("a request is not kept waiting by a service that hangs while the token is good", async () => {
  const { tab } = await signedIn();
  tab.document.visibilityState = "hidden";
  await pass(13.8 * MINUTE);
  const held = world.tokens.size;
  world.hangs = true;
  const began = performance.now();
  expect((await settle(tab.client.fetch(API), 1_500)).status).toBe(200);
  expect(performance.now() - began).toBeLessThan(2_000);
  expect(world.tokens.size).toBe(held);
  world.hangs = false;
});

test("on a server a sign-in leaves no session behind", async () => {
  const client = createCountersign({ baseURL: BASE });
  const grant = { accessToken: "e30.eyJzaWQiOiJzIn0.s", expiresIn: 900, session: { id: "s", expiresAt: "2030-01-01T00:00:00.000Z" }, user: { name: "Ana" } };
  const fetched = vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response(JSON.stringify(grant)));
  expect((await client.signIn(ANA)).name).toBe("Ana");
  expect([client.getSnapshot().status, await client.session({ fresh: true }), await client.replace("x")]).toEqual(["loading", null, null]);
  await client.signOut();
  expect(client.getSnapshot().status).toBe("loading");
  expect(fetched).toHaveBeenCalledTimes(2);
  fetched.mockRestore();
});

test("a lock that a tab never releases is waited for no longer than the service permits", async () => {
  const stuck = new AbortController();
  const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => (ms === 45_000 ? stuck.signal : new AbortController().signal));
  void world.locks!.request(`countersign:${BASE}/api/auth`, () => new Promise(() => {}));
  const coming = world.tab().client.session();
  await pass(10_000);
  expect(world.refreshes).toBe(0);
  stuck.abort();
  expect(await settle(coming)).toBeNull();
  expect(world.refreshes).toBe(1);
  timeout.mockRestore();
});
