// Forms: what is typed is checked while it is typed, what the service refuses stands at its field, who did too much sees a timer.
import { CountersignError } from "@countersign/web";
import { Refused } from "./api.js";

export interface Field {
  name: string;
  label: string;
  type: "text" | "email" | "password";
  autocomplete: AutoFill;
  /** What is wrong with the value; "" for nothing. */
  check?: (value: string, all: Record<string, string>) => string;
}

const required = (value: string) => (value.trim() ? "" : "Please fill in this field.");
export const isEmail = (value: string) => (/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(value) ? "" : "Please enter an email address such as name@example.com.");
export const isLong = (value: string) => ([...value].length >= 8 ? "" : "Please use at least 8 characters.");

export function form(title: string, button: string, fields: Field[], send: (values: Record<string, string>) => Promise<void>): HTMLElement {
  const card = document.createElement("form");
  card.className = "card";
  card.noValidate = true;
  card.innerHTML = `<h1></h1><p class="fault" role="alert"></p>`;
  card.querySelector("h1")!.textContent = title;
  const fault = card.querySelector<HTMLElement>(".fault")!;
  const inputs = new Map<string, HTMLInputElement>();
  const tell = (name: string, text: string) => {
    const input = inputs.get(name);
    if (!input) return (fault.textContent = text);
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    return (document.getElementById(`${input.id}-wrong`)!.textContent = text);
  };
  const values = () => Object.fromEntries([...inputs].map(([name, input]) => [name, input.value]));
  const wrong = (field: Field) => required(inputs.get(field.name)!.value) || (field.check?.(inputs.get(field.name)!.value, values()) ?? "");
  for (const field of fields) {
    const id = `${title.replaceAll(/\W+/g, "-").toLowerCase()}-${field.name}`;
    const label = Object.assign(document.createElement("label"), { htmlFor: id, textContent: field.label });
    const input = Object.assign(document.createElement("input"), { id, name: field.name, type: field.type, autocomplete: field.autocomplete });
    input.setAttribute("aria-describedby", `${id}-wrong`);
    const place = Object.assign(document.createElement("p"), { id: `${id}-wrong`, className: "wrong" });
    place.setAttribute("role", "alert");
    inputs.set(field.name, input);
    let touched = false;
    input.addEventListener("change", () => ((touched = true), tell(field.name, wrong(field))));
    input.addEventListener("input", () => touched && tell(field.name, wrong(field)));
    card.append(label, input, place);
  }
  const submit = Object.assign(document.createElement("button"), { textContent: button });
  card.append(submit);

  card.addEventListener("submit", async (event) => {
    event.preventDefault();
    fault.textContent = "";
    const bad = fields.filter((field) => tell(field.name, wrong(field)));
    if (bad[0]) return inputs.get(bad[0].name)!.focus();
    submit.disabled = true;
    try {
      await send(values());
    } catch (error) {
      show(error);
      const wait = error instanceof CountersignError && error.status === 429 ? error.retryAfter : null;
      if (wait) return timer(wait);
    }
    submit.disabled = false;
  });

  function show(error: unknown) {
    if (error instanceof CountersignError) {
      if (error.status === 0) return (fault.textContent = "The network is away. Nothing is lost: please try again.");
      const field = { INVALID_EMAIL: "email", USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL: "email" }[error.code] ?? (error.code.startsWith("PASSWORD_") ? "password" : "");
      for (const [name, texts] of Object.entries(error.errors)) tell(name, texts[0] ?? "");
      return tell(field, error.message);
    }
    if (error instanceof Refused) {
      for (const [name, text] of Object.entries(error.fields)) tell(name, text);
      fault.textContent = error.message;
      return;
    }
    fault.textContent = "Something went wrong.";
    console.error(error);
  }

  function timer(seconds: number) {
    const until = performance.now() + seconds * 1_000;
    const tick = () => {
      const left = Math.ceil((until - performance.now()) / 1_000);
      submit.disabled = left > 0;
      fault.textContent = left > 0 ? `Too many attempts. You can try again in ${left} s.` : "";
      if (left > 0) setTimeout(tick, 250);
    };
    tick();
  }
  return card;
}
