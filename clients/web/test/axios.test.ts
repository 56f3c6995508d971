// The axios interceptors against the same browser and service.
import axios from "axios";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { withCountersign } from "../src/axios.js";
import { API, pass, World } from "./world.js";

let world: World;
beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
});
afterEach(() => {
  world.end();
  vi.useRealTimers();
});

async function start(options = {}) {
  const tab = world.tab(options);
  const coming = tab.client.signIn({ email: "ana@example.com", password: "right" });
  await pass(1_000);
  await coming;
  const api = axios.create({ adapter: "fetch", env: { fetch: (input: RequestInfo, init?: RequestInit) => world.answer(new Request(input, init), tab) } } as object);
  return { tab, api, undo: withCountersign(api, tab.client) };
}

async function settle<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  await pass(3_000);
  return promise;
}

test("sends the token, and heals a 401 once, with the body", async () => {
  const { api } = await start();
  expect((await settle(api.post(API, { a: 1 }))).data).toEqual({ body: '{"a":1}' });
  world.tokens.clear();
  world.refreshes = world.backend = 0;
  const answers = await settle(Promise.all([api.post(API, { b: 2 }), api.get(API)]));
  expect(answers.map((answer) => answer.data)).toEqual([{ body: '{"b":2}' }, { body: "" }]);
  expect([world.refreshes, world.backend]).toEqual([1, 4]);
});

test("a backend that refuses every token is not asked for ever", async () => {
  const { api } = await start();
  world.refusesEverything = true;
  world.refreshes = world.backend = 0;
  for (let i = 0; i < 3; i++) await expect(settle(api.get(API))).rejects.toMatchObject({ response: { status: 401 } });
  expect([world.refreshes, world.backend]).toEqual([1, 4]);
});

test("undone, it sends nothing more; a caller's own header is left", async () => {
  const { api, undo } = await start();
  await expect(settle(api.get(API, { headers: { Authorization: "Basic x" } }))).rejects.toMatchObject({ response: { status: 401 } });
  undo();
  await expect(settle(api.get(API))).rejects.toMatchObject({ response: { status: 401 } });
});

test("with origins named, no other origin gets the token", async () => {
  const { api } = await start({ origins: ["https://other.example.com"] });
  await expect(settle(api.get(API))).rejects.toMatchObject({ response: { status: 401 } });
  expect(world.refreshes).toBe(0);
});
