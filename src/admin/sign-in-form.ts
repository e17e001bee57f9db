import type { PasswordAnswer, PasswordSignIn } from "../auth/password-sign-in.ts";
import type { Principal } from "../auth/principal.ts";
import type { SignInWay } from "../store/sessions.ts";
import type { Visitors } from "./visitor.ts";

/** Why a sign-in came to nothing. */
export interface Refusal {
  status: 401 | 429 | 503;
  /** For the log and the journal, one word. */
  code: string;
  /** For the visitor, one sentence. */
  fault: string;
  retryAfterSeconds?: number;
  /** For the log only. */
  cause?: unknown;
}

export type CheckedForm =
  | { kind: "known"; principal: Principal; via: SignInWay }
  | ({ kind: "refused" } & Refusal);

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

/** What the sign-in page sent: e-mail and password, where that is offered, or a token. */
export async function checkForm(
  form: Readonly<Record<string, unknown>>,
  { visitors, passwords }: CheckFormDeps,
): Promise<CheckedForm> {
  const { token, email, password } = form;
  if (passwords !== undefined && typeof email === "string" && typeof password === "string") {
    const answer = await passwords(email.trim(), password);
    if (answer.kind !== "token") return refused(answer);
    // The same check as for a bearer token: its signature, times, audience, and who is an admin.
    const principal = await visitors.byToken(answer.token);
    if (principal !== null) return { kind: "known", principal, via: "password" };
    return { kind: "refused", ...unverified };
  }
  const principal = typeof token === "string" ? await visitors.byToken(token) : null;
  if (principal !== null) return { kind: "known", principal, via: "token" };
  return { kind: "refused", ...badToken };
}

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
    fault: "This account has a second factor, which this page cannot ask for. Use a token.",
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

function refused(answer: PasswordRefusal): CheckedForm {
  const cause = answer.kind === "unavailable" ? { cause: answer.cause } : {};
  return { kind: "refused", ...passwordRefusals[answer.kind], ...cause };
}
