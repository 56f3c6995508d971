// Two-step sign-in in a real browser: set up, used, proven again and turned off, in two languages, with script and without, and every page looked at.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Authenticator } from "./authenticator.mjs";
import { look, looked } from "./looking.mjs";
import { start } from "./place.mjs";
import { PASSWORD, signIn, signUp, visitor } from "./visitor.mjs";

let place;
before(async () => (place = await start()));
after(async () => {
  await place?.stop();
  looked();
});

const listed = (page) => page.locator(".codes code").allTextContents();

for (const [locale, says] of [
  ["en-GB", { on: "Two-step sign-in is on.", wrong: "This code is wrong.", digits: "Please enter the six digits of the code.", few: "Make new codes before" }],
  ["de-DE", { on: "Die Anmeldung in zwei Schritten ist eingeschaltet.", wrong: "Dieser Code ist falsch.", digits: "Bitte geben Sie die sechs Ziffern des Codes ein.", few: "Erzeugen Sie neue Codes" }],
]) {
  const language = locale.slice(0, 2);
  const name = `ana-${language}`;

  test(`every page of two-step sign-in, looked at (${language})`, async () => {
    const me = await visitor(place, { locale });
    const { page, open, at, send, focused, context } = me;
    await signUp(me, name);
    await look(page, `two-step-account-${language}`);
    await open("/auth/account/security");
    await look(page, `two-step-off-${language}`);
    await send("set-up", { current: "wrong" });
    await focused("set-up-current");
    await look(page, `two-step-off-wrong-${language}`);

    await send("set-up", { current: PASSWORD });
    await page.locator(".qr svg").waitFor();
    await look(page, `two-step-enrol-${language}`);
    const key = await page.locator("code.key").textContent();
    const codes = await listed(page);
    assert.equal(codes.length, 10);
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("a[download]").click()]);
    const file = readFileSync(await download.path(), "utf8");
    assert.match(download.suggestedFilename(), /\.txt$/);
    assert.deepEqual(file.trim().split("\n").slice(2), codes);
    const phone = new Authenticator(key);

    // The page itself finds a code that is too short; the service finds a wrong one.
    await send("confirm", { code: "123" });
    await page.getByText(says.digits).waitFor();
    await focused("confirm-code");
    await send("confirm", { code: phone.wrong() });
    await page.getByText(says.wrong).waitFor();
    await focused("confirm-code");
    assert.equal(await page.locator("code.key").textContent(), key);
    await look(page, `two-step-enrol-wrong-${language}`);
    await send("confirm", { code: await phone.code() });
    await at("/auth/account/security?done=two_step_on");
    await page.getByText(says.on).first().waitFor();
    await look(page, `two-step-on-${language}`);
    await send("renew", { current: PASSWORD });
    await page.locator(".codes").waitFor();
    await look(page, `two-step-codes-${language}`);
    const renewed = await listed(page);
    assert.ok(codes.every((code) => !renewed.includes(code)));
    await open("/auth/account");
    await look(page, `two-step-account-on-${language}`);

    // Another browser.
    const other = await visitor(place, { locale });
    await signIn(other, name, "/auth/sign-in?redirect_to=%2Fauth%2Faccount%3Fx%3D1");
    await other.at("/auth/challenge");
    await other.focused("challenge-code");
    await look(other.page, `challenge-${language}`);
    await other.send("challenge", { code: "12" });
    await other.page.getByText(says.digits).waitFor();
    await other.page.locator("#trust").check();
    await other.send("challenge", { code: phone.wrong() });
    await other.page.getByText(says.wrong).waitFor();
    await other.focused("challenge-code");
    assert.ok(await other.page.locator("#trust").isChecked(), "what was chosen stays");
    await look(other.page, `challenge-wrong-${language}`);
    await other.page.locator(".links a").first().click();
    await other.focused("recovery-recovery");
    await look(other.page, `challenge-recovery-${language}`);
    await other.send("recovery", { recovery: "0000-0000-0000-0000" });
    await other.focused("recovery-recovery");
    await look(other.page, `challenge-recovery-wrong-${language}`);
    await other.page.locator(".links a").first().click();
    await other.focused("challenge-code");
    await other.page.locator("#trust").check();
    await other.page.locator("#challenge-code").fill(await phone.code());
    await other.page.keyboard.press("Enter");
    await other.at("/auth/account?x=1");

    // The browser is remembered: no second step, and so a change needs a code first.
    await other.page.locator("header form button").click();
    await signIn(other, name);
    await other.at("/auth/account");
    await other.open("/auth/account/security");
    await other.page.locator("#step-up").waitFor();
    assert.equal(await other.page.locator("#turn-off").count(), 0);
    await look(other.page, `two-step-prove-${language}`);
    await other.send("step-up", { code: phone.wrong() });
    await other.focused("step-up-code");
    await look(other.page, `two-step-prove-wrong-${language}`);
    await other.page.locator("main p.after a").click();
    await other.focused("recovery-recovery");
    await look(other.page, `two-step-prove-recovery-${language}`);
    await other.send("recovery", { recovery: renewed[0].toLowerCase() });
    await other.at("/auth/account/security?done=stepped_up");
    await look(other.page, `two-step-proven-${language}`);

    // Few codes are left.
    for (const code of renewed.slice(1, 7)) {
      const third = await visitor(place, { locale });
      await signIn(third, name);
      await third.at("/auth/challenge");
      await third.open("/auth/challenge?with=recovery");
      await third.send("recovery", { recovery: code });
      await third.at("/auth/account");
      await third.context.close();
    }
    await other.open("/auth/account/security");
    await other.page.getByText(says.few).waitFor();
    await look(other.page, `two-step-few-codes-${language}`);

    await other.send("turn-off", { current: PASSWORD });
    await other.at("/auth/account/security?done=two_step_off");
    await other.page.locator("header form button").click();
    await signIn(other, name);
    await other.at("/auth/account");
    await other.context.close();
    // A sign-in that is over begins again.
    await context.clearCookies();
    await open("/auth/challenge");
    await at("/auth/sign-in?done=challenge_over");
    await look(page, `challenge-over-${language}`);
    await context.close();
  });
}

test("without script everything works, and nothing is asked twice", async () => {
  const me = await visitor(place, { javaScriptEnabled: false });
  const { page, open, at, send, context } = me;
  await signUp(me, "bob");
  await open("/auth/account/security");
  await send("set-up", { current: PASSWORD });
  const phone = new Authenticator(await page.locator("code.key").textContent());
  const codes = await listed(page);
  const code = await phone.code();
  await send("confirm", { code: `${code.slice(0, 3)} ${code.slice(3)}` });
  await at("/auth/account/security?done=two_step_on");
  const other = await visitor(place, { javaScriptEnabled: false });
  await signIn(other, "bob");
  await other.at("/auth/challenge");
  await other.send("challenge", { code: phone.wrong() });
  assert.match(await other.page.locator("#challenge-code-wrong").textContent(), /^This code is wrong/);
  await other.page.getByRole("link", { name: "Use a recovery code instead" }).click();
  await other.send("recovery", { recovery: codes[0] });
  await other.at("/auth/account");
  await other.open("/auth/account/security");
  await other.page.getByText("You have 9 recovery codes left.").waitFor();
  await other.send("turn-off", { current: PASSWORD });
  await other.at("/auth/account/security?done=two_step_off");
  const third = await visitor(place, { javaScriptEnabled: false });
  await signIn(third, "bob");
  await third.at("/auth/account");
  for (const each of [context, other.context, third.context]) await each.close();
});
