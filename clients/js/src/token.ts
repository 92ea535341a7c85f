// Reads the claims of a token (docs/protocol.md, "Token"): when it expires, and whose it is. The
// signature is the worker's business; nothing here decides who gets in.

/** What a token says. Each claim may be missing or of any type: PHP wrote them. */
export interface Claims {
  readonly expires?: unknown;
  readonly user_id?: unknown;
}

/** The claims of `token`, which is hex(JSON) "." signature; undefined if it cannot be read. */
export function readClaims(token: string | undefined): Claims | undefined {
  try {
    const hex = String(token).split(".")[0] as string;
    // As percent-encoded bytes, so that what decodes addresses decodes UTF-8.
    const claims: unknown = JSON.parse(decodeURIComponent(hex.replace(/../g, "%$&")));
    return claims && typeof claims === "object" ? claims : undefined;
  } catch (error) {
    return undefined;
  }
}

/** When `token` expires, in milliseconds of Unix time; undefined if it does not say so. */
export function expiryOf(token: string | undefined): number | undefined {
  const claims = readClaims(token);
  return claims && typeof claims.expires === "number" ? claims.expires * 1000 : undefined;
}
