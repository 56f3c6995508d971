// The client for Countersign, and where everything is.
import { createCountersign } from "@countersign/web";

export const AUTH = import.meta.env.VITE_AUTH ?? "http://localhost:4000";
export const API = import.meta.env.VITE_API ?? "http://localhost:8000";

/** For the curious: the next request to the backend carries a token that is no good, and the status line tells what comes of it. */
export function spoilNextToken(tell: (line: string) => void): void {
  const real = window.fetch;
  let [spoiled, lines] = [false, [] as string[]];
  window.fetch = async (input, init) => {
    const request = new Request(input, init);
    const path = new URL(request.url).pathname;
    if (!spoiled && request.headers.has("authorization") && request.url.startsWith(API)) {
      spoiled = true;
      request.headers.set("authorization", "Bearer spoiled");
    }
    const answer = await real(request);
    if (spoiled) tell((lines = [...lines, `${path}: ${answer.status}`]).join(", "));
    if (spoiled && answer.ok && request.url.startsWith(API)) window.fetch = real;
    return answer;
  };
}

/** The session. The token is sent to our own backend only. */
export const auth = createCountersign({ baseURL: AUTH, origins: [API] });
