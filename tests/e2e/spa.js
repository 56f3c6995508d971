// A single-page app that uses the client for browsers; tests speak to `window.auth` as its code would.
import { createCountersign } from "./web/index.ts";

const auth = createCountersign({ baseURL: document.documentElement.dataset.auth });
window.auth = auth;
auth.subscribe(({ status, user }) => {
  console.log(`state: ${status}`);
  document.querySelector("#state").textContent = status === "signedIn" ? user.email : status;
});
