import type { SmtpReply } from "../email/smtp.ts";

/** Why a connection ended without a reply, in words for an operator. */
export interface SmtpFailure {
  words: string;
  /** Stands for the reply that the server would have given, by what it announced. */
  refusal?: SmtpReply;
  /** The TLS handshake itself failed, a certificate most likely; not the network. */
  isTls: boolean;
}

const tlsPattern = /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO\b|ETLS|ERR_BORINGSSL/;

const wordsByCode: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by the server",
  EPIPE: "connection reset by the server",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network",
  ENOTFOUND: "host not found",
  EAI_AGAIN: "host not found: the name server did not answer",
  DNS_ENOTFOUND: "host not found",
  EDNS: "host not found",
  ETIMEDOUT: "timed out",
  ECONNECTION: "connection closed by the server",
  EPROTOCOL: "the server broke the protocol",
  DEPTH_ZERO_SELF_SIGNED_CERT: "TLS: the certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "TLS: the certificate's issuer is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "TLS: the certificate's issuer is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "TLS: the certificate's issuer is not trusted",
  UNABLE_TO_GET_ISSUER_CERT: "TLS: the certificate's issuer is not trusted",
  CERT_HAS_EXPIRED: "TLS: the certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "TLS: the certificate is for another host name",
};

/**
 * Never the error's own message where a code is known: nodemailer puts the server's reply into
 * it, and replies quote addresses.
 */
export function describeFailure(error: unknown): SmtpFailure {
  const { code = "", originalCode = "", message = "" } = error as Record<string, string>;
  const cause = originalCode || code;
  const inMessage = /\b([A-Z][A-Z_]{5,})\b/.exec(message)?.[1] ?? "";
  const isTls = tlsPattern.test(`${code} ${originalCode} ${inMessage}`);
  const known = wordsByCode[cause] ?? wordsByCode[inMessage] ?? wordsByCode[code];
  if (known)
    return { words: `${known} (${wordsByCode[cause] ? cause : inMessage || code})`, isTls };
  return { words: isTls ? `TLS: the handshake failed (${cause})` : `failed (${cause})`, isTls };
}
