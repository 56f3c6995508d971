// Where Countersign is deliberately different: the first table of the contract, each with its reason. A rule names the calls or scenarios and the
// path that it is about, and where it can the values of both sides. A rule that nothing needs any more is an error, and so is one that fits everything.
import { socialAllowed } from "./social_allowed.mjs";

const added = (t) => t === undefined;
const isText = (value) => typeof value === "string" && value.length > 0;

// The calls that sign in or change what the session cookie goes with, and thereby set it.
const signsIn = /^GET \/callback\/[a-z]+$|^POST \/(sign-in\/email|sign-up\/email|sign-in\/email-otp|sign-in\/social|passkey\/verify-authentication)$|^POST \/(change-password|update-user|email-otp\/change-email)$|^POST \/admin\/(impersonate-user|stop-impersonating)$|^(GET|POST) \/(verify-email|magic-link\/verify)$|^POST \/two-factor\/(verify-totp|verify-otp|verify-backup-code|disable)$/;
// The calls that answer with an access token, in a header or in the body.
const mints = /^GET \/(get-session|token)$/;
const token = String.raw`(headers\.set-auth-jwt|body\.token)`;
const inToken = (path) => new RegExp(`^${token}\\.${path}$`);
const users = /^(GET|POST) \/(get-session|sign-(in|up)\/email|sign-in\/social|sign-in\/email-otp|email-otp\/verify-email|magic-link\/verify|passkey\/verify-authentication|list-sessions|change-password|two-factor\/verify-[a-z-]+|admin\/[a-z-]+)$/;
const exactly = (text) => new RegExp(`^${text.replaceAll(/[/:.?*+()]/g, "\\$&")}$`);

// Reasons that several rules share.
const ANY_ORIGIN = "An untrusted origin is refused with a cookie and without one.";
const FIRST_CODE = "Two-step sign-in by mail begins with a first code, so that a mailbox which gets no mail locks no user out.";
const ONE_MAILBOX = "The mailbox was the first factor, so it cannot be the second one: this user signs in with the password.";
const FIVE_CODES = "A pending sign-in ends after five wrong codes, and the user begins with the password again.";
const APART = "Five tries belong to the browser that asked for the code and three to all others, so wrong codes from elsewhere do not use up the user's own.";
const STAYS = "The answer stays the same until there is a new code.";
const FRAMED = "A page that is shown inside one of another site makes and uses no passkeys.";
const ONE_OWNER = "A passkey has one owner and one row.";
const OTHER_KEY = "Only keys that a signature can be verified with are taken.";
const ADMINS = "An admin who acts as a user neither adds, renames nor removes that user's passkeys.";
const WHOSE = "The handle says whose passkey it is, and a stranger's answer has to name the owner.";
const NOT_SPENT = "A state is used up by the answer that is right: a wrong one does no harm.";
const RECOVERY = "Without an authenticator app there are no recovery codes, and so none is right.";
const ASKS = "A sign-in by mail is one factor, so ours asks for the second one.";

// Errors to which only ours gives a code: the call, the status of both, and the code.
const codes = [
  ["POST /email-otp/change-email", 400, 400, "EMAIL_IS_THE_SAME"],
  ["POST /email-otp/change-email", 400, 400, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"],
  ["POST /email-otp/request-email-change", 400, 400, "EMAIL_IS_THE_SAME"],
  ["POST /email-otp/request-email-change", 400, 400, "OTP_REQUIRED"],
  ["POST /email-otp/send-verification-otp", 400, 400, "VALIDATION_ERROR"],
  ["POST /admin/stop-impersonating", 400, 400, "NOT_IMPERSONATING"],
  ["POST /change-email", 400, 400, "EMAIL_IS_THE_SAME"],
  ["POST /sign-up/email", 200, 400, "FIELD_NOT_ALLOWED"],
  ["POST /update-session", 400, 400, "NO_FIELDS_TO_UPDATE"],
  ["POST /update-user", 400, 400, "NO_FIELDS_TO_UPDATE"],
];
// The same codes, as the client passes them on: the scenario and the code.
const passedOn = [
  ["a code of an unknown type", "VALIDATION_ERROR"],
  ["a new email address by code", "EMAIL_IS_THE_SAME"],
  ["a new email address that is taken in the meantime", "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"],
  ["a new email address without the first code", "OTP_REQUIRED"],
  ["the same email address by code", "EMAIL_IS_THE_SAME"],
  ["a session ended without a token", "METHOD_NOT_ALLOWED"],
  ["no permissions asked for", "METHOD_NOT_ALLOWED"],
  ["fields of a session", "NO_FIELDS_TO_UPDATE"],
  ["nothing changed", "NO_FIELDS_TO_UPDATE"],
  ["oneself again without having been another", "NOT_IMPERSONATING"],
  ["the same address", "EMAIL_IS_THE_SAME"],
  ["users listed without a session", "UNAUTHORIZED"],
];
// The calls of codes in mails that take an email address, and those of them that take a code.
const sendsCodes = ["POST /email-otp/send-verification-otp", "POST /email-otp/request-password-reset", "POST /forget-password/email-otp"];
const takesCodes = ["POST /email-otp/check-verification-otp", "POST /email-otp/verify-email", "POST /sign-in/email-otp", "POST /email-otp/reset-password"];
const TYPES = "expected sign-in, email-verification or forget-password";
// What ours says of fields that are not valid: the call, the field, and the sentence. Theirs prints its validator's own words.
const invalid = [
  ["POST /sign-in/email", "", "expected an object"],
  ["POST /sign-in/email", "password", "expected a string"],
  ["POST /sign-up/email", "password", "is required"],
  ["POST /sign-up/email", "email", "Invalid email address"],
  ["POST /sign-in/social", "provider", "is required"],
  ["POST /sign-in/social", "provider", "expected a string"],
  ["POST /sign-in/social", "additionalParams", "expected at most 8 short texts, no parameter that this service sets"],
  ["POST /unlink-account", "accountId", "is required"],
  ["POST /unlink-account", "accountId", "expected a string"],
  ...["POST /get-access-token", "POST /refresh-token", "GET /account-info"].map((call) => [call, "accountId", "is required"]),
  ["POST /two-factor/verify-totp", "code", "expected a string"],
  ["POST /update-user", "", "expected an object"],
  ["POST /delete-user", "", "expected an object"],
  ["POST /change-email", "newEmail", "Invalid email address"],
  ["POST /request-password-reset", "email", "Invalid email address"],
  ["POST /send-verification-email", "email", "Invalid email address"],
  ["POST /admin/set-user-password", "newPassword", "newPassword cannot be empty"],
  ["GET /admin/list-users", "searchOperator", "expected one of contains, starts_with, ends_with"],
  ["GET /reset-password/:token", "callbackURL", "is required"],
  ...[...sendsCodes, ...takesCodes, "POST /sign-in/magic-link"].flatMap((call) => [[call, "email", "is required"], [call, "email", "expected a string"]]),
  ...takesCodes.flatMap((call) => [[call, "otp", "is required"], [call, "otp", "expected a string"]]),
  ...[TYPES, "is required", "expected a string"].map((says) => ["POST /email-otp/send-verification-otp", "type", says]),
  ["POST /email-otp/check-verification-otp", "type", TYPES],
  ["POST /email-otp/reset-password", "password", "is required"],
  ["POST /email-otp/reset-password", "password", "expected a string"],
  ["POST /email-otp/request-email-change", "newEmail", "is required"],
  ["POST /email-otp/change-email", "otp", "is required"],
  ["POST /sign-in/email-otp", "name", "expected a string"],
  ["POST /sign-in/email-otp", "image", "expected a string"],
  ["POST /sign-in/magic-link", "name", "expected a string"],
  ["POST /two-factor/verify-otp", "code", "expected a string"],
];
const sharedTexts = ["Invalid email address", "newPassword cannot be empty"];
// Refusals whose reason differs, and with it the text: the call, both statuses, and both texts.
const reasons = [
  ["POST /change-password", 415, 401, /^Content-Type /, "Unauthorized"],
  ["POST /sign-in/email", 400, 403, /^\[body\.email\] /, "Invalid origin"],
  ["POST /change-password", 400, 403, /^Credential account not found$/, "You are not allowed to set users password"],
  ["POST /email-otp/change-email", 400, 400, /^Email already in use$/, "User already exists. Use another email."],
  ["POST /verify-password", 400, 403, /^Invalid password$/, "You are not allowed to set users password"],
];
// Calls whose 401 carries a challenge.
const challenged = [
  ...["generate-register-options", "list-user-passkeys"].map((path) => [`GET /passkey/${path}`, "UNAUTHORIZED"]),
  ...["verify-registration", "update-passkey", "delete-passkey"].map((path) => [`POST /passkey/${path}`, "UNAUTHORIZED"]),
  ["POST /passkey/verify-authentication", "PASSKEY_NOT_FOUND"], ["POST /passkey/verify-authentication", "AUTHENTICATION_FAILED"],
  ["GET /admin/list-users", "UNAUTHORIZED"], ["GET /list-accounts", "UNAUTHORIZED"], ["POST /link-social", "UNAUTHORIZED"], ["POST /link-social", "INVALID_TOKEN"], ["POST /link-social", "LINKING_DIFFERENT_EMAILS_NOT_ALLOWED"], ["POST /unlink-account", "UNAUTHORIZED"], ["POST /sign-in/social", "INVALID_TOKEN"], ["POST /sign-in/social", "OAUTH_LINK_ERROR"], ["GET /list-sessions", "UNAUTHORIZED"], ["GET /token", "UNAUTHORIZED"],
  ["GET /verify-email", "INVALID_TOKEN"], ["POST /change-email", "UNAUTHORIZED"], ["POST /change-password", "UNAUTHORIZED"], ["POST /delete-user", "UNAUTHORIZED"],
  ["POST /revoke-session", "UNAUTHORIZED"], ["POST /sign-in/email", "INVALID_EMAIL_OR_PASSWORD"],
  ["POST /two-factor/enable", "UNAUTHORIZED"], ["POST /two-factor/disable", "UNAUTHORIZED"], ["POST /two-factor/generate-backup-codes", "UNAUTHORIZED"], ["POST /two-factor/get-totp-uri", "UNAUTHORIZED"],
  ["POST /two-factor/verify-totp", "INVALID_CODE"], ["POST /two-factor/verify-totp", "INVALID_TWO_FACTOR_COOKIE"],
  ["POST /email-otp/request-email-change", "UNAUTHORIZED"], ["POST /email-otp/change-email", "UNAUTHORIZED"],
  ["POST /two-factor/send-otp", "INVALID_TWO_FACTOR_COOKIE"], ["POST /two-factor/verify-otp", "INVALID_CODE"], ["POST /two-factor/verify-otp", "INVALID_TWO_FACTOR_COOKIE"],
  ["POST /two-factor/verify-backup-code", "INVALID_BACKUP_CODE"], ["POST /two-factor/verify-backup-code", "INVALID_TWO_FACTOR_COOKIE"],
];
// What the second factor guards on ours alone: the scenario, the call that theirs does, our status and code, and the reason.
const guarded = [
  ["the URI after it was confirmed", "POST /two-factor/get-totp-uri", 400, "TOTP_ALREADY_ENABLED", "a session shows the secret only to who enrols"],
  ["a remembered device makes new backup codes", "POST /two-factor/generate-backup-codes", 403, "SESSION_NOT_FRESH", "codes that pass for the device need the device"],
  ["a remembered device turns the second factor off", "POST /two-factor/disable", 403, "SESSION_NOT_FRESH", "the device goes with its own proof"],
];
// Calls that Better Auth answers with 200 and ours refuses: the scenario, the call, our status and code, and the reason.
const refused = [
  ["an untrusted origin in each call", "POST /email-otp/request-password-reset", 403, "INVALID_ORIGIN", ANY_ORIGIN],
  ["an untrusted origin in each call", "POST /forget-password/email-otp", 403, "INVALID_ORIGIN", ANY_ORIGIN],
  ["a second factor by mail of an unverified user", "POST /two-factor/enable", 403, "EMAIL_NOT_VERIFIED", "A code in a mail is a second factor only if the mailbox is known to be the user's."],
  ["a second factor by mail and its first code", "POST /two-factor/send-otp", 400, "TWO_FACTOR_NOT_ENABLED", FIRST_CODE],
  ["a second factor by mail turned on without a password", "POST /two-factor/send-otp", 400, "TWO_FACTOR_NOT_ENABLED", "Turning two-step sign-in on needs the password."],
  ["a second factor by mail and a sign-in by code", "POST /sign-in/email-otp", 403, "INSUFFICIENT_USER_AUTHENTICATION", ONE_MAILBOX],
  ["a second factor by mail and a sign-in by link", "GET /magic-link/verify", 403, "INSUFFICIENT_USER_AUTHENTICATION", ONE_MAILBOX],
  ["a new code of the second step after too many wrong ones", "POST /two-factor/send-otp", 401, "INVALID_TWO_FACTOR_COOKIE", FIVE_CODES],
  ["a passkey that is registered already", "POST /passkey/verify-registration", 400, "PREVIOUSLY_REGISTERED", ONE_OWNER],
  ["a passkey that another user has", "POST /passkey/verify-registration", 400, "PREVIOUSLY_REGISTERED", ONE_OWNER],
  ["a passkey of a page in a frame", "POST /passkey/verify-registration", 400, "FAILED_TO_VERIFY_REGISTRATION", FRAMED],
  ["a passkey of an unknown algorithm", "POST /passkey/verify-registration", 400, "FAILED_TO_VERIFY_REGISTRATION", OTHER_KEY],
  ["a sign-in with a passkey in the browser of another user", "POST /passkey/verify-authentication", 403, "SAME_USER_REQUIRED", "A passkey in a session proves it is the same user; another user signs out first."],
  ["a sign-in with a passkey of a page in a frame", "POST /passkey/verify-authentication", 401, "AUTHENTICATION_FAILED", FRAMED],
  ["a sign-in with a passkey that may be backed up since", "POST /passkey/verify-authentication", 401, "AUTHENTICATION_FAILED", "Whether a passkey may be backed up never changes (WebAuthn section 6.1.3)."],
  ["a sign-in with a passkey of another user's handle", "POST /passkey/verify-authentication", 401, "AUTHENTICATION_FAILED", WHOSE],
  ["a sign-in with a passkey and no handle", "POST /passkey/verify-authentication", 401, "AUTHENTICATION_FAILED", WHOSE],
  ["a sign-in with a passkey and a handle that is null", "POST /passkey/verify-authentication", 401, "AUTHENTICATION_FAILED", WHOSE],
];
// Calls that Better Auth refuses and ours answers with 200: the scenario, the call, their status and code, and the reason.
const accepted = [
  ["a code for an unverified user in the same browser", "POST /sign-in/email", 401, "INVALID_EMAIL_OR_PASSWORD", "A session of the account in the same browser shows who set the password, so the password stays."],
  ["wrong codes in another browser and then the right one", "POST /sign-in/email-otp", 403, "TOO_MANY_ATTEMPTS", APART],
  ["two codes for two browsers", "POST /sign-in/email-otp", 400, "INVALID_OTP", "A request from another browser does not end the code of this one."],
  ["a code with a space", "POST /sign-in/email-otp", 400, "INVALID_OTP", "Spaces in a code that a user types do not matter."],
  ["a sign-in by code in a form", "POST /sign-in/email-otp", 415, "UNSUPPORTED_MEDIA_TYPE", "Every call takes a form as well, from a trusted origin."],
  ["a passkey with a state that was refused before", "POST /passkey/verify-registration", 400, "CHALLENGE_NOT_FOUND", NOT_SPENT],
  ["a new email address of an unverified user", "POST /email-otp/request-email-change", 400, undefined, "Only a verified mailbox has to agree to the change: Better Auth has one option for all users."],
];
// Calls that both refuse for another reason: the scenario, the call, both statuses and codes, and the reason.
const differently = [
  ["too many wrong codes in the browser that asked", "POST /sign-in/email-otp", 400, "INVALID_OTP", 403, "TOO_MANY_ATTEMPTS", STAYS],
  ["too many wrong codes in another browser", "POST /sign-in/email-otp", 400, "INVALID_OTP", 403, "TOO_MANY_ATTEMPTS", STAYS],
  ["too many wrong codes are checked", "POST /sign-in/email-otp", 400, "INVALID_OTP", 403, "TOO_MANY_ATTEMPTS", STAYS],
  ["a new password by too many wrong codes", "POST /email-otp/reset-password", 400, "INVALID_OTP", 403, "TOO_MANY_ATTEMPTS", STAYS],
  ["a new email address by too many wrong codes", "POST /email-otp/change-email", 400, "INVALID_OTP", 403, "TOO_MANY_ATTEMPTS", STAYS],
  ["too many wrong codes in the browser that asked", "POST /sign-in/email-otp", 403, "TOO_MANY_ATTEMPTS", 400, "INVALID_OTP", APART],
  ["a new email address by too many wrong codes", "POST /email-otp/change-email", 403, "TOO_MANY_ATTEMPTS", 400, "INVALID_OTP", APART],
  ["an invalid email address at the sign-in by code", "POST /sign-in/email-otp", 400, "INVALID_OTP", 400, "INVALID_EMAIL", "An invalid email address is named as in the other calls."],
  ["an invalid email address in each call", "POST /sign-in/magic-link", 400, "VALIDATION_ERROR", 400, "INVALID_EMAIL", "An invalid email address is named as in the other calls."],
  ...takesCodes.map((call) => ["an untrusted origin in each call", call, 400, "INVALID_OTP", 403, "INVALID_ORIGIN", ANY_ORIGIN]),
  ["a link with callbacks to another site", "GET /magic-link/verify", 403, "INVALID_CALLBACK_URL", 403, "INVALID_NEW_USER_CALLBACK_URL", "The code names the parameter that is wrong."],
  ["a link with callbacks to another site", "GET /magic-link/verify", 403, "INVALID_CALLBACK_URL", 403, "INVALID_ERROR_CALLBACK_URL", "The code names the parameter that is wrong."],
  ["an unknown token of a link", "GET /magic-link/verify", 400, "VALIDATION_ERROR", 302, undefined, "A link without a token is a link that is not good."],
  ["a code of the second step of an unverified user", "POST /two-factor/verify-otp", 400, "OTP_HAS_EXPIRED", 403, "EMAIL_NOT_VERIFIED", "The unverified mailbox is the reason why no code is good."],
  ["a passkey with the state of another user", "POST /passkey/verify-registration", 401, "YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY", 403, "SAME_USER_REQUIRED", "A state is of one user, in both ceremonies."],
  ["a passkey of another user renamed and deleted", "POST /passkey/update-passkey", 401, "YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY", 404, "PASSKEY_NOT_FOUND", "Which ids there are is told to their owners alone."],
  ["a passkey of another user renamed and deleted", "POST /passkey/delete-passkey", 401, undefined, 404, "PASSKEY_NOT_FOUND", "Which ids there are is told to their owners alone."],
  ["a passkey of a user who was deleted", "POST /passkey/verify-authentication", 500, undefined, 401, "PASSKEY_NOT_FOUND", "The passkeys of a user go with the user."],
  ["a passkey renamed with fields that are none", "POST /passkey/update-passkey", 400, "VALIDATION_ERROR", 404, "PASSKEY_NOT_FOUND", "An id that is no id is an unknown one."],
  ["a passkey deleted that is unknown, or has no id", "POST /passkey/delete-passkey", 400, "VALIDATION_ERROR", 404, "PASSKEY_NOT_FOUND", "An id that is no id is an unknown one."],
  ["sign-ins that make no sense", "POST /passkey/verify-authentication", 401, "PASSKEY_NOT_FOUND", 401, "AUTHENTICATION_FAILED", "An answer of another form does not come from a passkey."],
  ["registrations that make no sense", "POST /passkey/verify-registration", 500, "FAILED_TO_VERIFY_REGISTRATION", 400, "VALIDATION_ERROR", "What is no object is no answer of a browser."],
  ["calls of an app where the factor is mail", "POST /two-factor/verify-backup-code", 400, "BACKUP_CODES_NOT_ENABLED", 401, "INVALID_BACKUP_CODE", RECOVERY],
];
// What an answer that signs in and one that refuses differ in.
const outcomes = /^(status|body\.[a-zA-Z]+|cookies\.\d|headers\.(set-auth-token|www-authenticate))$/;
const clientOutcomes = /^client\.\d+\.(ok|nothing|error)$/;

export const allowed = [
  ...socialAllowed,
  ...codes.map(([call, status, own, code]) => ({ call: exactly(call), status, path: /^body\.code$/, only: (t, o, _, ours) => t === undefined && o === code && ours.status === own, why: `${call}: every error has a code` })),
  ...passedOn.map(([scenario, code]) => ({ scenario: exactly(scenario), path: /^client\.\d+\.error\.code$/, only: (t, o) => t === undefined && o === code, why: `${scenario}: every error has a code, and the client passes it on` })),
  ...invalid.map(([call, field, says]) => ({ call: exactly(call), status: 400, path: /^body\.errors$/, only: (t, o, _, ours) => t === undefined && ours.body.code === "VALIDATION_ERROR" && Object.keys(o).join() === field && o[field].join() === says, why: `${call}: validation names each field` })),
  ...invalid.filter(([call, , says]) => !sharedTexts.includes(says) && !/(access-token|refresh-token|account-info)$/.test(call)).map(([call, field, says]) => ({ call: exactly(call), status: 400, path: /^body\.message$/, only: (t, o, theirs, ours) => theirs.body.code === ours.body.code && new RegExp(`^\\[(body|query)\\.?${field}\\] `).test(o) && o.endsWith(`] ${says}`) && t.startsWith(o.split(" ")[0]), why: `${call}: the validator's own words` })),
  ...reasons.map(([call, status, own, theirs, says]) => ({ call: exactly(call), status, path: /^body\.message$/, only: (t, o, _, ours) => theirs.test(t) && (o === says || o.startsWith(`${says}: `)) && ours.status === own, why: `${call}: refused for another reason` })),
  ...challenged.map(([call, code]) => ({ call: exactly(call), path: /^headers\.www-authenticate$/, only: (t, o, _, ours) => t === null && o === 'Bearer realm="countersign"' && ours.status === 401 && ours.body?.code === code, why: `${call}: RFC 9110: a 401 carries a challenge` })),
  ...guarded.map(([scenario, call, status, code, why]) => ({ scenario: exactly(scenario), call: exactly(call), status: 200, path: outcomes, only: (t, o, _, ours) => ours.status === status && ours.body?.code === code, why })),
  ...guarded.map(([scenario, , status, code, why]) => ({ scenario: exactly(scenario), path: clientOutcomes, only: (t, o) => typeof t === "boolean" || (t === null && o?.status === status && o.code === code), why: `the same, as the client tells it: ${why}` })),
  ...refused.map(([scenario, call, status, code, why]) => ({ scenario: exactly(scenario), call: exactly(call), status: 200, path: outcomes, only: (t, o, _, ours) => ours.status === status && ours.body?.code === code, why })),
  ...refused.filter(([scenario]) => !scenario.startsWith("an untrusted origin")).map(([scenario, , status, code, why]) => ({ scenario: exactly(scenario), path: clientOutcomes, only: (t, o) => typeof t === "boolean" || (t === null && o?.status === status && o.code === code), why: `As the client tells it: ${why}` })),
  ...accepted.map(([scenario, call, status, code, why]) => ({ scenario: exactly(scenario), call: exactly(call), status, path: outcomes, only: (t, o, theirs, ours) => theirs.body.code === code && ours.status === 200, why })),
  ...accepted.filter(([, , status]) => status !== 415).map(([scenario, , status, code, why]) => ({ scenario: exactly(scenario), path: clientOutcomes, only: (t, o) => typeof t === "boolean" || (o === null && t?.status === status && t.code === code), why: `As the client tells it: ${why}` })),
  ...differently.map(([scenario, call, status, code, own, ownCode, why]) => ({ scenario: exactly(scenario), call: exactly(call), status, path: /^(status|body|body\.(code|message)|headers\.(www-authenticate|location))$/, only: (t, o, theirs, ours) => theirs.body.code === code && ours.status === own && ours.body.code === ownCode, why })),
  ...differently.filter(([scenario]) => !scenario.includes("in each call")).map(([scenario, , status, code, own, ownCode, why]) => ({ scenario: exactly(scenario), path: /^client\.\d+\.error\.(code|status)$/, only: (t, o) => [code, status].includes(t) && [ownCode, own].includes(o), why: `As the client tells it: ${why}` })),
  { scenario: /^an origin that is not trusted$|^no origin that could be named, beside a cookie$|^an untrusted origin in each call/, call: /^POST \/(sign-out|sign-in\/(email-otp|magic-link)|email-otp\/[a-z-]+|forget-password\/email-otp)$/, status: 403, path: /^body\.message$/, only: (t, o, _, ours) => /^(INVALID_ORIGIN|MISSING_OR_NULL_ORIGIN)$/.test(ours.body.code) && o.startsWith(`${t}: `), why: "on loopback the message goes on with the setting to change" },
  { call: signsIn, path: /^body\.(accessToken|tokenType|expiresIn|session|refreshRetry)$/, only: added, why: "a sign-in brings an access token at once, and says which session it has begun and how its refreshes are retried" },
  { call: users, path: /^body\.(.+\.)?(image|banReason|banExpires|impersonatedBy)$/, only: (t, o) => t === undefined && o === null, why: "theirs keeps everything in memory here and leaves out what a database has as null" },
  { call: /^(GET|POST) \/(get-session|list-sessions|magic-link\/verify|passkey\/verify-authentication|admin\/(list-user-sessions|impersonate-user|stop-impersonating))$/, path: /^body\.(.+\.)?ipAddress$/, only: (t, o) => t === "" && isText(o), why: "the client's address is known without a proxy too" },
  { call: /^GET \/list-sessions$|^POST \/admin\/list-user-sessions$/, path: /^body\.(sessions\.)?\d+\.(device|current)$/, only: (t, o) => t === undefined && (o === null || ["string", "boolean"].includes(typeof o)), why: "a list that people can read; a program's agent is no device" },
  { scenario: /^a session ended without a token$|^no permissions asked for$/, status: 404, path: /^(status|type|body)$/, only: (t, o, _, ours) => ours.status === 405, why: "a wrong method is 405 with Allow and a JSON body, not an empty 404" },
  { scenario: /^a session ended without a token$|^no permissions asked for$/, path: /^client\.\d+\.error\.status$/, only: (t, o) => t === 404 && o === 405, why: "the same, as the client tells it" },
  { call: /^GET \/admin\//, status: 401, path: /^body$/, only: (t, o) => t === "" && o.code === "UNAUTHORIZED", why: "a 401 of an admin's path has a body" },

  // lifetimes
  { call: signsIn, path: /^cookies\.\d$/, only: (t, o) => /^better-auth\.session_token=…; HttpOnly; Max-Age=604800; Path/.test(t) && o === t.replace("604800", "1209600"), why: "a session that is not used lives for two weeks, not one" },
  { call: /^POST \/admin\/impersonate-user$/, path: /^cookies\.\d$/, only: (t, o) => /^better-auth\.admin_session=…; HttpOnly; Max-Age=604800;/.test(t) && o?.replace(/Max-Age=(7776000|77759[4-9]\d);/, "Max-Age=604800;") === t, why: "the admin's own session is set aside until its absolute end, which has come nearer by the time of the calls before" },
  { call: mints, path: inToken(String.raw`claims\.exp`), only: (t, o) => t === 900 && o >= 810 && o <= 930, why: "`iat` lies half a minute back for slow clocks, and lives differ by a tenth so that not all refresh at once" },

  // claims: `docs/verifiers.md`
  { call: mints, path: inToken(String.raw`header\.typ`), only: (t, o) => t === undefined && o === "at+jwt", why: "RFC 9068: an access token says what it is" },
  { call: mints, path: inToken(String.raw`claims\.(id|image|banned|banReason|banExpires|createdAt|updatedAt|emailVerified|twoFactorEnabled)`), only: (t, o) => t !== undefined && o === undefined, why: "the token holds no more of the user than backends need" },
  { call: mints, path: inToken(String.raw`claims\.email_verified`), only: (t, o, theirs, ours) => t === undefined && typeof o === "boolean", why: "OpenID Connect's name for `emailVerified`" },
  { call: mints, path: inToken(String.raw`claims\.(sid|jti)`), only: (t, o) => t === undefined && o === "<id>", why: "the session, and the token's own name" },
  { call: mints, path: inToken(String.raw`claims\.client_id`), only: (t, o) => t === undefined && o === "<base>", why: "RFC 9068: the client that the token was issued to" },
  { call: mints, path: inToken(String.raw`claims\.auth_time`), only: (t, o) => t === undefined && o === "<time>", why: "OpenID Connect: when the user signed in" },
  { call: mints, path: inToken(String.raw`claims\.acr`), only: (t, o) => t === undefined && /^urn:countersign:acr:([12]fa|phr)$/.test(o), why: "RFC 9068: how strongly the user signed in" },
  { call: mints, path: inToken(String.raw`claims\.amr`), only: (t, o) => t === undefined && Array.isArray(o) && o.every(isText), why: "RFC 8176: the methods by which the user signed in" },
  { call: mints, path: inToken(String.raw`claims\.(roles|permissions)`), only: (t, o) => t === undefined && Array.isArray(o), why: "what a backend decides by" },
  { scenario: /^a user acted as$/, call: mints, path: inToken(String.raw`claims\.act`), only: (t, o) => t === undefined && o.sub === "<id>", why: "RFC 8693: who acts as the user" },

  // cookies that go
  { call: /stop-impersonating$/, path: /^cookies\.\d$/, only: (t, o) => o === undefined || /Max-Age/.test(o), why: "every cookie of the other session is cleared, dont_remember too (section 17, 8)" },
  { scenario: /^a session, cached and changed$/, path: /^cookies\.\d$/, only: (t, o) => [t, o].some((line) => line === undefined || /session_data=/.test(line)), why: "after a change the cache is forgotten, and read anew at the next look" },
  { scenario: /^a (mailbox verified by code|new email address by code|second factor by mail), cached$/, call: /^(GET \/get-session|POST \/email-otp\/(send-verification-otp|verify-email))$/, path: /^cookies\.\d$/, only: (t, o) => [t, o].every((line) => line === undefined || /session_data=/.test(line)), why: "Each change in a session clears the cache, and the next look fills it again." },
  { scenario: /^a session, cached and ended$/, call: /sign-out$/, path: /^cookies\.\d$/, only: (t, o) => o === undefined || /Max-Age=0/.test(t ?? ""), why: "theirs clears the cache twice, and so its list is one longer" },
  { scenario: /, cached/, path: /^headers\.set-auth-jwt$/, only: (t, o) => o === null, why: "a hit of the cookie cache mints nothing (section 17, 2)" },

  // order of the checks
  { call: /change-password$/, status: 415, path: /^(status|body\.code)$/, only: (t, o) => [401, "UNAUTHORIZED"].includes(o), why: "behind the guard 401 comes before what is wrong with the body" },
  { call: /sign-in\/email$/, status: 400, path: /^(status|body\.code)$/, only: (t, o) => [403, "INVALID_ORIGIN"].includes(o), why: "an origin that is not trusted is refused before the body is read" },
  { call: /sign-up\/email$/, status: 200, path: /^(status|type|body|body\.[a-zA-Z.]+|cookies(\.\d)?|headers\.set-auth-token|headers\.access-control-expose-headers)$/, only: (t, o, _, ours) => ours.status === 400 && ours.body?.code === "FIELD_NOT_ALLOWED", why: "a privileged field is refused, not ignored" },

  // links
  { call: /^(GET|POST) \/(verify-email|magic-link\/verify|delete-user\/callback|reset-password\/:token)$/, path: /^status$/, only: (t, o, theirs, ours) => t === 302 && o === 303 && ours.call?.startsWith("POST"), why: "after a form the browser goes on with GET" },
  { call: /^GET \/(verify-email|magic-link\/verify|delete-user\/callback)$/, path: /^call$/, only: (t, o) => o === t.replace("GET", "POST"), why: "a link opens a page that asks: a scanner that follows links changes nothing" },
  { scenario: /another address/, call: /verify-email$/, path: /^(cookies(\.\d)?|headers\.set-auth-token)$/, only: (_, o) => o === undefined || o === null || o.length === 0, why: "the link of a change of address signs in no visitor (section 17, 11)" },
  { scenario: /^another address$/, path: /^body\.user\.emailVerified$/, only: (t, o) => t === false && o === true, why: "the link was opened in the new mailbox, so that mailbox is proven; 1.7.25 asks for a second link" },
  { scenario: /^a mailbox proven by a visitor who is not signed in$|^another address, proven by a visitor$/, call: /verify-email$/, path: /^headers\.location$/, only: (_, o) => /\/reset-password\//.test(o), why: "elsewhere than in the asker's browser the link leads to choosing a new password" },
  { scenario: /^a mailbox proven by a visitor who is not signed in$|^another address, proven by a visitor$/, path: /^(body|headers\.set-auth-jwt|cookies(\.\d)?|client\.1\.nothing)$/, only: (_, o) => o === null || o === undefined || o === true || o.length === 0 || /Max-Age=0/.test(o), why: "the same: what was set before the proof has ended" },
  { scenario: /forgotten password/, call: /^POST \/sign-in\/email$/, path: /^body\.user\.emailVerified$/, only: (t, o) => t === false && o === true, why: "a reset proves the mailbox too" },
  { call: /^(GET|POST) \/verify-email$/, path: /^type$/, only: (t, o, _, ours) => t === "application/json" && o === null && ours.status === 303, why: "a redirect has no body, and so no type" },
  { scenario: /^a password changed by who has none$/, path: /^(status|body\.code|client\.\d+\.error\.(code|status))$/, only: (t, o) => [403, "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD"].includes(o), why: "an admin who acts as a user neither changes nor guesses that user's password" },
  { scenario: /ends what was signed in|ends the other sessions/, path: /^(body|headers\.set-auth-jwt|cookies\.\d|client\.2\.nothing)$/, only: (t, o) => o === null || o === true || o === undefined || /Max-Age=0/.test(o), why: "a new password ends every session, and a second factor every one that has not proved it" },
  { scenario: /known address that is not revealed/, path: /^body\.user\.role$/, only: (t, o) => t === null && o === "user", why: "a known address is not told by its role (section 17, 6)" },
  { scenario: /deleted with its password where mails are sent/, call: /delete-user$/, path: /^(body\.message|cookies(\.\d)?)$/, only: (t, o) => o === "User deleted" || /Max-Age=0/.test(o), why: "the password is proof: no link is mailed" },

  // the second factor
  { scenario: /^a remembered device of another user$/, call: /^POST \/sign-in\/email$/, path: /^cookies\.\d$/, only: (t, o) => /(trust_device|session_token|session_data)=;|two_factor=…/.test(t) && (o === undefined || /(session_token|session_data)=;|two_factor=…/.test(o)), why: "the browser stays remembered for its other user" },
  { scenario: /^a second factor of another issuer$/, call: /^POST \/two-factor\/enable$/, path: /^body\.totpURI$/, only: (t, o) => t.replaceAll("+", "%20") === o, why: "apps show the plus of a form-encoded name" },
  { scenario: /^a code in the session that has proved the factor$/, call: /^POST \/two-factor\/verify-totp$/, status: 200, path: /^(cookies\.\d|headers\.set-auth-token)$/, only: (t, o) => t === undefined || t === null, why: "a proof of the factor in a session begins a new one in its place" },
  { scenario: /^a sign-in in two steps that ends with the browser$|^a code of the second step and rememberMe$/, call: /^POST \/sign-in\/email$/, path: /^cookies\.\d$/, only: (t, o) => /dont_remember|session_(token|data)=;|two_factor=…/.test(t) && (o === undefined || /session_data=;|session_token=;|two_factor=…/.test(o)), why: "the pending sign-in knows by itself that its session ends with the browser" },
  { call: /^POST \/sign-in\/email$/, status: 200, path: /^cookies\.\d$/, only: (t, o) => /\.trust_device=…; .*Max-Age=2592000/.test(t) && o === undefined, why: "a device is remembered from its second step on, and a later sign-in does not extend that" },
  { call: /^POST \/two-factor\/verify-totp$/, status: 200, path: /^body\.user\.twoFactorEnabled$/, only: (t, o) => t === false && o === true, why: "theirs answers the enrolment with the user and the token of before it" },
  { scenario: /^wrong codes of two sign-ins and then the right one$/, call: /^POST \/two-factor\/verify-totp$/, status: 429, path: outcomes, only: (t, o, theirs, ours) => theirs.body.code === "ACCOUNT_TEMPORARILY_LOCKED" && ours.status === 200 && ours.body?.user?.twoFactorEnabled === true, why: "wrong codes lock no owner out" },
  { scenario: /^wrong codes of two sign-ins and then the right one$/, path: clientOutcomes, only: (t, o) => typeof t === "boolean" || (t?.code === "ACCOUNT_TEMPORARILY_LOCKED" && o === null), why: "the same, as the client tells it" },

  // sign-in by links and codes in mails
  { scenario: /^a code and a session that ends with the browser$/, call: /^POST \/sign-in\/email-otp$/, path: /^cookies\.\d$/, only: (t, o) => (/session_token=…; HttpOnly; Path/.test(o) && /Max-Age/.test(t)) || (t === undefined && /dont_remember=…/.test(o)), why: "rememberMe works here as at the sign-in with a password." },
  { scenario: /^a code in a browser that is signed in$/, call: /^GET \/list-sessions$/, path: /^body\.1$/, only: (t, o) => t.userId === "<id>" && o === undefined, why: "A sign-in ends the session that the browser had." },
  { scenario: /^a (code|link) for an unverified user$/, path: /^(body\.user|headers\.set-auth-jwt\.claims)\.name$/, only: (t, o) => t === "ana" && o === "", why: "A stranger may have written the name of an account whose mailbox was not verified." },
  { scenario: /^a code of an unknown type$/, call: /^POST \/email-otp\/send-verification-otp$/, status: 400, path: /^body\.message$/, only: (t, o) => t === "Invalid OTP type" && o === `[body.type] ${TYPES}`, why: "A type that is not for this call is as wrong as an unknown one." },
  { scenario: /^a code verifies a mailbox (in another browser|beside another user's session)$/, call: /^POST \/email-otp\/verify-email$/, path: /^body\.(token|user|redirect|url)$/, only: (t, o, _, ours) => ours.body.status === true && ours.body.redirect === true && ours.body.user === null && ours.body.url.includes("/reset-password/"), why: "Elsewhere than in the browser of the account the code leads to choosing a new password." },
  { scenario: /^a code verifies a mailbox in another browser$|^a new (password|email address) by code ends sessions$/, path: /^(body|headers\.set-auth-jwt|cookies\.\d|client\.\d\.nothing)$/, only: (t, o) => o === null || o === true || (t === undefined && /Max-Age=0/.test(o)), why: "What was set before the proof, the new password or the new email address ends, and so does each session with it." },
  { call: /^POST \/email-otp\/(request-email-change|change-email)$/, status: 200, path: /^(cookies\.\d|headers\.set-auth-token)$/, only: (t, o, _, ours) => ours.status === 200 && t !== undefined && (o === undefined || o === null || /session_data=; .*Max-Age=0/.test(o)), why: "The session goes on, and the cookie that holds its token with it." },
  { call: /^GET \/magic-link\/verify$/, path: /^headers\.location$/, only: (t, o) => t === `<base>${o}` && o.startsWith("/"), why: "A path of this service stays a path in Location." },
  { scenario: /^two links for one browser$/, call: /^GET \/magic-link\/verify$/, status: 200, path: /^(status|body|cookies\.\d|headers\.(location|set-auth-token))$/, only: (t, o, _, ours) => ours.status === 302 && ours.headers.location === "/?error=INVALID_TOKEN", why: "A newer link ends the one that the same browser asked for before." },
  { scenario: /^two links for one browser$/, path: clientOutcomes, only: (t, o) => typeof t === "boolean" || (t === null && o?.status === 302), why: "As the client tells it: a newer link ends the earlier one." },
  { scenario: /^a code and links for a banned user$/, call: /^GET \/magic-link\/verify$/, status: 403, path: /^(type|body|headers\.cross-origin-opener-policy)$/, only: (t, o, theirs, ours) => ours.call.startsWith("POST") && ours.status === 403 && theirs.body.code === "BANNED_USER" && ours.type.startsWith("text/html"), why: "A browser gets the refusal as a page." },
  { scenario: /^an authenticator app and a (sign-in by (code|link)|link that is opened)$/, call: /^(POST \/sign-in\/email-otp|GET \/magic-link\/verify)$/, path: /^(body\.[a-zA-Z]+|cookies\.\d|headers\.(set-auth-token|location))$/, only: (t, o, _, ours) => (ours.body.twoFactorRedirect === true && ours.body.twoFactorMethods.join() === "totp") || ours.headers.location === "/auth/challenge?redirect_to=%2Fdash", why: ASKS },
  { scenario: /^(an authenticator app and a (sign-in by (code|link)|link that is opened)|a second factor by mail and a (sign-in by (code|link)|link that is opened))$/, call: /^GET \/get-session$/, path: /^(body|headers\.set-auth-jwt)$/, only: (t, o) => o === null, why: `No session yet: ${ASKS}` },
  { scenario: /^a second factor by mail and a link that is opened$/, call: /^GET \/magic-link\/verify$/, path: /^(status|type|body|cookies\.\d|headers\.(location|set-auth-token|cross-origin-opener-policy))$/, only: (t, o, _, ours) => ours.status === 403 && ours.type.startsWith("text/html") && ours.body.includes("<code>INSUFFICIENT_USER_AUTHENTICATION</code>"), why: ONE_MAILBOX },
  { scenario: /^(an authenticator app and a (sign-in by (code|link)|link that is opened)|a second factor by mail and a link that is opened)$/, path: /^client\.\d\.nothing$/, only: (t, o) => t === false && o === true, why: `As the client tells it: ${ASKS}` },
  { scenario: /^an authenticator app and a sign-in by (code|link)$/, call: /^POST \/two-factor\/verify-totp$/, path: /^(cookies\.\d|headers\.set-auth-token)$/, only: (t, o) => (t === undefined || t === null) && (o === "<signed>" || /session_token=…|two_factor=;/.test(o)), why: `The session begins with the second step: ${ASKS}` },

  // passkeys
  { call: /^GET \/passkey\/generate-register-options$/, status: 200, path: /^body\.(authenticatorSelection\.(residentKey|requireResidentKey)|hints)$/, only: (t, o) => (t === "preferred" && o === "required") || (t === false && o === true) || (Array.isArray(t) && t.length === 0 && o === undefined), why: "A passkey can be found without a name; and an empty list of hints says nothing." },
  { call: /^GET \/passkey\/generate-register-options$/, status: 200, path: /^body\.user\.displayName$/, only: (t, o) => t.includes("@") && ["ana", "bob", "root"].includes(o), why: "Authenticators show the user's name beside the email address." },
  { call: /^(GET|POST) \/passkey\/(verify-registration|list-user-passkeys|update-passkey)$/, status: 200, path: /^body\.((\d+|passkey)\.)?name$/, only: (t, o) => t === undefined && o === null, why: "Theirs keeps everything in memory here and leaves out what a database has as null." },
  { call: /^POST \/passkey\/verify-registration$/, status: 200, path: /^(cookies\.\d|headers\.set-auth-token)$/, only: (t, o) => (t === undefined || t === null) && (o === "<signed>" || /session_token=…; .*Max-Age=1209600|better-auth-passkey=; .*Max-Age=0/.test(o)), why: "The session in which the passkey was made has proved it: a new one replaces it. The state is used up." },
  { call: /^POST \/passkey\/verify-authentication$/, status: 200, path: /^cookies\.\d$/, only: (t, o) => t === undefined && /better-auth-passkey=; .*Max-Age=0|two_factor=; .*Max-Age=0/.test(o), why: "The state and the pending sign-in are used up." },
  { call: /^POST \/passkey\/verify-authentication$/, status: 200, path: /^body\.token$/, only: (t, o, _, ours) => t === undefined && o === "<token>" && ours.body.session.token === o, why: "Every sign-in answers with the session's token in this member." },
  { call: /^POST \/passkey\/verify-registration$/, status: 500, path: /^status$/, only: (t, o, theirs, ours) => o === 400 && theirs.body.code === "FAILED_TO_VERIFY_REGISTRATION" && ["FAILED_TO_VERIFY_REGISTRATION", "VALIDATION_ERROR"].includes(ours.body.code), why: "A wrong answer of an authenticator is no fault of the server." },
  { call: /^POST \/passkey\/verify-authentication$/, status: 400, path: /^status$/, only: (t, o, theirs, ours) => o === 401 && theirs.body.code === "AUTHENTICATION_FAILED" && ours.body.code === "AUTHENTICATION_FAILED", why: "Every passkey that does not sign in is a 401." },
  { scenario: /^(a passkey|registrations)/, path: /^client\.\d+\.error\.status$/, only: (t, o) => t === 500 && o === 400, why: "As the client tells it: a wrong answer of an authenticator is no fault of the server." },
  { scenario: /^a sign-in with a passkey/, path: /^client\.\d+\.error\.status$/, only: (t, o) => t === 400 && o === 401, why: "As the client tells it: every passkey that does not sign in is a 401." },
  { call: /^(GET|POST) \/passkey\/(verify-[a-z]+|update-passkey|generate-register-options)$/, status: 400, path: /^body\.message$/, only: (t, o, theirs, ours) => theirs.body.code === "VALIDATION_ERROR" && ours.body.code === "VALIDATION_ERROR" && /^\[(body|query)[.\]]/.test(o) && t.startsWith(o.split(" ")[0]), why: "The validator's own words." },
  { call: /^(GET|POST) \/passkey\/(verify-[a-z]+|update-passkey|delete-passkey|generate-register-options)$/, path: /^body\.errors$/, only: (t, o, _, ours) => t === undefined && ours.body.code === "VALIDATION_ERROR" && Object.values(o).flat().every(isText), why: "Validation names each field." },
  { call: /^POST \/passkey\/delete-passkey$/, path: /^body\.message$/, only: (t, o, theirs, ours) => theirs.body.code === "VALIDATION_ERROR" && ours.body.code === "VALIDATION_ERROR", why: "The validator's own words." },
  { scenario: /^a passkey while an admin acts as the user$/, call: /^(GET \/passkey\/generate-register-options|POST \/passkey\/(update|delete)-passkey)$/, status: 200, path: outcomes, only: (t, o, _, ours) => ours.status === 403 && ours.body.code === "YOU_ARE_NOT_ALLOWED_TO_RESET_USERS_FACTORS", why: ADMINS },
  { scenario: /^a passkey while an admin acts as the user$/, path: clientOutcomes, only: (t, o) => typeof t === "boolean" || (t === null && o?.status === 403 && o.code === "YOU_ARE_NOT_ALLOWED_TO_RESET_USERS_FACTORS"), why: `As the client tells it: ${ADMINS}` },
  { scenario: /^calls of passkeys from an untrusted origin$/, status: 403, path: /^body\.message$/, only: (t, o) => o.startsWith(`${t}: `), why: "On loopback the message says what is probably wrong." },
  { scenario: /^a passkey with a name$/, call: /^GET \/passkey\/generate-register-options$/, path: /^body\.user\.name$/, only: (t, o) => t === "My phone" && o.includes("@"), why: "The name of a passkey is for the list; authenticators show the account." },
  { scenario: /^a passkey with a context and a session$/, call: /^POST \/passkey\/verify-registration$/, path: /^(body\.(session|user)|cookies\.0)$/, only: (t, o) => o === undefined || (/session_token=/.test(t) && /better-auth-passkey=; .*Max-Age=0/.test(o)), why: "A session begins in place of the one before in any case, and the body is the row." },
  { scenario: /^a passkey of (a page in a frame|an unknown algorithm)$|^a passkey that is registered already$/, call: /^GET \/passkey\/list-user-passkeys$/, path: /^body\.\d$/, only: (t, o) => t.userId === "<id>" && o === undefined, why: "What was refused is not in the list." },
  { scenario: /^a sign-in with a passkey (and (no handle|a handle that is null)|of another user's handle|of a page in a frame)$/, call: /^GET \/get-session$/, path: /^(body|headers\.set-auth-jwt)$/, only: (t, o) => o === null, why: "What was refused opens no session." },
  { scenario: /^a sign-in with a passkey in the browser of another user$/, call: /^GET \/get-session$/, path: /\.(email|name)$/, only: (t, o) => /^ana/.test(t) && /^bob/.test(o), why: "The session stays that of its user." },
  { scenario: /^a sign-in with a passkey in a browser that is signed in$/, call: /^GET \/list-sessions$/, path: /^body\.1$/, only: (t, o) => t.userId === "<id>" && o === undefined, why: "A proof in a session begins a new one in its place." },
  { scenario: /^a sign-in with a passkey and rememberMe$/, call: /^POST \/passkey\/verify-authentication$/, path: /^cookies\.\d$/, only: (t, o) => /session_token=…; HttpOnly; Path|dont_remember=…/.test(o), why: "rememberMe works here as at the sign-in with a password." },
  { scenario: /^a sign-in with a passkey that was backed up since$/, call: /^GET \/passkey\/list-user-passkeys$/, path: /^body\.0\.backedUp$/, only: (t, o) => t === false && o === true, why: "The list says what the passkey said last." },
  { scenario: /^a second factor and a passkey that does not$/, call: /^POST \/passkey\/verify-authentication$/, path: /^(body\.[a-zA-Z]+|cookies\.\d|headers\.set-auth-token)$/, only: (t, o, _, ours) => ours.body.twoFactorRedirect === true && ours.body.twoFactorMethods.join() === "otp,password", why: "A device that does not verify its user is one factor, and the app is a device too: a code in a mail or the password is the second." },
  { scenario: /^a second factor and a passkey that does not$/, call: /^GET \/get-session$/, path: /^(body|headers\.set-auth-jwt)$/, only: (t, o) => o === null, why: "No session yet: the second factor is not proven." },
  { scenario: /^a second factor and a passkey that does not$/, path: /^client\.\d\.nothing$/, only: (t, o) => t === false && o === true, why: "As the client tells it: the second factor is not proven." },
  { scenario: /^a second factor, a password and/, call: /^POST \/sign-in\/email$/, path: /^body\.twoFactorMethods\.1$/, only: (t, o) => t === undefined && o === "passkey", why: "A passkey is a second step." },
  { scenario: /^a second factor, a password and/, call: /^GET \/passkey\/generate-authenticate-options$/, path: /^body\.allowCredentials$/, only: (t, o) => t === undefined && o.length === 1, why: "The options of a second step name the passkeys of the user who gave the password." },

  // codes in mails as the second factor
  { call: /^POST \/two-factor\/enable$/, status: 200, path: /^(cookies\.\d|headers\.set-auth-token)$/, only: (t, o, theirs, ours) => ours.body.method === "otp" && t !== undefined && (o === undefined || o === null || /session_data=;/.test(o)), why: `No new session yet: ${FIRST_CODE}` },
  { scenario: /^a second factor by mail (of an unverified user|and its first code|ends sessions)$/, call: /^GET \/get-session$/, path: /^(body\.user|headers\.set-auth-jwt\.claims)\.twoFactorEnabled$/, only: (t, o) => t === true && o !== true, why: `It is not on yet: ${FIRST_CODE}` },
  { scenario: /^a second factor by mail( and its first code| and then an app| turned off with a code)$|^a code of the second step in a session$/, call: /^POST \/two-factor\/verify-(otp|totp)$/, status: 200, path: /^(cookies\.\d|headers\.set-auth-token)$/, only: (t, o) => (t === undefined || t === null) && (o === "<signed>" || /session_token=…/.test(o)), why: "A proof of the factor in a session begins a new one in its place." },
  { call: /^POST \/two-factor\/verify-otp$/, status: 400, path: /^cookies\.\d$/, only: (t, o, _, ours) => t === undefined && /two_factor=; .*Max-Age=0/.test(o) && ours.body.code === "TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE", why: FIVE_CODES },

  { call: /^POST \/get-session$/, status: 405, path: /^(status|type|body|body\.[a-z]+|headers\.pragma)$/, only: (t, o, _, ours) => ours.status === 200, why: "reading the session by POST is what the client does where theirs defers its refresh; ours needs no setting for it" },
  { call: /^GET \/jwks$/, path: /^body\.keys\.\d+(\.use)?$/, only: (t, o, theirs, ours) => ours.body.keys.length === 2 && (t === undefined ? o === "sig" || o.use === "sig" : o === undefined && theirs.body.keys.length > 2), why: "one key in use and its successor, with `use`; theirs makes one for each call that finds none, also at once" },
];

/** The session cookie, by the default of both. */
export const sessionCookie = "better-auth.session_token";

/** Cookies of ours that theirs does not have. */
export const ownCookies = ["better-auth.refresh_token", "better-auth.known_device", "better-auth.email_code"];

/** What keeps a sign-in at a provider that has begun, on either side: theirs has one for all tabs, ours one for each. `social.mjs` holds what it is good for. */
export const stateCookies = ["better-auth.state", "better-auth.upstream.<state>"];

const trusted = (o) => (o.origin === "<base>" ? "<base>" : null);
const unlessKeys = (value, keys = null) => (o) => (o.call?.endsWith("/jwks") ? keys : value);
const unlessPage = (value, page) => (o) => (o.type?.startsWith("text/html") ? page : value(o));
const PAGE = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";


/** Headers that ours sends and theirs does not, each with the one value that is right for an answer of the API, or for a page. The key set is public. */
export const ownHeaders = {
  "cache-control": unlessKeys("no-store", "public, max-age=300"),
  "x-content-type-options": () => "nosniff",
  "x-frame-options": unlessKeys("DENY"),
  "referrer-policy": unlessPage(unlessKeys("no-referrer"), "same-origin"),
  "cross-origin-resource-policy": unlessKeys("same-origin", "cross-origin"),
  "content-security-policy": unlessPage(unlessKeys("default-src 'none'; frame-ancestors 'none'"), PAGE),
  "access-control-allow-origin": trusted,
  "access-control-allow-credentials": () => "true",
};

/** Lists to which ours may add, but from which nothing of theirs may be missing. */
export const sharedHeaders = ["access-control-expose-headers", "vary"];
