// A single-page app that uses the client for browsers; tests speak to `window.auth` as its code would.
import { createCountersign } from "./web/index.ts";

// With `?form` in its address the page has a form of its own for a step-up: `window.form`, which a test gives.
const own = new URLSearchParams(location.search).has("form") && { onStepUp: (needed) => window.form(needed) };
const auth = createCountersign({ baseURL: document.documentElement.dataset.auth, ...own });
window.auth = auth;
auth.subscribe(({ status, user }) => {
  console.log(`state: ${status}`);
  document.querySelector("#state").textContent = status === "signedIn" ? user.email : status;
});
