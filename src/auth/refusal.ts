import { AppError } from "../errors.ts";

/** One sentence for every kind of bad credential: which check failed is for the log alone. */
export function refusedCredential(reason: string, cause?: unknown): AppError {
  const publicDetail = "The bearer token is not valid.";
  return new AppError("unauthorized", { publicDetail, reason, cause });
}

export function missingCredential(reason: "missing" | "malformed"): AppError {
  const publicDetail = "Send the header Authorization: Bearer <token>.";
  return new AppError("unauthorized", { publicDetail, reason });
}

/** One stable word for what jose found, by its code and never by its message. */
export function reasonOf(cause: unknown): string {
  const { code, claim } = Object(cause) as { code?: unknown; claim?: unknown };
  switch (code) {
    case "ERR_JWT_EXPIRED":
      return "expired";
    case "ERR_JWT_CLAIM_VALIDATION_FAILED":
      return `claim_${String(claim)}`;
    case "ERR_JWS_SIGNATURE_VERIFICATION_FAILED":
      return "signature";
    case "ERR_JOSE_ALG_NOT_ALLOWED":
      return "algorithm";
    default:
      return "malformed";
  }
}
