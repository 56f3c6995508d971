// The forms of the pages as people find them: by the words at their fields and on their buttons.
import { mailsTo, waitFor } from "./place.mjs";
import { PASSWORD } from "./visitor.mjs";

export { PASSWORD };
export const OTHER = "another good password";

export const field = (page, label) => page.getByLabel(label, { exact: true });
export const press = (page, name) => page.getByRole("button", { name, exact: true }).click();

export async function signUp({ page, open, at }, name, password = PASSWORD) {
  await open("/auth/sign-up");
  await field(page, "Name").fill(name);
  await field(page, "Email address").fill(`${name}@example.com`);
  await newPassword(page, "Password", password);
  await press(page, "Create account");
  await at("/auth/account");
}

/** A new password; without script it is typed twice. */
export async function newPassword(page, label, password, again = password) {
  await field(page, label).fill(password);
  const second = field(page, "Repeat the password");
  if (await second.count()) await second.fill(again);
}

export async function signIn({ page, open }, name, password = PASSWORD, path = "/auth/sign-in") {
  await open(path);
  await field(page, "Email address").fill(`${name}@example.com`);
  await field(page, "Password").fill(password);
  await press(page, "Sign in");
}

export const lastMail = (place, to, subject) => waitFor(() => mailsTo(place, to).filter((m) => subject.test(m.subject)).at(-1), `a mail to ${to}`);
