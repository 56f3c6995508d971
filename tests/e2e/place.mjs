// What the browser tests stand on: our server in a folder of its own, an application on another origin, Chromium.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync } from "node:fs";
import { createServer, request as ask } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
export const binary = process.env.BIN_UNDER_TEST ?? join(root, "target/debug/countersign");
export const pictures = join(here, "pictures");
mkdirSync(pictures, { recursive: true });

/** The full name of a cookie without any setting: the default of `sessions.cookie_prefix` and what it holds. */
export const cookie = (own) => `better-auth.${own}`;

// Reserves ports until the standard input ends: bound, not listening, and shared with servers alone, as in tests/interop/place.py.
const RESERVE = `
import random, socket, sys
held = []
while len(held) < int(sys.argv[1]):
    holder = socket.socket()
    try:
        holder.bind(("127.0.0.1", random.randrange(10_000, 30_000)))
    except OSError:
        continue
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.append(holder)
print(" ".join(str(h.getsockname()[1]) for h in held), flush=True)
sys.stdin.read()
`;

/** So many ports that nothing else on this machine can take; `release` gives them back. */
export async function reservePorts(count) {
  const holder = spawn("python3", ["-c", RESERVE, String(count)], { stdio: ["pipe", "pipe", "inherit"] });
  const line = await new Promise((resolve, reject) => {
    let text = "";
    holder.once("error", reject).once("exit", (code) => reject(new Error(`no ports: ${code}`)));
    // A line may come in several pieces.
    holder.stdout.on("data", (piece) => (text += piece).endsWith("\n") && resolve(text));
  });
  const ports = line.trim().split(" ").map(Number);
  if (ports.length !== count) throw new Error(`${ports.length} ports instead of ${count}`);
  // It ends with this process, and does not keep it alive.
  for (const one of [holder, holder.stdin, holder.stdout]) one.unref();
  return { ports, release: () => holder.stdin.end() };
}

/** mulberry32: the same draws for the same seed. */
export function chance(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Asks until the answer is true, and gives it. */
export async function waitFor(check, what = "what was waited for", seconds = 60) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await Promise.resolve(check()).catch(() => null);
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The application, from an origin of its own: the npm client of Better Auth on any path, ours on `/spa`, both on `/both`. */
function application(auth) {
  const bundles = new Map(["/app.js", "/spa.js"].map((name) => [name, readFileSync(join(here, name.slice(1)))]));
  const page = (...scripts) =>
    `<!doctype html><html lang="en" data-auth="${auth}"><meta charset="utf-8"><title>Notes</title><div id="root"></div><p id="state"></p>${scripts.map((s) => `<script type="module" src="${s}"></script>`).join("")}</html>`;
  const pages = new Map([["/spa", page("/spa.js")], ["/both", page("/app.js", "/spa.js")]]);
  return createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://app");
    const script = bundles.get(pathname);
    response.setHeader("content-type", script ? "text/javascript" : "text/html");
    response.end(script ?? pages.get(pathname) ?? page("/app.js"));
  });
}

/** Stands between browsers and the service: hands everything on, and tells `hears` of each answer, which may hold it back (a promise) or lose it. */
function between(port, hears) {
  return createServer((request, response) => {
    const { method, url, headers } = request;
    const onward = ask({ host: "127.0.0.1", port, method, path: url, headers }, async (answer) => {
      if ((await hears(request, answer)) === "lose") {
        answer.resume();
        return answer.on("end", () => response.destroy());
      }
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
}

/** RFC 2047: words of a header that are not ASCII. The space between two of them is none of the text, as is the end of a folded line. */
const words = (text) =>
  text
    .replaceAll(/\r\n(?=\s)/g, "")
    .replaceAll(/\?=\s+=\?/g, "?==?")
    .replaceAll(/=\?utf-8\?b\?([^?]*)\?=/gi, (_, encoded) => Buffer.from(encoded, "base64").toString("utf8"));

/** Everything, running; `settings` are ours, or a function that makes them once the public URL is known; `hears` is told of every answer to a browser. */
export async function start(settings = [], hears = undefined) {
  const folder = mkdtempSync(join(tmpdir(), "countersign-e2e-"));
  const { ports, release } = await reservePorts(4);
  const [port, appPort, evilPort] = ports;
  const front = hears ? ports[3] : port;
  const [auth, origin, evil] = [front, appPort, evilPort].map((p) => `http://localhost:${p}`);
  const servers = [...(hears ? [between(port, hears).listen(front, "127.0.0.1")] : []), application(auth).listen(appPort, "127.0.0.1"), application(auth).listen(evilPort, "127.0.0.1")];
  const own = typeof settings === "function" ? await settings(auth) : settings;
  const mails = join(folder, "mails");
  mkdirSync(mails);
  const fixed = [
    `server.listen=127.0.0.1:${port}`,
    "server.ops_listen=off",
    `server.public_url=${auth}`,
    `server.trusted_origins=${origin}`,
    "mail.transport=file",
    `mail.dir=${mails}`,
    "mail.app_name=Notes",
    "passwords.argon2_memory_kib=64",
    "passwords.argon2_iterations=1",
    "rate_limits.enabled=false",
    "passwords.blocklist=true",
  ];
  const flags = [...fixed, ...own].flatMap((s) => ["--set", s]);
  const log = openSync(join(folder, "server.log"), "a");
  const serve = async (more = []) => {
    const further = more.flatMap((s) => ["--set", s]);
    const process = spawn(binary, [...flags, ...further, "serve"], { cwd: folder, stdio: ["ignore", log, log] });
    await waitFor(async () => (await fetch(`${auth}/health`)).ok, "the server");
    return process;
  };
  let child = await serve();
  const end = async () => {
    child.kill("SIGTERM");
    await new Promise((resolve) => (child.exitCode === null ? child.once("exit", resolve) : resolve()));
  };
  /** Restarts the server; these settings win over the others. */
  const again = async (more) => {
    await end();
    child = await serve(more);
  };
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const stop = async () => {
    await browser.close();
    for (const server of servers) server.close().closeAllConnections();
    await end();
    release();
  };
  return { auth, origin, evil, browser, stop, again, mails, cli: (...rest) => [binary, [...flags, ...rest], { cwd: folder }] };
}

/** The mails to an address, oldest first. */
export const mailsTo = (place, address) => everyMail(place).filter((m) => m.to === address);

/** Every mail, oldest first. */
export function everyMail(place) {
  const names = readdirSync(place.mails).filter((n) => n.endsWith(".eml")).sort();
  const part = (raw, type) => raw.split(`text/${type}`)[1].split("\r\n\r\n").slice(1).join("\r\n\r\n").split("\r\n--")[0].replaceAll("=\r\n", "");
  const bytes = (text) => decodeURIComponent(text.replace(/%/g, "%25").replace(/=([0-9A-F]{2})/g, "%$1"));
  const header = (raw, name) => new RegExp(`^${name}: (.*(?:\\r\\n .*)*)$`, "m").exec(raw)[1].trim();
  const read = (raw) => ({ to: header(raw, "To"), subject: words(header(raw, "Subject")), html: bytes(part(raw, "html")), text: bytes(part(raw, "plain")) });
  return names.map((name) => read(readFileSync(join(place.mails, name), "utf8")));
}

/** The link in a mail. */
export const linkIn = (mail) => /https?:\/\/\S+/.exec(mail.text)[0];
