// Where Countersign is deliberately different: the first table of the contract, each with its reason. A rule that nothing needs any more is an error.
export const allowed = [
  { path: /^body\.(accessToken|tokenType|expiresIn)$/, why: "sign-in answers carry the access token" },
  { path: /^cookies$/, only: (t, o) => sameBut(t, o, "app.refresh_token"), why: "a refresh token's cookie stands beside the session's" },
  { path: /^type$/, only: (t, o) => o === "application/json", why: "every JSON answer is application/json" },
  { path: /^headers\.pragma$/, only: (t, o) => t === null && o === null, why: "" },
  { call: /^GET \/token$|^POST \/admin\//, status: 401, path: /^body$/, only: (t) => t === "", why: "an empty 401 has a code here" },
  { path: /^body\.code$/, only: (t) => t === undefined, why: "every error has a code" },
  { path: /^body\.message$/, why: "texts are our own, codes are the contract's" },
  { path: /^body\.errors$/, only: (t) => t === undefined, why: "validation names each field" },
  { call: /list-sessions|list-user-sessions/, path: /\.(device|current)$/, only: (t) => t === undefined, why: "a list that people can read" },
];

/** The same cookies but for one of ours. */
function sameBut(theirs, ours, extra) {
  const rest = (ours ?? []).filter((c) => !c.startsWith(`${extra}=`));
  return JSON.stringify(rest) === JSON.stringify(theirs ?? []);
}
