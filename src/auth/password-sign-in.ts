import type { AuthApiError } from "@supabase/supabase-js";
import type { Outgoing } from "../outgoing/create-outgoing.ts";
import { fetchThrough } from "../outgoing/fetch-through.ts";

export interface PasswordSignInOptions {
  /** Of the Supabase project. */
  url: string;
  anonKey: string;
  outgoing: Outgoing;
}

export type PasswordAnswer =
  | { kind: "token"; token: string }
  /** `second_factor`: the account has one, which a password alone must not get around. */
  | { kind: "wrong" | "unconfirmed" | "second_factor" | "too_many" }
  | { kind: "unavailable"; cause: unknown };

/** E-mail and password of a user of Supabase Auth, for the access token that it makes of them. */
export type PasswordSignIn = (email: string, password: string) => Promise<PasswordAnswer>;

const deadlineMs = 5_000;

/** The token is not believed: whoever calls this has it verified like any other. */
export function createPasswordSignIn(options: PasswordSignInOptions): PasswordSignIn {
  const { url, anonKey, outgoing } = options;
  return async (email, password) => {
    const { createClient, isAuthApiError } = await import("@supabase/supabase-js");
    // One client per try: it keeps the user it signed in, and the next visitor is another.
    const client = createClient(url, anonKey, {
      auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
      global: { fetch: fetchThrough(outgoing, { deadlineMs }) },
    });
    const { data, error } = await client.auth.signInWithPassword({ email, password });
    if (error !== null) {
      return isAuthApiError(error) ? refusalOf(error) : { kind: "unavailable", cause: error };
    }
    const hasSecondFactor = data.user.factors?.some(({ status }) => status === "verified");
    if (hasSecondFactor) return { kind: "second_factor" };
    return { kind: "token", token: data.session.access_token };
  };
}

/** Older projects send a status and no code. */
const wrongCodes: readonly (string | undefined)[] = [
  "invalid_credentials",
  "validation_failed",
  "user_banned",
  undefined,
];

function refusalOf(cause: AuthApiError): PasswordAnswer {
  const { code, status } = cause;
  if (code === "email_not_confirmed") return { kind: "unconfirmed" };
  if (status === 429) return { kind: "too_many" };
  const isWrong = status >= 400 && status < 500 && wrongCodes.includes(code);
  return isWrong ? { kind: "wrong" } : { kind: "unavailable", cause };
}
