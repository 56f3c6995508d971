// The application: a few views, guarded by who is signed in. All tabs show the same.
import "./style.css";
import { SecondStepRequired } from "@countersign/web";
import { api, Refused } from "./api.js";
import { auth, spoilNextToken } from "./auth.js";
import { form, isEmail, isLong } from "./forms.js";

interface Note {
  id: number;
  text: string;
}

const main = document.querySelector<HTMLElement>("#main")!;
const nav = document.querySelector<HTMLElement>("#nav")!;
const status = document.querySelector<HTMLElement>("#status")!;
const here = () => location.hash.slice(1) || "/notes";
const go = (path: string) => (location.hash = path);
/** The view that the user wanted to open before signing in. */
let wanted = "/notes";

const element = <K extends keyof HTMLElementTagNameMap>(name: K, text = "", more: Partial<HTMLElementTagNameMap[K]> = {}) =>
  Object.assign(document.createElement(name), { textContent: text, ...more });

function button(text: string, work: () => Promise<unknown>): HTMLButtonElement {
  const it = element("button", text, { type: "button", className: "plain" });
  it.onclick = async () => {
    it.disabled = true;
    await work().catch((error: Error) => (status.textContent = error.message));
    it.disabled = false;
  };
  return it;
}

function signIn() {
  const email = { name: "email", label: "Email address", type: "email", autocomplete: "username", check: isEmail } as const;
  const password = { name: "password", label: "Password", type: "password", autocomplete: "current-password" } as const;
  const card = form("Sign in", "Sign in", [email, password], async ({ email, password }) => {
    await auth.signIn({ email: email!, password: password! }).catch((error: unknown) => {
      if (!(error instanceof SecondStepRequired)) throw error;
      go("/code");
    });
  });
  card.append(element("p", "New here? "));
  card.lastChild!.appendChild(element("a", "Create an account", { href: "#/sign-up" }));
  return [card];
}

/** The second step, for users who have turned it on. A reloaded page finds the sign-in again: it waits in a cookie of the service. */
function secondStep() {
  const code = { name: "code", label: "Code of your authenticator app, or a recovery code", type: "text", autocomplete: "one-time-code" } as const;
  const isOfTheApp = (code: string) => /^\d{6}$/.test(code.replaceAll(/\s/g, ""));
  const card = form("One more step", "Continue", [code], async ({ code }) => void (await auth.secondStep(isOfTheApp(code!) ? { code: code! } : { recoveryCode: code! })));
  card.append(element("p"));
  card.lastChild!.appendChild(element("a", "Begin again", { href: "#/sign-in" }));
  return [card];
}

function signUp() {
  const card = form(
    "Create an account",
    "Create account",
    [
      { name: "name", label: "Name", type: "text", autocomplete: "name" },
      { name: "email", label: "Email address", type: "email", autocomplete: "username", check: isEmail },
      { name: "password", label: "Password", type: "password", autocomplete: "new-password", check: isLong },
      { name: "again", label: "Repeat the password", type: "password", autocomplete: "new-password", check: (again, { password }) => (again === password ? "" : "The two passwords are not the same.") },
    ],
    async ({ name, email, password }) => {
      const { signedIn } = await auth.signUp({ name: name!, email: email!, password: password! });
      if (!signedIn) status.textContent = "Open the link in the message that we sent you.";
    },
  );
  card.append(element("p", "Already have an account? "));
  card.lastChild!.appendChild(element("a", "Sign in", { href: "#/sign-in" }));
  return [card];
}

async function notes() {
  const list = element("ul");
  const show = (note: Note) => list.prepend(element("li", note.text));
  const add = form("A new note", "Save", [{ name: "text", label: "Text", type: "text", autocomplete: "off" }], async ({ text }) => {
    show(await api<Note>("/notes", { text }));
    add.querySelector("input")!.value = "";
    status.textContent = "Saved.";
  });
  (await api<Note[]>("/notes")).forEach(show);
  const card = element("section", "", { className: "card" });
  card.append(element("h1", "Your notes"), list, button("Fail on purpose", () => api("/fail")), button("Ask for nothing", () => api("/nothing")));
  card.append(button("Spoil the token", async () => (spoilNextToken((line) => (status.textContent = line)), void (await api("/notes")))));
  return [add, card];
}

async function report() {
  const { users } = await api<{ users: number }>("/admin/report");
  const card = element("section", "", { className: "card" });
  card.append(element("h1", "Report"), element("p", `People with notes: ${users}`));
  return [card];
}

const open: Record<string, () => HTMLElement[]> = { "/sign-in": signIn, "/code": secondStep, "/sign-up": signUp };
const guarded: Record<string, () => Promise<HTMLElement[]>> = { "/notes": notes, "/admin": report };

/** Only the last view that was asked for is shown. */
let asked = 0;

async function render() {
  const turn = ++asked;
  const { status: known, user } = auth.getSnapshot();
  if (known === "loading") return main.replaceChildren(element("p", "…"));
  if (known === "error") return main.replaceChildren(element("p", "The sign-in service does not answer. This page goes on asking.", { role: "alert" }));
  nav.replaceChildren();
  if (user) {
    nav.append(element("a", "Notes", { href: "#/notes" }), element("a", "Report", { href: "#/admin" }), element("span", user.email));
    nav.append(button("Sign out", () => auth.signOut()), button("Sign out everywhere", () => auth.signOut({ everywhere: true })));
  }
  const path = here();
  if (!user && guarded[path]) {
    wanted = path;
    return go("/sign-in");
  }
  if (user && open[path]) return go(wanted);
  let view: HTMLElement[];
  try {
    view = await (open[path] ?? guarded[path] ?? nothing)();
  } catch (error) {
    view = [fault(error as Error)];
  }
  if (turn === asked) main.replaceChildren(...view);
}

async function nothing() {
  return [fault(new Refused(404, "There is nothing here."))];
}

function fault(error: Error): HTMLElement {
  const card = element("section", "", { className: "card" });
  card.setAttribute("role", "alert");
  card.append(element("h1", error instanceof Refused && error.status ? String(error.status) : "No answer"), element("p", error.message), button("Try again", async () => void render()));
  return card;
}

let before = "";
auth.subscribe(({ status, user }) => {
  const now = `${status} ${user?.id}`;
  if (now !== before) void render();
  before = now;
});
addEventListener("hashchange", () => ((status.textContent = ""), void render()));
