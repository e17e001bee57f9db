import type { ErrorCode } from "../errors.ts";

export interface ProblemGuide {
  /** What it means, in one or two sentences. */
  means: string;
  /** When it comes. */
  when: string;
  /** What to do. */
  remedy: string;
  /** A `detail` as it may come. */
  detail: string;
}

const asItIs = "Nothing was changed.";

/** The text of each code's page. A code that is missing here does not compile. */
export const problemGuides: Readonly<Record<ErrorCode, ProblemGuide>> = {
  malformed_request: {
    means: "The request is not one that HTTP servers read alike, so it is not read at all.",
    when: "The Host header is missing, repeated or no name; or a form does not parse.",
    remedy: "Send the request with an ordinary HTTP client, and one Host header.",
    detail: "The Host header is expected once, as a name or an address with or without a port.",
  },
  malformed_json: {
    means: "The body is not one JSON value in UTF-8.",
    when:
      "A comma too many, a body that was cut off, more than 32 levels or 200,000 values, or bytes " +
      "that are not UTF-8.",
    remedy: "Build the body with your language's JSON library instead of by hand.",
    detail: "The body is expected to be one JSON value in UTF-8. It does not parse.",
  },
  unauthorized: {
    means: "The credential is missing, or does not count.",
    when:
      "There is no `Authorization: Bearer …` header; the token has expired, is meant for somebody " +
      "else or was signed with another secret; the API key is unknown, revoked or expired.",
    remedy:
      "Send a fresh token, or an API key. `taskforce-mailer token --sub <you>` prints a token for " +
      "a server of your own; `detail` says what is wrong with the one you sent.",
    detail: "A bearer token or API key is needed.",
  },
  forbidden: {
    means: "The credential counts, but does not allow this.",
    when:
      "The API key lacks the scope that the operation needs, or the operation is for admins, or " +
      "asks about somebody else's data.",
    remedy: "Use a key with that scope (`WWW-Authenticate` names it), or ask an admin.",
    detail: "This API key lacks the scope send.",
  },
  not_found: {
    means: "There is nothing at this path, or nothing of yours with this id.",
    when:
      "The id is unknown, mistyped or somebody else's (which look alike on purpose), the path does " +
      "not exist, or the content of the email was destroyed.",
    remedy: "Check the path against the reference, and the id against the answer you have it from.",
    detail: "There is no email with this id.",
  },
  method_not_allowed: {
    means: "The path exists, but not with this method.",
    when: "For example POST to a path that is only read.",
    remedy: "Use one of the methods in the `Allow` header.",
    detail: "This path takes GET, HEAD.",
  },
  request_timeout: {
    means: "The body came too slowly; nothing was stored.",
    when: "The connection stalls, or the client announces a body and does not send it.",
    remedy: "Send it again, with the same Idempotency-Key.",
    detail: "The body came too slowly; nothing was stored.",
  },
  in_flight: {
    means: "The email's message is on its way to the next hop, so it can be changed no more.",
    when: "It is cancelled, edited or held within the second in which it is sent.",
    remedy: "Ask for its status a moment later: it will be sent, failed, or pending again.",
    detail: "It is being sent at this moment.",
  },
  already_sent: {
    means: "The email was sent, to some of its recipients at least.",
    when: "It is cancelled or edited after its time.",
    remedy: "Nothing can call it back. Recipients who have not got it can be reached by a replay.",
    detail: "It was sent already, to some of its recipients at least.",
  },
  already_failed: {
    means: "The email failed and is tried no more by itself.",
    when: "It is cancelled, edited or held after its last attempt.",
    remedy: "Replay it: `POST /api/v1/dead-letters/{id}/replay` takes the same fields as an edit.",
    detail: "It failed. A replay takes the same fields and sends it again.",
  },
  already_expired: {
    means: "The email was too late and was dropped, as its `on_late` says.",
    when: "It is cancelled, edited or held after its `expires_at` or `max_lateness`.",
    remedy: "Schedule a new one, if it still makes sense.",
    detail: "It expired and will not be sent.",
  },
  already_suppressed: {
    means: "The email was suppressed: all of its recipients are addresses not to be written to.",
    when: "It is cancelled, edited or held afterwards.",
    remedy: "Nothing: it will not be sent.",
    detail: "It was suppressed and will not be sent.",
  },
  outcome_uncertain: {
    means: "Nobody knows whether the email was sent: the connection was lost before the reply.",
    when: "It is cancelled or edited in that state.",
    remedy:
      "Ask the recipient or the provider. With `on_uncertain: hold` it waits for you: replay it to " +
      "send it again, at the risk of sending it twice.",
    detail: "It may have been sent: the connection was lost before the reply came.",
  },
  already_cancelled: {
    means: "The email was cancelled and will never be sent.",
    when: "It is edited, held or sent now afterwards.",
    remedy: "Schedule a new one.",
    detail: "It was cancelled and will not be sent.",
  },
  not_finished: {
    means: "The email may still be sent, so its content cannot be destroyed.",
    when: "Its content is to be destroyed while it is pending, held or sending.",
    remedy: "Cancel it first.",
    detail: "It is pending and may still be sent: cancel it first.",
  },
  content_unreadable: {
    means: "The content is stored, but no key that the server has decrypts it.",
    when: "The server runs with another `ENCRYPTION_KEY` than the one it was stored with.",
    remedy: "Give the old key in `ENCRYPTION_KEYS_OLD`; `taskforce-mailer doctor` tells which.",
    detail: "The content of this email cannot be decrypted.",
  },
  not_a_dead_letter: {
    means: "Only an email that waits for a person can be replayed.",
    when: "It is pending, sent, cancelled or expired.",
    remedy:
      "To send a pending email at another time, change it; to repeat a sent one, schedule it anew.",
    detail: "It is sent; only failed, uncertain, held and partially sent emails are replayed.",
  },
  not_held: {
    means: "Only a held email can be released.",
    when: "It was released by somebody else, or never held.",
    remedy: "Ask for its status.",
    detail: "It is pending; only a held email can be released.",
  },
  changed_meanwhile: {
    means: `Others kept changing the email at the same moment. ${asItIs}`,
    when: "Several programs edit one email at once.",
    remedy: "Send the request again; with If-Match, read the email first.",
    detail: "Others kept changing it at the same moment. Nothing was changed; try again.",
  },
  version_mismatch: {
    means: `The email has another version than If-Match names: somebody changed it. ${asItIs}`,
    when: "Between your reading and your writing somebody else wrote.",
    remedy: "Read the email again, look at what changed, and repeat with its new version.",
    detail: "Its version is 3, another than If-Match names: somebody changed it.",
  },
  too_many_keys: {
    means: "There are as many API keys as one owner may have.",
    when: "A hundred keys count already.",
    remedy: "Revoke those that are not used: `last_used_at` tells.",
    detail: "There are 100 keys that count already: revoke one first.",
  },
  too_many_webhooks: {
    means: "There are as many webhooks as one owner may have.",
    when: "Twenty exist already, enabled or not.",
    remedy: "Delete those that are not used, or let one receiver sort events by their type.",
    detail: "There are 20 webhooks already: delete one first.",
  },
  payload_too_large: {
    means: "The body, the attachments or the composed message is larger than may be.",
    when:
      "Attachments are more than 25 MB together, or the message is larger than `MAX_MESSAGE_MB`, " +
      "or larger than the next hop takes.",
    remedy: "Send a link instead of the file, or split it.",
    detail: "The attachments of an email are larger than 25 MB together.",
  },
  unsupported_media_type: {
    means: "The body is not sent as JSON.",
    when: "Content-Type is missing or another one, the charset is not UTF-8, or it is compressed.",
    remedy: "Send `Content-Type: application/json`, without Content-Encoding.",
    detail: "Send JSON in UTF-8, uncompressed, with Content-Type: application/json.",
  },
  invalid_content: {
    means: "Something in the body is missing, unknown or not valid. Nothing was stored.",
    when:
      "A field is misspelt, a time has no offset or is past, an address is none, two fields " +
      "contradict each other. `errors` names every faulty place by its JSON pointer.",
    remedy: "Mend each place that `errors` names: it says what was expected and what came.",
    detail: "One place of the request is at fault; see errors.",
  },
  invalid_query: {
    means: "A query parameter is unknown, repeated or not valid.",
    when: "It is misspelt, `limit` is above 100, or `offset` and `cursor` come together.",
    remedy: "Mend each parameter that `errors` names.",
    detail: "One query parameter is at fault; see errors.",
  },
  not_supported_yet: {
    means: "The contract names this, but it is not built yet, so it is refused, never ignored.",
    when: "A field or header is used whose behaviour does not exist yet.",
    remedy: "Leave it out; the changelog tells when it comes.",
    detail: "The request asks for something that is not supported yet; see errors.",
  },
  idempotency_key_reused: {
    means: "The Idempotency-Key was used before, with another body. Nothing was stored.",
    when: "A key is used for two different things, or the body holds something that changes.",
    remedy: "Use a new key for a new thing, and the very same body when you repeat one.",
    detail: "This Idempotency-Key was used with another body.",
  },
  idempotency_in_flight: {
    means: "The same request is still running.",
    when: "A client repeats a request before the first one was answered.",
    remedy: "Wait as long as `Retry-After` says, then repeat it: it gets the first one's answer.",
    detail: "A request with this Idempotency-Key is still running; try again.",
  },
  rate_limited: {
    means: "The credential has made as many requests in this minute as it may.",
    when: "More than `RATE_LIMIT_PER_MINUTE` requests, or too many bad credentials from one place.",
    remedy:
      "Wait as long as `Retry-After` says. Many emails go faster by the batch: 500 in one request.",
    detail: "No more than 600 write requests a minute are taken; try again in 12 s.",
  },
  quota_exceeded: {
    means: "The owner may have no more emails for now. Nothing was stored.",
    when: "`QUOTA_EMAILS_PER_DAY` or `QUOTA_PENDING` is used up.",
    remedy: "Wait as long as `Retry-After` says, or ask whoever runs the server for more.",
    detail: "The quota of 1000 emails a day is used up.",
  },
  database_unavailable: {
    means: "The database does not answer. Whether something was stored is not known.",
    when: "It restarts, is being moved, or the network to it is cut.",
    remedy:
      "Repeat after `Retry-After`, with the same Idempotency-Key: what was stored is not doubled.",
    detail: "The database does not answer at the moment.",
  },
  signing_keys_unavailable: {
    means: "The keys that tokens are verified with cannot be fetched, and none are cached.",
    when: "`JWKS_URL` does not answer.",
    remedy: "Repeat after `Retry-After`; API keys work meanwhile.",
    detail: "The keys that tokens are verified with cannot be fetched at the moment.",
  },
  overloaded: {
    means: "The server holds as many bytes as it may, in all or for you. Nothing was stored.",
    when: "Many large emails arrive at the same moment.",
    remedy: "Repeat after `Retry-After`, with fewer requests at a time.",
    detail: "The service holds as many bytes as it may, in all or for you; nothing was stored.",
  },
  shutting_down: {
    means: "The process is stopping and takes nothing new. Nothing was stored.",
    when: "It is being deployed or restarted.",
    remedy: "Repeat after `Retry-After`: another process, or the next one, takes it.",
    detail: "The service is shutting down and takes nothing new; nothing was stored.",
  },
  internal_error: {
    means: "Something went wrong in the server that is not your fault.",
    when: "A defect, or a fault of configuration that only the log may tell of.",
    remedy: "Repeat it once. If it stays, give `request_id` to whoever runs the server.",
    detail: "Something went wrong here; the log has more.",
  },
};
