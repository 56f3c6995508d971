// What makes the pages more pleasant. Everything works without it: the service checks, refuses and answers each form.
"use strict";

function tell(input, text) {
  const place = document.getElementById(`${input.id}-wrong`);
  if (text) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
  if (place && place.textContent !== text) place.textContent = text;
}

/** What is wrong with a field, in the page's language. */
function wrong(input) {
  const { valid, valueMissing, typeMismatch, tooShort, patternMismatch } = input.validity;
  const said = input.dataset;
  const other = said.same && document.getElementById(said.same);
  if (valueMissing || (input.required && !input.value.trim())) return said.missing ?? input.validationMessage;
  if (typeMismatch || patternMismatch) return said.invalid ?? input.validationMessage;
  if (tooShort || (said.least && [...input.value.normalize("NFC")].length < Number(said.least))) return said.short ?? input.validationMessage;
  if (other && other.value !== input.value) return said.differs;
  return valid ? "" : input.validationMessage;
}

// A message that appears while a button is pressed would push the button away from under the pointer.
let pressed = false;
addEventListener("pointerdown", () => (pressed = true), true);
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => (pressed = false), true);
const whenReleased = (work) => (pressed ? addEventListener("pointerup", () => setTimeout(work), { once: true }) : work());

for (const form of document.querySelectorAll("form[data-checked]")) {
  const inputs = [...form.querySelectorAll("input:not([type=hidden],[type=checkbox])")];
  form.noValidate = true;
  for (const input of inputs) {
    let touched = input.getAttribute("aria-invalid") === "true";
    // What the service said of a value stays until the value changes.
    let edited = false;
    input.addEventListener("blur", () => {
      if (!edited || (!input.value && !touched)) return;
      touched = true;
      whenReleased(() => tell(input, wrong(input)));
    });
    input.addEventListener("input", () => {
      edited = true;
      for (const each of inputs) if (each === input ? touched : each.dataset.same === input.id && each.value) tell(each, wrong(each));
    });
  }
  form.addEventListener("submit", (event) => {
    for (const input of inputs) tell(input, wrong(input));
    const first = inputs.find((input) => input.getAttribute("aria-invalid") === "true");
    if (!first) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    first.focus();
  });
}

for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.sure ?? form.dataset.sure;
    if (question && !confirm(question)) return event.preventDefault();
    // Not before the form has been read: a disabled button's value would not be sent.
    setTimeout(() => {
      for (const button of form.querySelectorAll("button")) button.disabled = true;
      form.setAttribute("aria-busy", "true");
    });
  });
}
// Back from the next page: the form is there to be used again.
addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return;
  for (const button of document.querySelectorAll("form[aria-busy] button")) button.disabled = false;
  for (const form of document.querySelectorAll("form[aria-busy]")) form.removeAttribute("aria-busy");
});

// The link of a mail in the browser that asked for it: nothing is left to ask. A page that was loaded ahead or in another tab waits until it is seen.
for (const form of document.querySelectorAll("form[data-post-now]")) {
  const seen = new AbortController();
  const post = () => {
    if (document.visibilityState !== "visible" || document.prerendering) return;
    seen.abort();
    form.requestSubmit();
  };
  for (const moment of ["visibilitychange", "prerenderingchange"]) document.addEventListener(moment, post, { signal: seen.signal });
  post();
}

for (const input of document.querySelectorAll("input[data-show]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = input.dataset.show;
  button.setAttribute("aria-controls", input.id);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    button.textContent = shown ? input.dataset.show : input.dataset.hide;
    button.setAttribute("aria-pressed", String(!shown));
  });
  input.form.addEventListener("submit", () => (input.type = "password"));
  const around = document.createElement("div");
  around.className = "reveal";
  input.replaceWith(around);
  around.append(input, button);
}

// How hard a new password is to guess, as the service sees it: what it would refuse is never called good. Nothing is asked before the password is long enough.
for (const input of document.querySelectorAll("input[data-strength]")) {
  const line = document.createElement("div");
  line.className = "strength";
  const meter = Object.assign(document.createElement("meter"), { min: 0, max: 3, low: 1.5, high: 2.5, optimum: 3 });
  meter.setAttribute("aria-hidden", "true");
  const text = document.createElement("span");
  text.setAttribute("role", "status");
  line.append(meter, text);
  line.hidden = true;
  (input.closest(".reveal") ?? input).after(line);
  let [asked, pause] = [0, 0];
  async function ask() {
    const own = ++asked;
    const fields = Object.fromEntries(["password", "name", "email", "token"].map((name) => [name, input.form.elements[name]?.value ?? ""]));
    const headers = { accept: "application/json", "content-type": "application/json" };
    const answer = await fetch(input.dataset.strength, { method: "POST", headers, body: JSON.stringify(fields), cache: "no-store" }).catch(() => null);
    const told = answer?.ok ? await answer.json().catch(() => null) : null;
    // Another letter was typed in the meantime.
    if (own !== asked) return;
    line.hidden = !told;
    if (!told) return;
    meter.value = Math.max(told.level, 1);
    line.dataset.level = told.level;
    if (text.textContent !== told.text) text.textContent = told.text;
  }
  input.form.addEventListener("input", ({ target }) => {
    if (target !== input && !["name", "email"].includes(target.name)) return;
    clearTimeout(pause);
    asked++;
    if (target === input) line.hidden = true;
    if ([...input.value.normalize("NFC")].length >= Number(input.dataset.least)) pause = setTimeout(ask, 300);
  });
}

// The email address goes along from one form to the next, in this tab. The service itself does so for a form that was sent.
function remembered(change) {
  try {
    return change(sessionStorage);
  } catch {
    return null; // The browser keeps nothing for this site.
  }
}
const TYPED = "countersign.email";
if ("signedIn" in document.body.dataset) remembered((storage) => storage.removeItem(TYPED));
for (const input of document.querySelectorAll("form[data-carry] input[name=email]")) {
  input.value ||= remembered((storage) => storage.getItem(TYPED)) ?? "";
  input.addEventListener("input", () => remembered((storage) => storage.setItem(TYPED, input.value)));
}

// The first wrong field, or the message; otherwise the first field that is still empty.
const first = document.querySelector("[autofocus]");
const filled = first?.form && first.value && first.getAttribute("aria-invalid") !== "true";
const empty = filled && [...first.form.elements].find((field) => field.matches("input:not([type=hidden])") && !field.value);
const focused = empty || first;
// Over a slow network the user may have begun to type before this script came.
if ([document.body, first].includes(document.activeElement)) focused?.focus();
// Who does not see the page hears the message about the form together with the field.
const said = focused?.matches("input") && focused.closest(".card").querySelector(".said");
if (said) {
  said.id ||= "said";
  focused.setAttribute("aria-describedby", `${said.id} ${focused.getAttribute("aria-describedby") ?? ""}`);
}

const { lang } = document.documentElement;
const locale = navigator.language.startsWith(lang) ? navigator.language : lang;
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) time.textContent = at.toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
}

/** The wait is over: what said so goes away, and the first empty field is ready. */
function over(place) {
  const message = place.previousElementSibling;
  const form = document.getElementById(place.dataset.form);
  const had = message?.matches(".said") && (message === document.activeElement || document.activeElement === document.body);
  if (message?.matches(".said")) message.remove();
  place.remove();
  if (had) [...(form?.elements ?? [])].find((field) => field.matches("input:not([type=hidden],[hidden])") && !field.value)?.focus();
}

for (const place of document.querySelectorAll("[data-wait]")) {
  const until = performance.now() + Number(place.dataset.wait) * 1000;
  const button = document.querySelector(`#${place.dataset.form} button:not([type=button])`);
  const plural = new Intl.PluralRules(lang);
  const texts = { seconds: JSON.parse(place.dataset.seconds), minutes: JSON.parse(place.dataset.minutes) };
  const words = (unit, count) => (texts[unit][plural.select(count)] ?? texts[unit].other).replace("{count}", count);
  const tick = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    if (button) button.disabled = left > 0;
    if (left <= 0) return over(place);
    place.textContent = left > 90 ? words("minutes", Math.ceil(left / 60)) : words("seconds", left);
    setTimeout(tick, 250);
  };
  tick();
}
