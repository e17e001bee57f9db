import type { Context } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { isApiKey } from "../../auth/api-key.ts";
import type { Authenticator, VerifiedToken } from "../../auth/jwt.ts";
import type { Principal } from "../../auth/principal.ts";
import { type AppError, isAppError } from "../../errors.ts";
import { isLoopback } from "../../runtime/loopback.ts";
import type { SignInWay } from "../../store/sessions.ts";
import { isSameOrigin } from "./same-origin.ts";
import { type Sessions, type SignInProof, sessionSecondsMax } from "./session.ts";

export interface VisitorsOptions {
  authenticator: Authenticator;
  sessions: Sessions;
  publicUrl: string | null;
  /** Default false. */
  isProduction?: boolean;
  /** Whether who connects is a proxy of ours, whose X-Forwarded-Proto counts. */
  isBehindProxy: (c: Context) => boolean;
  /** The visitor's network address for the journal; default: unknown. */
  peerAddress?: (c: Context) => string | null;
  /** Counts bearers that are refused, with those of the API; default: nobody counts. */
  guesses?: BearerGuesses;
}

export interface BearerGuesses {
  /** Throws once there were so many that no unknown key is looked up. */
  assertMay(c: Context): void;
  /** Counts one; an error: there were too many. */
  count(c: Context): Promise<AppError | null>;
}

export interface Visitors {
  /** By bearer header, else by session cookie; null: a stranger. `refused`: a bad bearer. */
  recognise(c: Context): Promise<Principal | null | "refused">;
  /** null: the token is not valid; `not_allowed`: OWNERS_ALLOWED leaves its user out. */
  byToken(token: string): Promise<VerifiedToken | null | "not_allowed">;
  /** Starts a new session, whatever the browser had before; it ends with its proof. */
  signIn(c: Context, visitor: Visitor): Promise<void>;
  /** Ends it for good, on every process; everywhere: all of this owner's. */
  signOut(c: Context, options: { isEverywhere: boolean }): Promise<void>;
  /** Puts a refused sign-in into the journal. `reason` in one word. */
  noteRefused(c: Context, reason: string): Promise<void>;
  /** Whether a request that changes something comes from one of our own pages, or from a program. */
  isOwnChange(c: Context): boolean;
  /** Address under which the visitor reaches us, without a trailing slash. */
  baseUrl(c: Context): string;
}

/** Somebody who has shown who they are. */
export interface Visitor {
  principal: Principal;
  via: SignInWay;
  proof: SignInProof;
}

export function createVisitors(options: VisitorsOptions): Visitors {
  const { authenticator, sessions, publicUrl, isBehindProxy, peerAddress } = options;

  async function known<T>(asked: Promise<T>): Promise<T | null | "not_allowed"> {
    try {
      return await asked;
    } catch (error) {
      if (isAppError(error, "unauthorized")) return null;
      if (isAppError(error, "forbidden")) return "not_allowed";
      throw error;
    }
  }

  function baseUrl(c: Context): string {
    if (publicUrl !== null) return publicUrl;
    const { protocol, host } = new URL(c.req.url);
    const forwarded = isBehindProxy(c) ? c.req.header("X-Forwarded-Proto") : undefined;
    return `${forwarded === "https" ? "https:" : protocol}//${host}`;
  }

  /** In production a browser keeps the cookie from every line in clear but to its own machine. */
  const isSecure = (c: Context) => {
    const { protocol, hostname } = new URL(baseUrl(c));
    if (protocol === "https:") return true;
    const isLocal = isLoopback(hostname.replace(/^\[|\]$/g, ""));
    return publicUrl === null && (options.isProduction ?? false) && !isLocal;
  };
  const originOf = (c: Context) => peerAddress?.(c) ?? null;
  const cookieOf = (c: Context) => getCookie(c, cookieName(isSecure(c)));
  const giveCookie = (c: Context, value: string, maxAge: number) => {
    const secure = isSecure(c);
    const rules = { path: "/", httpOnly: true, sameSite: "Strict" as const, secure, maxAge };
    setCookie(c, cookieName(secure), value, rules);
  };

  return {
    recognise: async (c) => {
      const authorization = c.req.header("Authorization");
      if (authorization !== undefined) {
        const mayGuess = () => options.guesses?.assertMay(c);
        const principal = await known(authenticator.authenticate(authorization, mayGuess));
        if (principal !== null && principal !== "not_allowed") return principal;
        const tooOften = (await options.guesses?.count(c)) ?? null;
        if (tooOften !== null) throw tooOften;
        return "refused";
      }
      return await sessions.read(cookieOf(c), { isActive: isActive(c) });
    },
    byToken: async (token) => {
      const shown = token.trim();
      // A session lasts for hours: it would outlive a key that is revoked.
      return isApiKey(shown) ? null : await known(authenticator.verify(shown));
    },
    signIn: async (c, { principal, via, proof }) => {
      const started = { via, proof, replaces: cookieOf(c), origin: originOf(c) };
      giveCookie(c, await sessions.start(principal, started), sessionSecondsMax);
    },
    signOut: async (c, { isEverywhere }) => {
      await sessions.end(cookieOf(c), { isEverywhere, origin: originOf(c) });
      giveCookie(c, "", 0);
    },
    noteRefused: (c, reason) => sessions.noteRefused(reason, originOf(c)),
    isOwnChange: (c) => {
      const secFetchSite = c.req.header("Sec-Fetch-Site");
      const origin = c.req.header("Origin");
      // Nothing but a program sends this header unasked, and no other site may set it.
      const isProgram = c.req.header("Authorization") !== undefined;
      if (isProgram && secFetchSite === undefined && origin === undefined) return true;
      return isSameOrigin({ secFetchSite, origin }, [c.req.url, baseUrl(c)]);
    },
    baseUrl,
  };
}

/** With the prefix, a browser takes it from nobody but this very host over https. */
function cookieName(isSecure: boolean): string {
  return isSecure ? "__Host-tfm_session" : "tfm_session";
}

/**
 * A person opens a page or changes something. What a page asks for by itself, every other second,
 * must not keep a session alive that nobody uses. A browser that does not tell counts as a person.
 */
function isActive(c: Context): boolean {
  const mode = c.req.header("Sec-Fetch-Mode") ?? "navigate";
  return c.req.method !== "GET" || mode === "navigate";
}
