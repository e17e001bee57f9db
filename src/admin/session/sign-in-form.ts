import type { VerifiedToken } from "../../auth/jwt.ts";
import type { PasswordAnswer, PasswordSignIn } from "../../auth/password-sign-in.ts";
import type { Visitor, Visitors } from "./visitor.ts";

/** Why a sign-in came to nothing. */
export interface Refusal {
  status: 401 | 403 | 429 | 503;
  /** For the log and the journal, one word. */
  code: string;
  /** For the visitor, one sentence. */
  fault: string;
  retryAfterSeconds?: number;
  /** For the log only. */
  cause?: unknown;
  /** The account whose second factor is asked for, when the password was right. */
  asksCodeOf?: string;
}

export type CheckedForm = ({ kind: "known" } & Visitor) | ({ kind: "refused" } & Refusal);

export interface CheckFormDeps {
  visitors: Visitors;
  passwords?: PasswordSignIn | undefined;
}

/** The account whose password was sent, where that is offered; null: the form is a token's. */
export function accountOf(
  { email, password }: Readonly<Record<string, unknown>>,
  { passwords }: Pick<CheckFormDeps, "passwords">,
): string | null {
  const isOffered = passwords !== undefined && typeof password === "string";
  return isOffered && typeof email === "string" ? email.trim().toLowerCase() : null;
}

/**
 * What the sign-in page sent: e-mail and password, where that is offered, with the code of a second
 * factor where the page asked for it; or a token.
 */
export async function checkForm(
  form: Readonly<Record<string, unknown>>,
  { visitors, passwords }: CheckFormDeps,
): Promise<CheckedForm> {
  const { token, email, password, code } = form;
  if (passwords !== undefined && typeof email === "string" && typeof password === "string") {
    const shownCode = typeof code === "string" && code.trim() !== "" ? code : null;
    const answer = await passwords(email.trim(), password, shownCode);
    if (answer.kind !== "token") return refused(answer, email.trim());
    // The same check as for a bearer token: its signature, times, audience, and who is an admin.
    const shown = await visitors.byToken(answer.token);
    if (shown === null) return { kind: "refused", ...unverified };
    return visitorOf(shown, "password", answer.refreshToken);
  }
  const shown = typeof token === "string" ? await visitors.byToken(token) : null;
  return shown === null ? { kind: "refused", ...badToken } : visitorOf(shown, "token", null);
}

function visitorOf(
  shown: VerifiedToken | "not_allowed",
  via: "password" | "token",
  refreshToken: string | null,
): CheckedForm {
  if (shown === "not_allowed") return { kind: "refused", ...notAllowed };
  const { principal, signingKey, secretKey, expiresAt } = shown;
  // Let in with a user's rights, an admin would look for pages that are not there.
  if (principal.lacksSecondFactor) return { kind: "refused", ...oneFactor };
  const tokenExpiresAt = new Date(expiresAt);
  const proof = { signingKey, secretKey, tokenExpiresAt, refreshToken };
  return { kind: "known", principal, via, proof };
}

const notAllowed: Refusal = {
  status: 403,
  code: "owner_not_allowed",
  fault: "The operator of this service has narrowed who may use it, and left you out.",
};

const oneFactor: Refusal = {
  status: 401,
  code: "second_factor_wanted",
  fault:
    "This is an admin's account, and an admin needs a second factor here: use a token made with " +
    "one (aal2), or have ADMIN_AAL=any set.",
};

const badToken: Refusal = {
  status: 401,
  code: "token_refused",
  fault: "This token is not valid.",
};

const unverified: Refusal = {
  status: 503,
  code: "password_token_refused",
  fault: "The project signed you in, but its keys are not the ones this server trusts.",
};

type PasswordRefusal = Exclude<PasswordAnswer, { kind: "token" }>;

const passwordRefusals: Record<PasswordRefusal["kind"], Refusal> = {
  wrong: {
    status: 401,
    code: "password_refused",
    fault: "E-mail or password is wrong.",
  },
  unconfirmed: {
    status: 401,
    code: "email_unconfirmed",
    fault: "This e-mail address is not confirmed yet: see the message that was sent to it.",
  },
  second_factor: {
    status: 401,
    code: "second_factor",
    fault: "This account has a second factor: enter the password again, with the code of its app.",
  },
  wrong_code: {
    status: 401,
    code: "second_factor_refused",
    fault: "The code of the second factor is wrong, or too old.",
  },
  other_factor: {
    status: 401,
    code: "second_factor_unknown",
    fault: "This page can ask for the code of an authenticator app alone. Use a token.",
  },
  too_many: {
    status: 429,
    code: "too_many_passwords",
    fault: "Supabase Auth wants fewer tries. Wait a minute.",
    retryAfterSeconds: 60,
  },
  unavailable: {
    status: 503,
    code: "auth_unavailable",
    fault: "Supabase Auth does not answer as it should. A token still signs you in.",
    retryAfterSeconds: 5,
  },
};

function refused(answer: PasswordRefusal, account: string): CheckedForm {
  const cause = answer.kind === "unavailable" ? { cause: answer.cause } : {};
  const isAsked = answer.kind === "second_factor" || answer.kind === "wrong_code";
  const asked = isAsked ? { asksCodeOf: account } : {};
  return { kind: "refused", ...passwordRefusals[answer.kind], ...cause, ...asked };
}
