// The pages in a real browser on the narrowest screen, in three languages, with texts that are hard to break.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PASSWORD } from "./labels.mjs";
import { look, looked } from "./looking.mjs";
import { linkIn, mailsTo, start, waitFor } from "./place.mjs";
import { visitor } from "./visitor.mjs";

let place;
before(async () => (place = await start()));
after(async () => {
  await place?.stop();
  looked();
});

test("nothing is wider than a screen of 320 pixels, with a long email address, an emoji and letters from right to left", async () => {
  const address = `${"l".repeat(52)}@example.com`;
  assert.equal(address.length, 64);
  for (const locale of ["en-GB", "de-DE", "es-ES"]) {
    const { page, open, context } = await visitor(place, { locale, viewport: { width: 320, height: 640 } });
    const narrow = async (what) => {
      const wide = await page.evaluate(() => [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > 320.5 && !e.matches(".skip")).map((e) => e.outerHTML.slice(0, 120)));
      assert.deepEqual([await page.evaluate(() => document.documentElement.scrollWidth), wide], [320, []], `${what}, ${locale}`);
    };
    const own = `${locale.slice(0, 2)}${address.slice(2)}`;
    await open("/auth/sign-up");
    await page.locator("#sign-up-name").fill("🌻 שלום Ana 👩‍👩‍👧‍👦");
    await page.locator("#sign-up-email").fill(own);
    await page.locator("#sign-up-password").fill("password123");
    await page.locator(".strength").waitFor();
    await narrow("sign-up");
    await page.locator("#sign-up button.full").click();
    await page.locator("#sign-up-password[aria-invalid]").waitFor();
    await narrow("sign-up, refused");
    await page.locator("#sign-up-password").fill(PASSWORD);
    await page.locator("#sign-up button.full").click();
    await page.waitForURL((url) => url.pathname === "/auth/account");
    await narrow("account");
    if (locale === "en-GB") await look(page, "account-long");
    await page.locator("form[action$='/verify'] button").click();
    await page.locator(".said").waitFor();
    await narrow("account, done");
    const mail = await waitFor(() => mailsTo(place, own).at(-1), "a mail");
    await page.goto(linkIn(mail));
    await narrow("the link of a mail");
    await page.locator("button").click();
    await page.waitForLoadState();
    await narrow("verified");
    for (const path of ["account/name", "account?done=email", "nowhere", "error?error=INVALID_TOKEN", "admin/users"]) {
      await open(`/auth/${path}`);
      await narrow(path);
    }
    await open("/auth/account");
    await page.locator("header button").click();
    await page.locator("#sign-in").waitFor();
    await page.locator("#sign-in-email").fill(own);
    await page.locator("#sign-in-password").fill("wrong");
    await page.locator("#sign-in button.full").click();
    await page.locator(".said.bad").waitFor();
    await narrow("sign-in, refused");
    for (const path of ["sign-in", "forgot-password", "verify-email", "reset-password?token=nonsense", "sign-in?done=ended"]) {
      await open(`/auth/${path}`);
      await narrow(path);
    }
    await open("/auth/forgot-password");
    assert.equal(await page.locator("#forgot-email").inputValue(), own, "it goes along");
    await page.locator("#forgot button.full").click();
    await page.locator("#again").waitFor();
    await page.getByText(own).waitFor();
    await narrow("the mailbox");
    if (locale === "en-GB") await look(page, "mailbox-long");
    const reset = await waitFor(() => mailsTo(place, own).find((m) => m.text.includes("reset-password")), "the mail");
    await page.goto(linkIn(reset));
    await narrow("reset-password");
    await context.close();
  }
});
