import type { AuthApiError, GoTrueMFAApi } from "@supabase/supabase-js";
import type { Outgoing } from "../outgoing/create-outgoing.ts";
import { fetchThrough } from "../outgoing/fetch-through.ts";

export interface PasswordSignInOptions {
  /** Of the Supabase project. */
  url: string;
  anonKey: string;
  outgoing: Outgoing;
}

export type PasswordAnswer =
  | { kind: "token"; token: string; refreshToken: string }
  /** `second_factor`: the account has one, and its code is wanted beside the password. */
  | { kind: "wrong" | "unconfirmed" | "second_factor" | "wrong_code" | "too_many" }
  /** The account's second factor is none that shows a code by itself, such as a text message. */
  | { kind: "other_factor" }
  | { kind: "unavailable"; cause: unknown };

/**
 * E-mail and password of a user of Supabase Auth, and where the account has a second factor the code
 * that an authenticator app shows, for the access token that it makes of them (`aal2` with a code).
 */
export type PasswordSignIn = (
  email: string,
  password: string,
  code: string | null,
) => Promise<PasswordAnswer>;

const deadlineMs = 5_000;

/** The token is not believed: whoever calls this has it verified like any other. */
export function createPasswordSignIn(options: PasswordSignInOptions): PasswordSignIn {
  return async (email, password, code) => {
    const { isAuthApiError } = await import("@supabase/supabase-js");
    const client = await newClient(options);
    const { data, error } = await client.auth.signInWithPassword({ email, password });
    if (error !== null) {
      return isAuthApiError(error) ? refusalOf(error) : { kind: "unavailable", cause: error };
    }
    const factors = (data.user.factors ?? []).filter(({ status }) => status === "verified");
    if (factors.length === 0) return tokensOf(data.session);
    const apps = factors.filter(({ factor_type }) => factor_type === "totp");
    if (apps.length === 0) return { kind: "other_factor" };
    if (code === null) return { kind: "second_factor" };
    return await verifyCode(
      client.auth.mfa,
      apps.map(({ id }) => id),
      code,
    );
  };
}

/** More than so many apps of one account are not tried: each try counts at the project. */
const appsMax = 3;

/** The code is one of these apps'; which, the visitor is not asked. */
async function verifyCode(
  mfa: GoTrueMFAApi,
  factorIds: readonly string[],
  code: string,
): Promise<PasswordAnswer> {
  const { isAuthApiError } = await import("@supabase/supabase-js");
  const digits = code.replaceAll(/\s/g, "");
  if (!/^\d{6,8}$/.test(digits)) return { kind: "wrong_code" };
  for (const factorId of factorIds.slice(0, appsMax)) {
    const { data, error } = await mfa.challengeAndVerify({ factorId, code: digits });
    if (error === null) return tokensOf(data);
    if (!isAuthApiError(error)) return { kind: "unavailable", cause: error };
    if (error.status === 429) return { kind: "too_many" };
    if (error.status >= 500) return { kind: "unavailable", cause: error };
  }
  return { kind: "wrong_code" };
}

export type RefreshAnswer =
  | { kind: "token"; token: string; refreshToken: string }
  /** The user, or this session of theirs, is no longer welcome to the project. */
  | { kind: "refused" }
  | { kind: "unavailable"; cause: unknown };

/** The next access token, for a refresh token, which is used up by it. */
export type TokenRefresh = (refreshToken: string) => Promise<RefreshAnswer>;

export function createTokenRefresh({
  url,
  anonKey,
  outgoing,
}: PasswordSignInOptions): TokenRefresh {
  return async (refreshToken) => {
    const { isAuthApiError } = await import("@supabase/supabase-js");
    const client = await newClient({ url, anonKey, outgoing });
    const { data, error } = await client.auth.refreshSession({ refresh_token: refreshToken });
    if (error !== null) {
      const isRefusal = isAuthApiError(error) && error.status >= 400 && error.status < 500;
      const isRefused = isRefusal && error.status !== 429;
      return isRefused ? { kind: "refused" } : { kind: "unavailable", cause: error };
    }
    return data.session === null ? { kind: "refused" } : tokensOf(data.session);
  };
}

/** One client per try: it keeps the user it signed in, and the next visitor is another. */
async function newClient({ url, anonKey, outgoing }: PasswordSignInOptions) {
  const { createClient } = await import("@supabase/supabase-js");
  return createClient(url, anonKey, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    global: { fetch: fetchThrough(outgoing, { deadlineMs }) },
  });
}

function tokensOf(session: { access_token: string; refresh_token: string }) {
  const { access_token: token, refresh_token: refreshToken } = session;
  return { kind: "token", token, refreshToken } as const;
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
