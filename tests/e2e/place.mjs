// What the browser tests stand on: our server in a folder of its own, an application on another origin, Chromium.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createProbe } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const binary = process.env.BIN_UNDER_TEST ?? join(root, "target/debug/countersign");
export const pictures = join(here, "pictures");
mkdirSync(pictures, { recursive: true });

// Below those that the kernel gives to clients.
const freePort = () =>
  new Promise((resolve) => {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const probe = createProbe().once("error", () => resolve(freePort()));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(port)));
  });

/** Asks until the answer is true, and gives it. */
export async function waitFor(check, what = "what was waited for", seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await Promise.resolve(check()).catch(() => null);
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The application: one page on any path, from an origin of its own. */
function application(auth) {
  const bundle = readFileSync(join(here, "app.js"));
  const page = `<!doctype html><html lang="en" data-auth="${auth}"><meta charset="utf-8"><title>Notes</title><div id="root"></div><script type="module" src="/app.js"></script></html>`;
  const server = createServer((request, response) => {
    const script = request.url === "/app.js";
    response.setHeader("content-type", script ? "text/javascript" : "text/html");
    response.end(script ? bundle : page);
  });
  return server;
}

/** RFC 2047: words of a header that are not ASCII. */
const words = (text) => text.replaceAll(/=\?utf-8\?b\?([^?]*)\?=\s*/gi, (_, encoded) => Buffer.from(encoded, "base64").toString("utf8"));

/** Everything, running; `settings` are ours. */
export async function start(settings = []) {
  const folder = mkdtempSync(join(tmpdir(), "countersign-e2e-"));
  const [port, appPort, evilPort] = [await freePort(), await freePort(), await freePort()];
  const [auth, origin, evil] = [port, appPort, evilPort].map((p) => `http://localhost:${p}`);
  const servers = [application(auth).listen(appPort, "127.0.0.1"), application(auth).listen(evilPort, "127.0.0.1")];
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
  ];
  const flags = [...fixed, ...settings].flatMap((s) => ["--set", s]);
  const log = openSync(join(folder, "server.log"), "a");
  const child = spawn(binary, [...flags, "serve"], { cwd: folder, stdio: ["ignore", log, log] });
  await waitFor(async () => (await fetch(`${auth}/health`)).ok, "the server");
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const stop = async () => {
    await browser.close();
    for (const server of servers) server.close();
    child.kill("SIGTERM");
    await new Promise((resolve) => (child.exitCode === null ? child.once("exit", resolve) : resolve()));
  };
  return { auth, origin, evil, browser, stop, mails, cli: (...rest) => [binary, [...flags, ...rest], { cwd: folder }] };
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
