// Passkeys on the pages: a button or the list of a field signs in, proves again who is there, or adds a passkey. The page says by attributes what is wanted; the service checks everything.
"use strict";

{
  const { api, signedIn, createPasskey } = document.body.dataset;
  const known = globalThis.PublicKeyCredential;

  /** How long the options of a request are used, in milliseconds. The service takes them for five minutes. */
  const USABLE = 240_000;

  /** Calls the service. A refusal is an error whose name is its code. */
  async function call(method, path, body, more) {
    const headers = { accept: "application/json", ...(body && { "content-type": "application/json" }) };
    const answer = await fetch(api + path, { method, headers, body: body && JSON.stringify(body), cache: "no-store", ...more });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw Object.assign(new Error(told.message), { name: told.code });
    return told;
  }

  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const withBytes = (list) => list?.map((each) => ({ ...each, id: bytes(each.id) }));

  /** The answer of an authenticator as JSON. */
  function written(credential) {
    const { id, rawId, type, response } = credential;
    const sent = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) if (response[name]) sent[name] = text(response[name]);
    if (response.getTransports) sent.transports = response.getTransports();
    const attachment = credential.authenticatorAttachment && { authenticatorAttachment: credential.authenticatorAttachment };
    return { id, rawId: text(rawId), type, response: sent, clientExtensionResults: credential.getClientExtensionResults(), ...attachment };
  }

  /** Tells the browser's store of passkeys something; not every browser has all of it. */
  const signal = (name, what) => known[name]?.(what).catch(() => {});

  /** Which passkeys the user has and what the user is called, so that a store shows no others. */
  async function signals() {
    if (!known.signalAllAcceptedCredentials) return;
    const { rpId, userId, allAcceptedCredentialIds, name, displayName } = await call("GET", "/passkey/signals", undefined, { signal: AbortSignal.timeout(2_000) });
    if (!userId) return;
    await Promise.all([signal("signalAllAcceptedCredentials", { rpId, userId, allAcceptedCredentialIds }), signal("signalCurrentUserDetails", { rpId, userId, name, displayName })]);
  }

  /** Asks an authenticator to sign. A sign-in begins without cookies: one that waits for its second step is not gone on with. */
  async function signed(button, more) {
    const cookies = button.dataset.passkey === "sign-in" ? { credentials: "omit" } : {};
    const options = await call("GET", "/passkey/generate-authenticate-options?delivery=body", undefined, { ...cookies, signal: more?.signal });
    const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: withBytes(options.allowCredentials) };
    return { options, credential: await navigator.credentials.get({ publicKey, ...more }) };
  }

  const checked = (id) => document.getElementById(id)?.checked ?? false;
  const choices = () => ({ ...(document.getElementById("remember") && { rememberMe: checked("remember") }), ...(checked("trust") && { trustDevice: true }) });

  /** Signs in by what an authenticator signed, and goes on. */
  async function verify(button, { options, credential }) {
    try {
      const body = { response: written(credential), state: options.state, ...choices() };
      await goOn(button, await call("POST", "/passkey/verify-authentication", body));
    } catch (error) {
      if (error.name === "PASSKEY_NOT_FOUND") await signal("signalUnknownCredential", { rpId: options.rpId, credentialId: credential.id });
      throw error;
    }
  }

  /** Adds a passkey. With `more.mediation` the browser decides by itself whether it makes one. */
  async function add(name, more) {
    const query = `delivery=body${more?.mediation ? "&conditional=true" : ""}`;
    const options = await call("GET", `/passkey/generate-register-options?${query}`, undefined, { signal: more?.signal });
    const user = { ...options.user, id: bytes(options.user.id) };
    const publicKey = { ...options, user, challenge: bytes(options.challenge), excludeCredentials: withBytes(options.excludeCredentials) };
    const credential = await navigator.credentials.create({ publicKey, ...more });
    const body = { response: written(credential), state: options.state, ...(name && { name }), ...choices() };
    return call("POST", "/passkey/verify-registration", body);
  }

  async function goOn({ dataset }, answer) {
    if (answer.twoFactorRedirect) return location.assign(dataset.challenge);
    await signals().catch(() => {});
    location.assign(dataset.next);
  }

  /** Ends the passkey that the browser makes by itself, once a button is pressed: there is one request at a time. */
  const making = new AbortController();

  /** Says why it did not work, where the page shows refusals. */
  function say(button, error) {
    const texts = JSON.parse(button.dataset.texts);
    const around = button.closest(".part > div, .card");
    let place = around.querySelector(":scope > .said");
    if (!place) {
      place = document.createElement("div");
      (around.querySelector(":scope > form") ?? button.closest("[data-passkey-only]")).before(place);
    }
    place.className = "said bad";
    place.setAttribute("role", "alert");
    place.tabIndex = -1;
    place.textContent = texts[error.name] ?? texts.other;
    if (error.name === "SESSION_NOT_FRESH" && button.dataset.again) {
      const link = Object.assign(document.createElement("a"), { href: button.dataset.again, textContent: texts.again });
      place.append(" ", link);
    }
    place.focus();
  }

  function busy(button, is) {
    button.disabled = is;
    button.toggleAttribute("aria-busy", is);
  }

  /** The list under a field offers passkeys for as long as the page is open. A button or newer options take its place. */
  const field = document.querySelector("input[autocomplete~=webauthn]");
  let [waiting, since] = [null, 0];
  async function offer(button) {
    waiting?.abort();
    const own = (waiting = new AbortController());
    since = Date.now();
    // Before the user has chosen a passkey of the list there is nothing to say.
    const asked = await signed(button, { mediation: "conditional", signal: own.signal }).catch(() => null);
    if (!asked || own.signal.aborted) return;
    busy(button, true);
    await verify(button, asked).catch((error) => {
      busy(button, false);
      say(button, error);
      offer(button);
    });
  }

  const work = {
    register: async (button) => goOn(button, await add(button.dataset.name)),
    authenticate: async (button) => verify(button, await signed(button)),
  };
  work["sign-in"] = work.authenticate;

  async function pressed(button) {
    const offered = waiting;
    waiting?.abort();
    making.abort();
    busy(button, true);
    try {
      await work[button.dataset.passkey](button);
    } catch (error) {
      busy(button, false);
      say(button, error);
      if (offered) offer(button);
    }
  }

  if (known) {
    for (const part of document.querySelectorAll("[data-passkey-only]")) part.hidden = false;
    for (const part of document.querySelectorAll("[data-passkey-missing]")) part.hidden = true;
    for (const button of document.querySelectorAll("button[data-passkey]")) button.addEventListener("click", () => pressed(button));
    const button = field && document.querySelector("button[data-passkey]");
    if (button)
      known.isConditionalMediationAvailable?.().then((is) => {
        if (!is) return;
        const renew = () => document.visibilityState === "visible" && Date.now() - since > USABLE && !button.disabled && offer(button);
        document.addEventListener("visibilitychange", renew);
        setInterval(renew, 30_000);
        renew();
      });
    // Back from the next page.
    addEventListener("pageshow", ({ persisted }) => {
      if (!persisted) return;
      for (const each of document.querySelectorAll("button[data-passkey]")) busy(each, false);
      if (button) since = 0;
    });
  }

  /** Whether this has not been done in this tab for this value before. */
  function isFirst(what, value) {
    try {
      const done = sessionStorage.getItem(`countersign.${what}`) === value;
      sessionStorage.setItem(`countersign.${what}`, value);
      return !done;
    } catch {
      return false; // The browser keeps nothing for this site.
    }
  }

  // After a sign-in: what the store of passkeys should know, and a passkey for next time if the browser makes one without a question.
  async function afterSignIn() {
    if (isFirst("signals", signedIn) || new URLSearchParams(location.search).has("done")) await signals().catch(() => {});
    const makes = createPasskey !== undefined && (await known.getClientCapabilities?.())?.conditionalCreate;
    if (!makes || making.signal.aborted || !isFirst("passkey", "offered")) return;
    await add(createPasskey, { mediation: "conditional", signal: making.signal });
    await signals();
  }
  if (known && signedIn) afterSignIn().catch(() => {});
}
