// The backend: refusals as errors that a form can show.
import { API, auth } from "./auth.js";

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** What is wrong with which field. */
    readonly fields: Record<string, string> = {},
  ) {
    super(message);
  }
}

const WORDS: Record<number, string> = {
  401: "Please sign in again.",
  403: "You are not allowed to see this.",
  404: "There is nothing here.",
  429: "Too many requests. Please wait a little.",
  500: "The backend had a fault. It is not you.",
  503: "The backend cannot answer just now. Please try again in a moment.",
};

/** FastAPI's 422: `detail` is a list of `{ loc: ["body", "text"], msg }`. */
const fieldsOf = (detail: unknown): Record<string, string> =>
  Array.isArray(detail) ? Object.fromEntries(detail.map(({ loc, msg }: { loc: string[]; msg: string }) => [loc.at(-1) ?? "", msg])) : {};

export async function api<T>(path: string, body?: object): Promise<T> {
  const post = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const answer = await auth.fetch(API + path, post).catch(() => {
    throw new Refused(0, "No answer came. If something was to be saved, please look before you try again.");
  });
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said as T;
  throw new Refused(answer.status, WORDS[answer.status] ?? "Please mend what is marked.", fieldsOf(said.detail));
}
