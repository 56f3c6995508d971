// Where Countersign is deliberately different: the first table of the contract, each with its reason. A rule that nothing needs any more is an error.
const added = (t) => t === undefined;

export const allowed = [
  { path: /^body\.(accessToken|tokenType|expiresIn)$/, only: added, why: "whoever is signed in gets an access token at once" },
  { path: /^body\..*(image|banReason|banExpires|impersonatedBy)$/, only: (t, o) => t === undefined && o === null, why: "theirs keeps everything in memory here and leaves out what a database has as null" },
  { path: /^body\..*ipAddress$/, only: (t) => t === "", why: "the client's address is known without a proxy too" },
  { path: /^body\.code$/, only: added, why: "every error has a code" },
  { path: /^body\.message$/, only: (_, o, theirs) => theirs.status >= 400, why: "texts are our own, codes are the contract's" },
  { path: /^body\.errors$/, only: added, why: "validation names each field" },
  { call: /list-sessions|list-user-sessions/, path: /\.(device|current)$/, only: added, why: "a list that people can read" },
  { path: /^(client\.\d+\.error\.code)$/, only: added, why: "every error has a code, and the client passes it on" },
  { status: 404, path: /^(status|type|body)$/, only: (t, o, _, ours) => ours.status === 405, why: "a wrong method is 405 with Allow and a JSON body, not an empty 404" },
  { path: /^client\.\d+\.error\.status$/, only: (t, o) => t === 404 && o === 405, why: "the same, as the client tells it" },
  { call: /^GET \/admin\//, status: 401, path: /^body$/, only: (t) => t === "", why: "a 401 of an admin's path has a body" },
  { call: /stop-impersonating$/, path: /^cookies\./, why: "every cookie of the other session is cleared, dont_remember too (section 17, 8)" },
  { call: /change-password$/, status: 415, path: /^(status|body\.code)$/, only: (t, o) => [401, "UNAUTHORIZED"].includes(o), why: "behind the guard 401 comes before what is wrong with the body" },
  { call: /sign-in\/email$/, status: 400, path: /^(status|body\.code)$/, only: (t, o) => [403, "INVALID_ORIGIN"].includes(o), why: "an origin that nobody trusts is refused before the body is read" },
  { call: /sign-up\/email$/, status: 200, only: (t, o, _, ours) => ours.body?.code === "FIELD_NOT_ALLOWED", path: /./, why: "a privileged field is refused, not ignored" },
  { path: /^status$/, only: (t, o, theirs, ours) => t === 302 && o === 303 && ours.call?.startsWith("POST"), why: "after a form the browser goes on with GET" },
  { path: /^call$/, only: (t, o) => o === t.replace("GET", "POST"), why: "a link that changes or deletes opens a page that asks: a scanner that follows links changes nothing" },
  { scenario: /another address/, call: /verify-email$/, path: /^(cookies|headers\.set-auth-token)/, only: (_, o) => o === undefined || o === null, why: "the link of a change of address signs nobody in (section 17, 11)" },
  { scenario: /proven by a visitor/, path: /^(body|headers\.set-auth-jwt|client\.1\.nothing)$/, why: "the same: the visitor is nobody afterwards" },
  { scenario: /ends what was signed in/, path: /^(body|headers\.set-auth-jwt|cookies\.\d|client\.2\.nothing)$/, why: "a new password ends every session" },
  { scenario: /by the token of its mail/, path: /^cookies/, why: "the cookies go with the account at once, not at the next look" },
  { scenario: /known address that nobody tells/, path: /^body\.user\.role$/, only: (t) => t === null, why: "a known address is not told by its role (section 17, 6)" },
  { scenario: /deleted with its password where mails are sent/, path: /./, why: "the password is proof: no link is mailed" },
  { call: /^POST \/get-session$/, status: 405, path: /./, why: "reading the session by POST is what the client does where theirs defers its refresh; ours needs no setting for it" },
  { call: /^GET \/jwks$/, path: /^body/, why: "one key in use and its successor, with `use`" },
  { scenario: /cached/, path: /^headers\.set-auth-jwt$/, only: (_, o) => o === null, why: "a hit of the cookie cache mints nothing (section 17, 2)" },
  { scenario: /an id changed by an admin/, path: /./, why: "ids are for ever; 1.7.24 refuses it too" },
  { scenario: /cached and changed/, path: /^cookies\.\d$/, why: "after a change the cache is forgotten, and read anew at the next look" },
  { scenario: /cached and ended/, call: /sign-out$/, path: /^cookies\.\d$/, why: "theirs clears the cache twice" },
];

/** The session cookie, by the default of both. */
export const sessionCookie = "better-auth.session_token";

/** Cookies of ours that theirs does not have. */
export const ownCookies = ["better-auth.refresh_token", "better-auth.known_device"];
