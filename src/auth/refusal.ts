import { AppError } from "../errors.ts";

/**
 * What the holder of a credential is told beyond "not valid". Each of these is found only after
 * the signature, or the hash of the key, was right: nobody else learns anything from it. Any other
 * reason is for the log alone.
 */
const detailsByReason: Readonly<Record<string, string>> = {
  expired: "The bearer token has expired.",
  claim_nbf: "The bearer token is not yet valid.",
  claim_iat: "The bearer token is not yet valid: it was issued in the future.",
  claim_aud: "The bearer token has the wrong audience: its aud does not hold JWT_AUDIENCE.",
  claim_iss: "The bearer token has the wrong issuer: its iss is not JWT_ISSUER.",
  ended: "The bearer token was ended: its owner's tokens count from a later time on.",
  anonymous: "Anonymous users are not served: sign in.",
  api_key_expired: "The API key has expired.",
  api_key_revoked: "The API key was revoked.",
};

export function refusedCredential(reason: string, cause?: unknown): AppError {
  const publicDetail = detailsByReason[reason] ?? "The bearer token is not valid.";
  return new AppError("unauthorized", { publicDetail, reason, cause });
}

export function missingCredential(reason: "missing" | "malformed"): AppError {
  const publicDetail = "Send the header Authorization: Bearer <token>.";
  return new AppError("unauthorized", { publicDetail, reason });
}

/** One stable word for what jose found, by its code and never by its message. */
export function reasonOf(cause: unknown): string {
  const { code, claim, reason } = Object(cause) as Record<string, unknown>;
  switch (code) {
    case "ERR_JWT_EXPIRED":
      return "expired";
    case "ERR_JWT_CLAIM_VALIDATION_FAILED":
      // A claim that is absent or of another type is no matter of time or audience.
      return reason === "check_failed"
        ? `claim_${String(claim)}`
        : `claim_${String(claim)}_invalid`;
    case "ERR_JWS_SIGNATURE_VERIFICATION_FAILED":
      return "signature";
    case "ERR_JOSE_ALG_NOT_ALLOWED":
      return "algorithm";
    default:
      return "malformed";
  }
}
