// Looking at pages: a picture in light, dark and on a phone, axe on each, what can be measured of a design, nothing that the page's own policy forbids.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pictures } from "./place.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 740 };
const NARROW = { width: 320, height: 640 };
/** The ways in which each page is looked at; axe tells the schemes apart by their colours, and the widths by what overlaps. */
const VIEWS = [
  ["light", "light", DESKTOP],
  ["dark", "dark", DESKTOP],
  ["phone", "light", PHONE],
  ["phone-dark", "dark", PHONE],
  ["narrow", "light", NARROW],
  ["narrow-dark", "dark", NARROW],
];

/** How often each of these was looked at, and what a browser complained of. */
const seen = { pages: new Set(), looks: 0, violations: 0, policy: [] };

/** Notes what the policy of a page forbade. */
export async function watch(context) {
  await context.addInitScript(() => addEventListener("securitypolicyviolation", (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}`)));
  context.on("console", (message) => /^policy:|Content.Security.Policy/i.test(message.text()) && seen.policy.push(message.text()));
}

async function faults(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  return violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html} (${n.failureSummary})`).join(" | ")}`);
}

/**
 * What can be measured of a design, as complaints: a target that a finger misses (WCAG 2.2, 2.5.8: 24 pixels), two buttons that
 * each claim to be the main one, a text that touches the button above it, a focus without a ring, something wider than the page.
 */
export async function complaints(page) {
  return page.evaluate(() => {
    const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getBoundingClientRect().width > 1 && !e.matches(".skip");
    const all = (selector) => [...document.querySelectorAll(selector)].filter(shown);
    const name = (e) => `${e.tagName.toLowerCase()} "${(e.textContent || e.name || "").trim().slice(0, 40)}"`;
    const found = [];
    // The label of a checkbox belongs to its target.
    for (const target of all("a[href], button, input:not([type=checkbox]), select, textarea, summary, .check label")) {
      const { height, width } = target.getBoundingClientRect();
      if (height < 24 || (width < 24 && !target.matches("a"))) found.push(`${name(target)} is a target of ${Math.round(width)} by ${Math.round(height)} pixels`);
    }
    const main = all("main button, main .button").filter((e) => !e.matches(".plain, .danger, .link, [type=button]"));
    if (main.length > 1) found.push(`${main.length} main buttons: ${main.map(name).join(", ")}`);
    const texts = all("main p, main label, main h2, main input, main table, main li, main dl");
    for (const button of all("main button:not(.link, [type=button]), main .button")) {
      const own = button.getBoundingClientRect();
      for (const text of texts) {
        const { top, left, right } = text.getBoundingClientRect();
        const gap = Math.round(top - own.bottom);
        if (right > own.left && left < own.right && gap >= -1 && gap < 8) found.push(`${gap} pixels between ${name(button)} and ${name(text)}`);
      }
    }
    const focus = document.activeElement;
    if (focus !== document.body && focus.matches(":focus-visible") && getComputedStyle(focus).outlineStyle === "none") found.push(`the focus on ${name(focus)} is not seen`);
    for (const e of all("body *")) {
      const { right, left } = e.getBoundingClientRect();
      // The heads of a table that is shown as cards are for screen readers alone.
      if ((right > innerWidth + 0.5 || left < -0.5) && !(e.closest("thead") && getComputedStyle(e.closest("thead")).clipPath !== "none")) found.push(`${name(e)} goes beyond the page`);
    }
    return found;
  });
}

/** A page as people see it; its pictures are `NAME-light.png`, `NAME-dark.png`, `NAME-phone.png` and so on. */
export async function look(page, name) {
  const before = page.viewportSize();
  for (const [kind, colorScheme, size] of VIEWS) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize(size);
    await page.screenshot({ path: join(pictures, `${name}-${kind}.png`), fullPage: true });
    const found = await faults(page);
    seen.violations += found.length;
    assert.deepEqual(found, [], `${name}, ${kind}`);
    assert.deepEqual(await complaints(page), [], `${name}, ${kind}`);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= size.width, `${name}, ${kind}: ${width} pixels wide`);
    seen.looks++;
  }
  seen.pages.add(name);
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(before ?? DESKTOP);
}

/** Says at the end of a file how much was looked at; nothing may have offended against the pages' policy. */
export function looked() {
  console.log(`${seen.pages.size} pages looked at ${seen.looks} times: ${seen.violations} violations of axe's rules, ${seen.policy.length} of the pages' policy`);
  assert.deepEqual(seen.policy, []);
}
