// Looking at pages: a picture in light, dark and on a phone, axe on each, nothing cut off, nothing that the page's own policy forbids.
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
export const seen = { pages: new Set(), looks: 0, violations: 0, policy: [] };

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
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= size.width, `${name}, ${kind}: ${width} pixels wide`);
    seen.looks++;
  }
  seen.pages.add(name);
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(before ?? DESKTOP);
}
