// The forms of the sign-in and of the sign-up in a real browser: what they check, what they keep, and where they lead.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { OTHER, PASSWORD, field, press, signIn, signUp } from "./labels.mjs";
import { look, looked, watch } from "./looking.mjs";
import { cookie, linkIn, mailsTo, start, waitFor } from "./place.mjs";
import { visitor } from "./visitor.mjs";

let place;
before(async () => (place = await start()));
after(async () => {
  await place?.stop();
  looked();
});

test("what is typed is checked while it is typed; buttons rest while a form is sent; passwords can be seen", async () => {
  const { page, open, context, at } = await visitor(place);
  await open("/auth/sign-up");
  await field(page, "Name").fill("bob");
  const email = field(page, "Email address");
  await email.fill("not an address");
  await email.blur();
  await page.getByText("Please enter an email address such as name@example.com.").waitFor();
  assert.equal(await email.getAttribute("aria-invalid"), "true");
  await email.fill("bob@example.com");
  assert.equal(await email.getAttribute("aria-invalid"), null);
  const password = field(page, "Password");
  await password.fill("1234");
  await password.blur();
  await page.getByText("Please use at least 8 characters.").waitFor();
  const strength = page.locator(".strength");
  assert.equal(await strength.isVisible(), false, "nothing is said about what is too short");
  for (const [typed, said] of [["password123", "This password is too easy to guess."], ["bob@example.com", "This password is too easy to guess."], ["aaaaaaaaab", "Easy to guess"], ["clumsy trumpet orbit walnut", "Strong"]]) {
    await password.fill(typed);
    await strength.getByText(said).waitFor();
    assert.equal(await strength.locator("meter").evaluate((m) => m.value), said === "Strong" ? 3 : 1, typed);
  }
  await password.fill(PASSWORD);
  await strength.getByText("Strong").waitFor();
  assert.deepEqual(await page.locator("input").evaluateAll((all) => all.filter((i) => i.type !== "hidden").map((i) => i.autocomplete)), ["name", "username", "new-password"]);
  await page.getByRole("button", { name: "Show" }).first().click();
  assert.equal(await password.getAttribute("type"), "text");
  await page.getByRole("button", { name: "Hide" }).click();
  assert.equal(await password.getAttribute("type"), "password");
  await email.fill("bob@");
  await press(page, "Create account");
  await waitFor(() => email.evaluate((i) => i === document.activeElement), "what is wrong to have the focus");
  await email.fill("bob@example.com");
  let [sent, rests] = [0, false];
  page.on("request", (request) => request.method() === "POST" && request.isNavigationRequest() && sent++);
  page.on("console", (message) => (rests ||= message.text() === "rests"));
  await page.evaluate(() => addEventListener("submit", ({ submitter }) => setTimeout(() => submitter.disabled && console.log("rests"))));
  await page.getByRole("button", { name: "Create account" }).dblclick();
  await at("/auth/account");
  assert.deepEqual([sent, rests], [1, true]);
  await press(page, "Sign out");
  await page.getByText("You have signed out.").waitFor();
  assert.deepEqual((await context.cookies()).map((c) => c.name), [cookie("known_device")]);
  await context.close();
});

test("the service refuses what a browser let through, with the reason at its field", async () => {
  const me = await visitor(place, { javaScriptEnabled: false });
  const { page, open, context } = me;
  await signUp(me, "carl");
  const again = await visitor(place, { javaScriptEnabled: false });
  await again.open("/auth/sign-up");
  for (const [label, value] of [["Name", "carl"], ["Email address", "carl@example.com"], ["Password", PASSWORD], ["Repeat the password", PASSWORD]]) await field(again.page, label).fill(value);
  await press(again.page, "Create account");
  await again.page.getByText("There is already an account for this email address.").waitFor();
  assert.equal(await field(again.page, "Name").inputValue(), "carl", "what was typed is still there");
  assert.equal(await field(again.page, "Password").inputValue(), "", "but no password");
  for (const [password, second, reason] of [["password1", "password1", "This password is too easy to guess"], [PASSWORD, OTHER, "The two passwords are not the same."], ["x", "x", "This password is too short."]]) {
    await field(again.page, "Email address").fill("carla@example.com");
    await field(again.page, "Password").fill(password);
    await field(again.page, "Repeat the password").fill(second);
    await press(again.page, "Create account");
    // What stands in a noscript element is found by its place.
    const place = reason.startsWith("The two") ? "again" : "password";
    await waitFor(async () => (await again.page.locator(`#sign-up-${place}-wrong`).textContent()).startsWith(reason), reason);
  }
  await again.context.close();
  // A wrong password and an unknown address read the same.
  await press(page, "Sign out");
  const texts = [];
  for (const name of ["carl", "unknown"]) {
    await signIn(me, name, "not the password");
    texts.push(await page.getByRole("alert").first().innerText());
  }
  assert.deepEqual(texts, Array(2).fill("The email address or password is incorrect."));
  await open("/auth/account");
  assert.match(page.url(), /sign-in\?redirect_to=%2Fauth%2Faccount$/);
  await context.close();
});

test("a typed email address goes along to the next form, and what was typed survives the end of a session", async () => {
  const me = await visitor(place);
  const { page, open, at, context } = me;
  await open("/auth/sign-in");
  const has = (name) => page.locator(`[id$="-${name}"]`).evaluate((i) => i === document.activeElement);
  assert.equal(await has("email"), true, "one types at once");
  await page.keyboard.type("gil@example.com");
  await page.getByRole("link", { name: "Forgot password?" }).click();
  await at("/auth/forgot-password");
  assert.equal(await field(page, "Email address").inputValue(), "gil@example.com");
  await page.getByRole("link", { name: "Go to sign-in" }).click();
  await page.getByRole("link", { name: "Create an account" }).click();
  assert.equal(await field(page, "Email address").inputValue(), "gil@example.com");
  await signUp(me, "gil");
  await field(page, "Name").fill("Gil 🌻");
  execFileSync(...place.cli("sessions", "revoke", "--all", "--yes"));
  await press(page, "Save");
  await page.getByText("You have been signed out in the meantime.").waitFor();
  await look(page, "sign-in-ended");
  await field(page, "Email address").fill("gil@example.com");
  await field(page, "Password").fill(PASSWORD);
  await press(page, "Sign in");
  await at("/auth/account");
  await page.getByText("We have kept what you typed").waitFor();
  assert.equal(await field(page, "Name").inputValue(), "Gil 🌻");
  await look(page, "account-kept");
  await press(page, "Save");
  await page.getByText("Your name has been saved.").waitFor();
  await context.close();
});

test("from there one goes on to trusted places, and nowhere else", async () => {
  const me = await visitor(place);
  await signUp(me, "fay");
  await press(me.page, "Sign out");
  const to = (target) => `/auth/sign-in?redirect_to=${encodeURIComponent(target)}`;
  await signIn(me, "fay", PASSWORD, to(`${place.origin}/notes?a=1#b`));
  await me.page.waitForURL(`${place.origin}/notes?a=1#b`);
  await me.open(to("/auth/account?done=name"));
  await me.at("/auth/account?done=name");
  for (const target of [place.evil, "//evil.example", "javascript:alert(1)", `${place.origin}.evil.example/`, "/\\evil.example"]) {
    assert.equal((await me.open(to(target))).status(), 403, target);
    await me.page.getByText("The page to continue to belongs to a site that is not trusted here.").waitFor();
  }
  // Nor by a form that was tampered with.
  await me.context.clearCookies();
  await me.open("/auth/sign-in");
  await me.page.locator("input[name=redirect_to]").evaluate((i, evil) => (i.value = evil), place.evil);
  await field(me.page, "Email address").fill("fay@example.com");
  await field(me.page, "Password").fill(PASSWORD);
  await press(me.page, "Sign in");
  await me.page.getByText("The page to continue to belongs to a site that is not trusted here.").waitFor();
  await me.context.close();
});

test("in German and Spanish, and in English for all other visitors", async () => {
  for (const [locale, lang, title] of [["de-AT", "de", "Anmelden"], ["es-MX", "es", "Iniciar sesión"], ["ja-JP", "en", "Sign in"]]) {
    const { page, open, context } = await visitor(place, { locale });
    await open("/auth/sign-in");
    assert.equal(await page.locator("html").getAttribute("lang"), lang);
    await page.getByRole("heading", { name: title }).waitFor();
    if (lang !== "en") {
      await look(page, `sign-in-${lang}`);
      await open("/auth/sign-up");
      for (const [name, text] of [["name", lang], ["email", `${lang}@example.com`], ["password", PASSWORD]]) await page.locator(`#sign-up-${name}`).fill(text);
      await page.locator("#sign-up button.full").click();
      await page.waitForURL((url) => url.pathname === "/auth/account");
      assert.match(await page.locator(".devices li").innerText(), lang === "de" ? /Chrome unter Linux/ : /Chrome en Linux/);
      await look(page, `account-${lang}`);
    }
    await context.close();
  }
});

test("if the mailbox has to be verified first, no user is signed in before, and the redirect target is kept", async () => {
  const strict = await start(["sign_up.require_email_verification=true"]);
  try {
    const context = await strict.browser.newContext({ locale: "en-GB" });
    await watch(context);
    const page = await context.newPage();
    const query = `?redirect_to=${encodeURIComponent(`${strict.origin}/welcome`)}`;
    await page.goto(`${strict.auth}/auth/sign-up${query}`);
    for (const [label, value] of [["Name", "jo"], ["Email address", "jo@example.com"], ["Password", PASSWORD]]) await field(page, label).fill(value);
    await press(page, "Create account");
    await page.getByText("Check your email").waitFor();
    await look(page, "sign-up-mailed");
    await page.goto(`${strict.auth}/auth/sign-in${query}`);
    await field(page, "Email address").fill("jo@example.com");
    await field(page, "Password").fill(PASSWORD);
    await press(page, "Sign in");
    await page.getByText("Your email address has not been verified yet.").waitFor();
    await page.getByRole("link", { name: "Send a new verification link" }).waitFor();
    await look(page, "sign-in-unverified");
    const mail = await waitFor(() => mailsTo(strict, "jo@example.com").find((m) => /^Confirm your email address/.test(m.subject)), "the mail");
    await page.goto(linkIn(mail));
    await press(page, "Yes, confirm it");
    await page.getByText("Your email address is verified").waitFor();
    await page.getByRole("link", { name: "Continue" }).click();
    await field(page, "Email address").fill("jo@example.com");
    await field(page, "Password").fill(PASSWORD);
    await press(page, "Sign in");
    await page.waitForURL(`${strict.origin}/welcome`);
    await context.close();
  } finally {
    await strict.stop();
  }
});
