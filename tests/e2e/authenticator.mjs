// An authenticator app, for the tests of the second step.
import { createHmac } from "node:crypto";
import { waitFor } from "./place.mjs";

const PERIOD = 30_000;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** RFC 6238 with HMAC-SHA-1, six digits and steps of half a minute. */
function totp(secret, step) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac("sha1", secret).update(counter).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** An app that has the key of a page. The codes of three steps are good at once, and each is good once: it gives the oldest that was not used. */
export class Authenticator {
  constructor(key) {
    const bits = [...key.replaceAll(" ", "")].map((letter) => LETTERS.indexOf(letter).toString(2).padStart(5, "0")).join("");
    this.secret = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
    this.last = 0;
  }

  async code() {
    const now = () => Math.floor(Date.now() / PERIOD);
    // The step before this one ends soon: it would have ended when the server looks.
    const oldest = PERIOD - (Date.now() % PERIOD) < 2_000 ? now() : now() - 1;
    this.last = Math.max(oldest, this.last + 1);
    await waitFor(() => this.last <= now() + 1, "the next code", 40);
    return totp(this.secret, this.last);
  }

  /** Six digits that are no code of this time. */
  wrong() {
    const now = Math.floor(Date.now() / PERIOD);
    const good = [-2, -1, 0, 1, 2].map((n) => totp(this.secret, now + n));
    return ["000000", "111111", "222222", "333333", "444444", "555555"].find((code) => !good.includes(code));
  }
}
