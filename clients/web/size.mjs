// The whole client as an application's bundle has it, gzipped: printed, and held to its bound.
import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BOUND = 6_450;
const dist = new URL("dist/", import.meta.url);
const scripts = readdirSync(dist).filter((name) => name.endsWith(".js"));
const bytes = gzipSync(Buffer.concat(scripts.map((name) => readFileSync(new URL(name, dist)))), { level: 9 }).length;
console.log(`${scripts.join(" + ")}: ${bytes} bytes gzipped (bound ${BOUND})`);
if (bytes > BOUND) process.exit(1);
