// A visitor of the pages, with a browser of its own.
import { watch } from "./looking.mjs";
import { waitFor } from "./place.mjs";

export const PASSWORD = "a good long password";

/** A browser of one person, and what it is told to do. */
export async function visitor(place, options = {}) {
  const context = await place.browser.newContext({ locale: "en-GB", ...options });
  await watch(context);
  const page = await context.newPage();
  page.on("dialog", (dialog) => dialog.accept());
  const open = (path) => page.goto(place.auth + path);
  const at = (path) => page.waitForURL((url) => url.pathname + url.search === path || url.pathname === path);
  /** Fills the fields of a form and sends it. */
  const send = async (form, fields) => {
    for (const [name, value] of Object.entries(fields)) await page.locator(`#${form} input[name=${name}]`).first().fill(value);
    await page.locator(`#${form} button:not([type=button])`).click();
  };
  const focused = (id) => waitFor(() => page.evaluate((id) => document.activeElement?.id === id, id), `the focus on ${id}`);
  return { context, page, open, at, send, focused };
}

/** Makes an account with a password. */
export async function signUp({ page, open, at, send }, name) {
  await open("/auth/sign-up");
  const again = page.locator("#sign-up input[name=again]");
  const fields = { name, email: `${name}@example.com`, password: PASSWORD };
  await send("sign-up", (await again.count()) ? { ...fields, again: PASSWORD } : fields);
  await at("/auth/account");
}

/** Sends the form with the password. */
export const signIn = async ({ open, send }, name, path = "/auth/sign-in") => {
  await open(path);
  await send("sign-in", { email: `${name}@example.com`, password: PASSWORD });
};
