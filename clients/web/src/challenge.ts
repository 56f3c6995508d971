// What a backend asks for in the words of RFC 9470: the header `WWW-Authenticate` of its refusal.

/** What a sign-in must be like: one of these levels, and no older than that. */
export interface Demand {
  /** Names of levels, separated by spaces; one of them suffices. */
  acrValues?: string;
  /** In seconds. */
  maxAge?: number;
}

const NAME = "[\\w!#$%&'*+.^`|~-]+";
const END = "(?=\\s*(?:,|$))";
/** RFC 9110, section 11.6.1: a parameter, or a scheme, which may have one text of its own in place of parameters. */
const PIECE = new RegExp(`[\\s,]*(${NAME})(?:\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${NAME}))${END}| +[\\w.~+/-]+=*${END}|(?=[\\s,]|$))`, "gy");

/** What is demanded, if that is the reason of the refusal. A header may hold several challenges, and several headers arrive as one. */
export function demandOf(header: string | null | undefined): Demand | undefined {
  const challenges: Record<string, string>[] = [];
  for (const [, name, quoted, plain] of (header ?? "").matchAll(PIECE)) {
    const value = quoted?.replace(/\\(.)/g, "$1") ?? plain;
    const key = name!.toLowerCase();
    if (value === undefined) challenges.push({ scheme: key });
    else if (challenges.length) challenges.at(-1)![key] = value;
  }
  const found = challenges.find(({ scheme, error }) => scheme === "bearer" && error === "insufficient_user_authentication");
  if (!found) return undefined;
  const { acr_values: acrValues, max_age: maxAge = "" } = found;
  return { ...(acrValues && { acrValues }), ...(/^\d+$/.test(maxAge) && { maxAge: Number(maxAge) }) };
}
