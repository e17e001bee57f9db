/**
 * Why a request got no answer. The first three say no before anything is sent; after any of the
 * others the other side may have seen the request.
 */
export type OutgoingErrorCode =
  /** The URL itself is not one we follow. */
  | "url_refused"
  /** The name leads, at least in part, to an address we do not connect to. */
  | "address_refused"
  | "not_resolved"
  /** No connection, no valid certificate for the name, or one that was lost. */
  | "not_reached"
  | "too_slow"
  | "answer_too_large";

/** `message` is one sentence for the person who configured the URL; it never quotes the answer. */
export class OutgoingError extends Error {
  readonly code: OutgoingErrorCode;

  constructor(code: OutgoingErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "OutgoingError";
    this.code = code;
  }
}
