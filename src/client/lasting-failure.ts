/** As Node, Bun and OpenSSL name them; a browser names none. */
const lastingCodes =
  /CERT|UNABLE_TO_VERIFY|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|WRONG_VERSION_NUMBER|^EPROTO$|^ERR_INVALID_(URL|PROTOCOL|ARG_VALUE)$/;
/** Nobody who is trusted has signed the certificate. */
const unknownAuthorityCodes = /UNABLE_TO_(VERIFY|GET_ISSUER)|SELF_SIGNED/;

/** Whether a request failed of what asking again does not mend: its URL, or the server's TLS. */
export function isLasting(failure: unknown): boolean {
  return lastingOf(failure) !== null;
}

/** Why a request has no answer, in one sentence. */
export function wordsOf(url: string, failure: unknown): string {
  const lasting = lastingOf(failure);
  if (lasting === null) return `${url} does not answer: ${String(failure)}`;
  const isUnknown = unknownAuthorityCodes.test(lasting.code);
  const hint = isUnknown ? "; NODE_EXTRA_CA_CERTS may name a file of authorities" : "";
  return `${url} cannot be asked: ${lasting.message}${hint}`;
}

/** `fetch` of Node has the reason as the cause of its own error. */
function lastingOf(failure: unknown): { code: string; message: string } | null {
  if (!(failure instanceof Error)) return null;
  const { message, cause } = failure;
  const { code } = failure as { code?: unknown };
  if (typeof code === "string" && lastingCodes.test(code)) return { code, message };
  return lastingOf(cause);
}
