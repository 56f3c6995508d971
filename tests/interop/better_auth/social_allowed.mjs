// Where sign-in with other providers is deliberately different: rules of `allowed.mjs`, each with its reason (`docs/upstream.md`).
const exactly = (text) => new RegExp(`^${text.replaceAll(/[/:.?*+()]/g, "\\$&")}$`);
const callback = /^(GET|POST) \/callback\/[a-z]+$/;
const PAGE = "/api/auth/error";

const OWN_STATE = "A redirect target is read from a state that this browser holds for this provider; without one the error page is shown.";
const FOR_A_DOMAIN = "A provider's word counts for the domains that it is responsible for, and here for no other.";
const OWNER = "The owner of a mailbox is not kept out by an account that never proved it: what was set before ends.";
const SECOND = "A provider is one factor: a user with two-step sign-in is asked for the second one.";
const TABS = "Each sign-in that was begun has a cookie of its own, so tabs do not disturb each other.";
const ASKS = "A page shows both email addresses and asks: the browser may be signed in at the provider as another person.";
const NOT_KEPT = "Tokens of providers are not kept without `keep_tokens`.";
const ONCE = "An ID token is good once.";
const NONCE = "An ID token with a nonce was made for an app that knows it.";
const NO_PASSWORD = "This call disconnects providers, and takes no password away.";
const MAILBOX = "The verified mailbox is a way in as well, where sign-in by email is on.";
const ADVANCE = "An unknown account is unknown, also where it would be the last.";

// Ways back that lead elsewhere: the scenario, where theirs leads, where ours leads, and the reason.
const leads = [
  ["a banned user by a provider", /^\/sorry\?error=BANNED_USER&/, "/sorry?error=banned", "The words of a redirect are lower case, and a text for people is the application's."],
  ["a way back with an error of its own", /^\/sorry\?error=%3Cscript%3E/, "/sorry?error=upstream_error", "Only registered words of a provider are passed on."],
  ["a way back in another browser", "/sorry?error=state_mismatch", `${PAGE}?error=state_mismatch`, OWN_STATE],
  ["a way back to another provider", "/sorry?error=invalid_code", `${PAGE}?error=state_mismatch`, "A state belongs to one provider: the code of one must not go to another."],
  ["a way back to a provider that is not there", "/sorry?error=oauth_provider_not_found", `${PAGE}?error=state_mismatch`, OWN_STATE],
  ["a provider that is not responsible for the domain", "/welcome", "/sorry?error=account_not_linked", FOR_A_DOMAIN],
  ["an unverified user whom the provider verified", "/sorry?error=account_not_linked", "/welcome", OWNER],
  ["a second factor after the provider", "/welcome", /^<base>\/auth\/challenge|^\/auth\/challenge/, SECOND],
  ["two tabs at once", `<base>${PAGE}?error=state_mismatch`, "/first", TABS],
  ["a provider connected with another email address", "/sorry?error=email_does_not_match", /\/auth\/account\/connect\?link=/, ASKS],
  ["a provider connected that did not verify", "/sorry?error=unable_to_link_account", /\/auth\/account\/connect\?link=/, ASKS],
];
const is = (wanted, location) => (typeof wanted === "string" ? wanted === location : wanted.test(location ?? ""));
// What differs further where one of both signs in and the other does not.
const follows = /^(cookies\.\d+|headers\.(set-auth-token|set-auth-jwt)|body|body\.\d+)$/;
const consequences = [
  ["a provider that is not responsible for the domain", FOR_A_DOMAIN],
  ["an unverified user whom the provider verified", OWNER],
  ["a second factor after the provider", SECOND],
  ["two tabs at once", TABS],
];

// Refusals and answers that differ: the scenario, the call, both statuses and codes (none for an answer that is no refusal), and the reason.
const answers = [
  ["a sign-in with another provider, from an origin that is not trusted", "POST /sign-in/social", 200, undefined, 403, "INVALID_ORIGIN", "An untrusted origin is refused with a cookie and without one."],
  ["an ID token used twice", "POST /sign-in/social", 200, undefined, 401, "INVALID_TOKEN", ONCE],
  ["an ID token whose nonce is not said", "POST /sign-in/social", 200, undefined, 401, "INVALID_TOKEN", NONCE],
  ["an ID token without an email address", "POST /sign-in/social", 401, "FAILED_TO_GET_USER_INFO", 401, "OAUTH_LINK_ERROR", "The refusals of an identity have one code, and the word of the redirect as their message."],
  ["a provider connected by an ID token", "POST /link-social", 401, "LINKING_NOT_ALLOWED", 401, "LINKING_DIFFERENT_EMAILS_NOT_ALLOWED", "An email address that is not verified says as little as another one."],
  ["the tokens of a provider that keeps none", "POST /get-access-token", 200, undefined, 400, "ACCESS_TOKEN_NOT_FOUND", NOT_KEPT],
  ["the tokens of a provider that keeps none", "GET /account-info", 200, undefined, 400, "ACCESS_TOKEN_NOT_FOUND", NOT_KEPT],
  ["the tokens of GitHub", "POST /get-access-token", 200, undefined, 400, "ACCESS_TOKEN_NOT_FOUND", NOT_KEPT],
  ["the tokens of GitHub", "GET /account-info", 200, undefined, 400, "ACCESS_TOKEN_NOT_FOUND", NOT_KEPT],
  ["the tokens of a password", "GET /account-info", 400, "PROVIDER_NOT_CONFIGURED", 400, "PROVIDER_NOT_SUPPORTED", "One code says that the account is a password."],
  ["the last way in taken away, but for the mailbox", "POST /unlink-account", 400, "FAILED_TO_UNLINK_LAST_ACCOUNT", 200, undefined, MAILBOX],
  ["an ID token of a user with a second factor", "POST /sign-in/social", 200, undefined, 200, undefined, SECOND],
  ["a provider taken away", "POST /unlink-account", 400, "FAILED_TO_UNLINK_LAST_ACCOUNT", 400, "ACCOUNT_NOT_FOUND", ADVANCE],
  ["a password taken away", "POST /unlink-account", 200, undefined, 400, "ACCOUNT_NOT_FOUND", NO_PASSWORD],
  ["the only password taken away", "POST /unlink-account", 400, "FAILED_TO_UNLINK_LAST_ACCOUNT", 400, "ACCOUNT_NOT_FOUND", NO_PASSWORD],
];
// What the client makes of them: once for each scenario, and not where a rule below says more of it.
const told = new Set(["the last way in taken away, but for the mailbox", "a password taken away"]);
const firstTold = answers.filter(([scenario]) => !scenario.includes("origin") && !told.has(scenario) && told.add(scenario));
const outcome = /^(status|type|body|body\.[a-zA-Z]+|cookies(\.\d+)?|headers\.(location|set-auth-token|www-authenticate|access-control-[a-z-]+))$/;
const client = /^client\.\d+\.(ok|nothing|error|error\.(code|status))$/;

export const socialAllowed = [
  { scenario: /^a way back as a form$/, call: callback, path: /^(status|cookies\.\d+|headers\.(location|set-auth-token))$/, only: (t, o, _, ours) => ours.status === 303 && ours.headers.location === "/welcome", why: "A posted answer works at once: the code is in no URL of ours." },
  { scenario: /^the last way in taken away, but for the mailbox$/, call: /^GET \/list-accounts$/, path: /^body\.0$/, only: (t, o) => t?.providerId === "acme" && o === undefined, why: MAILBOX },
  { scenario: /^the last way in taken away, but for the mailbox$/, path: client, why: `As the client tells it: ${MAILBOX}` },
  { scenario: /^a password taken away$/, call: /^(GET \/list-accounts|POST \/sign-in\/email)$/, path: /^(status|body(\..+)?|cookies\.\d+|headers\.set-auth-token)$/, why: NO_PASSWORD },
  { scenario: /^a password taken away$/, path: client, why: `As the client tells it: ${NO_PASSWORD}` },
  { scenario: /^the tokens without a session$/, path: /^(body|headers\.www-authenticate|client\.\d+\.error\.code)$/, only: (t, o) => !t && (o?.code === "UNAUTHORIZED" || o === "UNAUTHORIZED" || o === 'Bearer realm="countersign"'), why: "Every 401 has a code and a challenge." },
  { scenario: /^the tokens of a password$/, path: /^body\.message$/, only: (t, o) => o === "Provider not supported", why: "The text does not repeat what was sent." },
  { scenario: /^the tokens of no account in particular$/, path: /^body\.message$/, only: (t, o) => o.endsWith("accountId] is required"), why: "The field that is missing is named." },
  { scenario: /^an ID token of a user with a second factor$/, call: /^GET \/get-session$/, path: /^(body|headers\.set-auth-jwt)$/, only: (t, o) => o === null, why: SECOND },
  { call: callback, path: /^headers\.location$/, only: (t, o) => t !== undefined && o === t?.replace("<base>/api/auth/error?", `${PAGE}?`).replace(/&error_description=[^&#]*/, ""), why: "The text of a provider is not passed on: an attacker can write it. The error page is named by its path." },
  { scenario: /^a sign-in with more scopes$/, call: /^POST \/sign-in\/social$/, path: /^(body\.url|headers\.location)\.scope$/, only: (t, o) => t.split(" ").sort().join() === o.split(" ").sort().join(), why: "The same scopes in another order." },
  { scenario: /GitHub/, call: /^POST \/sign-in\/social$/, path: /^(body\.url|headers\.location)\.login(_hint)?$/, only: (t, o) => t === undefined || o === undefined, why: "GitHub's own name of the hint is `login`." },
  { scenario: /GitHub/, call: /^GET \/get-session$/, path: /^body\.user\.image$/, only: (t, o) => /^http:/.test(t) && o === null, why: "Pictures are by https alone." },
  { scenario: /^a new user by GitHub$/, call: /^GET \/get-session$/, path: /^(body\.user\.emailVerified|headers\.set-auth-jwt\.claims\.email_verified)$/, only: (t, o) => t === true && o === false, why: "GitHub's mark of a verified mailbox may be years old, so it is no proof." },
  { scenario: /^a new user by GitHub with another public address$/, call: /^GET \/get-session$/, path: /\.email$/, only: (t, o) => t.startsWith("victim-") && o.startsWith("octo-"), why: "The public email address of a profile says nothing: the primary one is taken." },
  ...leads.map(([scenario, theirs, ours, why]) => ({ scenario: exactly(scenario), call: callback, path: /^headers\.location$/, only: (t, o) => is(theirs, t) && is(ours, o), why })),
  ...consequences.map(([scenario, why]) => ({ scenario: exactly(scenario), call: /^GET \/(callback\/[a-z]+|get-session|list-accounts)$/, path: follows, why })),
  ...consequences.filter(([scenario]) => /unverified|second/.test(scenario)).map(([scenario, why]) => ({ scenario: exactly(scenario), path: client, only: (t, o) => typeof t === "boolean" && typeof o === "boolean", why: `As the client tells it: ${why}` })),
  ...answers.map(([scenario, call, status, code, own, ownCode, why]) => ({ scenario: exactly(scenario), call: exactly(call), status, path: outcome, only: (t, o, theirs, ours) => (code === undefined || theirs.body.code === code) && ours.status === own && ours.body.code === ownCode, why })),
  ...firstTold.map(([scenario, , status, code, own, ownCode, why]) => ({ scenario: exactly(scenario), path: client, only: (t, o) => (code === undefined ? typeof t === "boolean" || (t === null && o?.code === ownCode) : [code, status].includes(t) && [ownCode, own].includes(o)), why: `As the client tells it: ${why}` })),
];
