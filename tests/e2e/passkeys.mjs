// The passkeys of a browser: a virtual authenticator of Chromium (WebAuthn domain of the DevTools protocol), which holds them instead of a person's device.

/** Gives a page an authenticator. It lives as long as the page, also over navigations. */
export async function authenticator({ page, context }, more = {}) {
  const cdp = await context.newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true, ...more };
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
  const send = (what, rest) => cdp.send(`WebAuthn.${what}`, { authenticatorId, ...rest });
  return {
    /** What it holds. */
    held: async () => (await send("getCredentials")).credentials,
    /** Whether its person touches it. While it is not touched, requests wait. */
    touched: (enabled) => send("setAutomaticPresenceSimulation", { enabled }),
  };
}
