import type { EmailState } from "../email/email.ts";
import { AppError, type ErrorCode } from "../errors.ts";
import type { ChangeRefusal } from "../store/changes.ts";
import type { CancelAnswer } from "../store/stored-email.ts";

const words = {
  in_flight: "It is being sent at this moment.",
  already_sent:
    "It was sent already, to some of its recipients at least. Those who have not got it can be sent to, and the content edited, by a replay once it is a dead letter.",
  already_failed: "It failed. A replay takes the same fields and sends it again.",
  already_expired: "It expired and will not be sent.",
  already_suppressed: "It was suppressed and will not be sent.",
  already_cancelled: "It was cancelled and will not be sent.",
  outcome_uncertain:
    "It may have been sent: the connection was lost before the reply came. What is tried again is the same to the byte; a replay of a dead letter can be edited.",
} satisfies Partial<Record<ErrorCode, string>>;

type CancelRefusal = Exclude<CancelAnswer, "cancelled" | "not_found">;

const cancelWords = {
  in_flight:
    "Its body is on the way to the SMTP server; whether that accepts it shows in a moment.",
  already_sent: "It was sent already, to some of its recipients at least.",
  already_failed: "It failed and will not be sent again unless somebody replays it.",
  already_expired: "It expired and will not be sent.",
  already_suppressed: "It was suppressed and will not be sent.",
  outcome_uncertain: "It may have been sent: the connection was lost before the reply came.",
} satisfies Record<CancelRefusal, string>;

/** Why an email was not cancelled, as its caller is told. */
export function cancelRefused(kind: CancelRefusal): AppError {
  return new AppError(kind, { publicDetail: cancelWords[kind] });
}

/** Why an email was not changed, as its caller is told. */
export function changeRefused(kind: ChangeRefusal): AppError {
  return kind === "not_found" ? noSuchEmail() : new AppError(kind, { publicDetail: words[kind] });
}

export function noSuchEmail(): AppError {
  return new AppError("not_found", { publicDetail: "There is no email with this id." });
}

export function contentDestroyed(): AppError {
  return new AppError("not_found", { publicDetail: "The content of this email was destroyed." });
}

export function notADeadLetter(state: EmailState): AppError {
  return new AppError("not_a_dead_letter", {
    publicDetail: `It is ${state}; only failed, uncertain, held and partially sent emails are replayed.`,
  });
}

export function notHeld(state: EmailState): AppError {
  return new AppError("not_held", {
    publicDetail: `It is ${state}; only a held email can be released.`,
  });
}

export function versionMismatch(version: number): AppError {
  return new AppError("version_mismatch", {
    publicDetail: `The current version is ${version}, not the one in If-Match: the email was changed meanwhile. This request changed nothing.`,
  });
}

export function changedMeanwhile(): AppError {
  return new AppError("changed_meanwhile", {
    publicDetail: "Others kept changing it at the same moment. Nothing was changed; try again.",
  });
}
