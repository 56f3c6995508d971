// An authenticator in software, and what stands for the browser around it: the npm clients call `navigator.credentials` unmodified. Its answers can be
// bent on purpose, before they are signed or afterwards.
import { AsyncLocalStorage } from "node:async_hooks";
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";

const sha256 = (data) => createHash("sha256").update(data).digest();
export const base64url = (bytes) => Buffer.from(bytes).toString("base64url");

/** RFC 8949, as far as authenticators need it: integers, texts, bytes, lists and maps in the order in which they are given. */
export function cbor(value) {
  const head = (major, n) => {
    if (n < 24) return Buffer.from([(major << 5) | n]);
    if (n < 256) return Buffer.from([(major << 5) | 24, n]);
    if (n < 65_536) return Buffer.from([(major << 5) | 25, n >> 8, n & 255]);
    return Buffer.from([(major << 5) | 26, n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255]);
  };
  if (Number.isInteger(value)) return value >= 0 ? head(0, value) : head(1, -1 - value);
  if (typeof value === "boolean") return Buffer.from([value ? 0xf5 : 0xf4]);
  if (typeof value === "string") return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Buffer.concat([head(5, entries.length), ...entries.flatMap(([k, v]) => [cbor(k), cbor(v)])]);
}

const from64 = (text) => Buffer.from(text, "base64url");
/** The algorithms by their numbers in COSE: how a key is made, how its public half is written, and how it signs. */
const ALGORITHMS = {
  [-7]: {
    make: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
    cose: ({ x, y }) => new Map([[1, 2], [3, -7], [-1, 1], [-2, from64(x)], [-3, from64(y)]]),
    sign: (data, key) => sign("sha256", data, key),
  },
  [-8]: {
    make: () => generateKeyPairSync("ed25519"),
    cose: ({ x }) => new Map([[1, 1], [3, -8], [-1, 6], [-2, from64(x)]]),
    sign: (data, key) => sign(null, data, key),
  },
  [-257]: {
    make: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
    cose: ({ n, e }) => new Map([[1, 3], [3, -257], [-1, from64(n)], [-2, from64(e)]]),
    sign: (data, key) => sign("sha256", data, key),
  },
};
export const [ES256, EDDSA, RS256] = [-7, -8, -257];

const FLAGS = { up: 1, uv: 4, be: 8, bs: 16, at: 64, ed: 128 };
const refuse = (name, message) => {
  throw new DOMException(message, name);
};

/** A device with its passkeys. Each option of an authenticator may be changed between two ceremonies. */
export class SoftwareAuthenticator {
  constructor(options = {}) {
    Object.assign(this, {
      algorithms: [ES256, EDDSA, RS256], attachment: "platform", transports: ["internal"], resident: true, aaguid: Buffer.alloc(16), step: 0,
      up: true, uv: true, be: false, bs: false, origin: undefined, cancels: false, ...options,
    });
    this.passkeys = [];
  }

  flags({ up = this.up, uv = this.uv, be = this.be, bs = this.bs, at = false, ed = false }) {
    return Object.entries({ up, uv, be, bs, at, ed }).reduce((flags, [name, on]) => flags | (on ? FLAGS[name] : 0), 0);
  }

  clientData(type, challenge, { origin = this.origin, crossOrigin = false, clientData = (data) => data }) {
    const data = clientData({ type, challenge, origin, crossOrigin });
    return Buffer.isBuffer(data) ? data : Buffer.from(JSON.stringify(data));
  }

  /** The answer to options for a new passkey, as JSON; `bend` says what is not as it should be. */
  register(options, bend = {}) {
    if (this.cancels) refuse("NotAllowedError", "The user said no");
    const wanted = options.pubKeyCredParams.map(({ alg }) => alg);
    const alg = bend.alg ?? this.algorithms.find((known) => wanted.includes(known)) ?? refuse("NotSupportedError", "No algorithm is known here");
    const excluded = (options.excludeCredentials ?? []).map(({ id }) => id);
    if (!bend.again && this.passkeys.some((passkey) => excluded.includes(passkey.id))) refuse("InvalidStateError", "There is a passkey of this user");
    const { publicKey, privateKey } = ALGORITHMS[alg].make();
    const id = bend.id ?? randomBytes(bend.idLength ?? 32);
    const cose = cbor(bend.cose ? bend.cose(ALGORITHMS[alg].cose(publicKey.export({ format: "jwk" }))) : ALGORITHMS[alg].cose(publicKey.export({ format: "jwk" })));
    const passkey = { id: base64url(id), privateKey, alg, cose, rpId: options.rp.id, userHandle: options.user.id, counter: this.step };
    const length = Buffer.alloc(2);
    length.writeUInt16BE(id.length);
    const attested = Buffer.concat([this.aaguid, length, id, cose]);
    const authenticatorData = this.authenticatorData(passkey, { at: true, ...bend }, bend.attested ? bend.attested(attested) : attested);
    const clientDataJSON = this.clientData(bend.type ?? "webauthn.create", bend.challenge ?? options.challenge, bend);
    const { fmt, attStmt } = bend.attestation?.({ authenticatorData, clientDataHash: sha256(clientDataJSON), sign: (data) => ALGORITHMS[alg].sign(data, privateKey), alg }) ?? { fmt: "none", attStmt: {} };
    const attestationObject = bend.attestationObject ?? cbor({ fmt, attStmt, authData: authenticatorData });
    if (!bend.forgets) this.passkeys.push(passkey);
    return {
      id: passkey.id,
      rawId: passkey.id,
      response: { attestationObject: base64url(attestationObject), clientDataJSON: base64url(clientDataJSON), transports: this.transports },
      type: "public-key",
      clientExtensionResults: { credProps: { rk: this.resident } },
      authenticatorAttachment: this.attachment,
      ...bend.outer,
    };
  }

  authenticatorData(passkey, bend, attested = Buffer.alloc(0)) {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(bend.counter ?? passkey.counter);
    const flags = bend.flags ?? this.flags(bend);
    const data = Buffer.concat([sha256(bend.rpId ?? passkey.rpId), Buffer.from([flags]), counter, attested, ...(bend.extensions ? [cbor(bend.extensions)] : []), ...(bend.rest ? [bend.rest] : [])]);
    return bend.authData ? bend.authData(data) : data;
  }

  /** The answer to options of a sign-in, as JSON. */
  authenticate(options, bend = {}) {
    if (this.cancels) refuse("NotAllowedError", "The user said no");
    const allowed = (options.allowCredentials ?? []).map(({ id }) => id);
    const passkey = bend.passkey ?? this.passkeys.find(({ id, rpId }) => rpId === options.rpId && (allowed.length > 0 ? allowed.includes(id) : this.resident)) ?? refuse("NotAllowedError", "There is no passkey");
    passkey.counter += this.step;
    const authenticatorData = this.authenticatorData(passkey, bend);
    const clientDataJSON = this.clientData(bend.type ?? "webauthn.get", bend.challenge ?? options.challenge, bend);
    const signed = Buffer.concat([authenticatorData, sha256(clientDataJSON)]);
    const signature = ALGORITHMS[passkey.alg].sign(signed, bend.privateKey ?? passkey.privateKey);
    return {
      id: passkey.id,
      rawId: passkey.id,
      response: {
        authenticatorData: base64url(bend.sentData ? bend.sentData(authenticatorData) : authenticatorData),
        clientDataJSON: base64url(clientDataJSON),
        signature: base64url(bend.signature ? bend.signature(signature) : signature),
        ...(this.resident && { userHandle: passkey.userHandle }),
        ...bend.inner,
      },
      type: "public-key",
      clientExtensionResults: {},
      authenticatorAttachment: this.attachment,
      ...bend.outer,
    };
  }
}

// ---- the browser around it

const inUse = new AsyncLocalStorage();
/** Carries out calls of a client in a browser that has this authenticator. */
export const withAuthenticator = (authenticator, calls) => inUse.run(authenticator, calls);

const buffer = (text) => Uint8Array.from(Buffer.from(text, "base64url")).buffer;
/** Options as a page has them, with bytes in place of texts. */
const asJson = ({ challenge, user, allowCredentials, excludeCredentials, ...rest }) => {
  const named = (list) => list?.map((one) => ({ ...one, id: base64url(one.id) }));
  return { ...rest, challenge: base64url(challenge), user: user && { ...user, id: base64url(user.id) }, allowCredentials: named(allowCredentials), excludeCredentials: named(excludeCredentials) };
};

class PublicKeyCredential {
  static isConditionalMediationAvailable = async () => true;

  constructor({ id, rawId, response, type, clientExtensionResults, authenticatorAttachment }) {
    const { transports, ...bytes } = response;
    Object.assign(this, { id, type, authenticatorAttachment, rawId: buffer(rawId), getClientExtensionResults: () => clientExtensionResults });
    this.response = { ...Object.fromEntries(Object.entries(bytes).map(([name, text]) => [name, buffer(text)])), ...(transports && { getTransports: () => transports }) };
  }
}

const ceremony = (answer) => async (options) => {
  const authenticator = inUse.getStore();
  authenticator.asked = { ...options, publicKey: asJson(options.publicKey) };
  return new PublicKeyCredential(answer(authenticator, authenticator.asked.publicKey));
};

/** Gives this process what `@simplewebauthn/browser` uses of a browser. */
export function actAsBrowser() {
  const credentials = {
    create: ceremony((authenticator, options) => authenticator.register(options, authenticator.bend)),
    get: ceremony((authenticator, options) => authenticator.authenticate(options, authenticator.bend)),
  };
  Object.defineProperty(globalThis, "navigator", { value: { ...globalThis.navigator, credentials }, configurable: true });
  Object.assign(globalThis, { PublicKeyCredential, location: { hostname: "localhost" }, document: { querySelectorAll: () => [{}] } });
}
