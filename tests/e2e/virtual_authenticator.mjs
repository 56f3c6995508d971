// Chromium's virtual authenticators, by CDP: devices of a page, which say yes by themselves.

/** A device of a page that knows CTAP 2, keeps passkeys and verifies its user, unless the options say otherwise. */
export async function virtualAuthenticator(page, options = {}) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const settings = { protocol: "ctap2", ctap2Version: "ctap2_1", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true, ...options };
  if (settings.protocol === "u2f") delete settings.ctap2Version;
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options: settings });
  const send = (method, more = {}) => cdp.send(`WebAuthn.${method}`, { authenticatorId, ...more });
  return {
    /** Its passkeys, keys and all. */
    credentials: async () => (await send("getCredentials")).credentials,
    add: (credential) => send("addCredential", { credential }),
    set: (properties) => send("setCredentialProperties", properties),
    clear: () => send("clearCredentials"),
    /** Whether it verifies its user from now on. */
    verifies: (isUserVerified) => send("setUserVerified", { isUserVerified }),
    /** Whether its user touches it, so that another device of the page answers. */
    plug: (enabled) => send("setAutomaticPresenceSimulation", { enabled }),
    remove: () => send("removeVirtualAuthenticator"),
  };
}
