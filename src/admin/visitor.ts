import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import type { Authenticator } from "../auth/jwt.ts";
import type { Principal } from "../auth/principal.ts";
import { isAppError } from "../errors.ts";
import { isSameOrigin } from "./same-origin.ts";
import { type Sessions, sessionSecondsMax } from "./session.ts";

export interface VisitorsOptions {
  authenticator: Authenticator;
  sessions: Sessions;
  publicUrl: string | null;
  /** Whether who connects is a proxy of ours, whose X-Forwarded-Proto counts. */
  isBehindProxy: (c: Context) => boolean;
}

export interface Visitors {
  /** By bearer header, else by session cookie; null: a stranger. `refused`: a bad bearer. */
  recognise(c: Context): Promise<Principal | null | "refused">;
  /** null: the token is not valid. */
  byToken(token: string): Promise<Principal | null>;
  signIn(c: Context, principal: Principal): Promise<void>;
  signOut(c: Context): void;
  /** Whether a POST comes from one of our own pages. */
  isOwnPost(c: Context): boolean;
  /** Address under which the visitor reaches us, without a trailing slash. */
  baseUrl(c: Context): string;
}

const cookieName = "tfm_session";

export function createVisitors(options: VisitorsOptions): Visitors {
  const { authenticator, sessions, publicUrl, isBehindProxy } = options;

  async function authenticate(authorization: string): Promise<Principal | null> {
    try {
      return await authenticator.authenticate(authorization);
    } catch (error) {
      if (isAppError(error, "unauthorized")) return null;
      throw error;
    }
  }

  function baseUrl(c: Context): string {
    if (publicUrl !== null) return publicUrl;
    const { protocol, host } = new URL(c.req.url);
    const forwarded = isBehindProxy(c) ? c.req.header("X-Forwarded-Proto") : undefined;
    return `${forwarded === "https" ? "https:" : protocol}//${host}`;
  }

  const cookieOf = (c: Context) => ({
    path: "/",
    httpOnly: true,
    sameSite: "Strict" as const,
    secure: baseUrl(c).startsWith("https:"),
  });

  return {
    recognise: async (c) => {
      const authorization = c.req.header("Authorization");
      if (authorization !== undefined) return (await authenticate(authorization)) ?? "refused";
      return await sessions.read(getCookie(c, cookieName));
    },
    byToken: async (token) => {
      const principal = await authenticate(`Bearer ${token.trim()}`);
      // A session lasts for hours: it would outlive a key that is revoked.
      return principal?.credential === "api_key" ? null : principal;
    },
    signIn: async (c, principal) => {
      const maxAge = sessionSecondsMax;
      setCookie(c, cookieName, await sessions.create(principal), { ...cookieOf(c), maxAge });
    },
    signOut: (c) => {
      deleteCookie(c, cookieName, cookieOf(c));
    },
    isOwnPost: (c) => {
      const headers = {
        secFetchSite: c.req.header("Sec-Fetch-Site"),
        origin: c.req.header("Origin"),
        requestedWith: c.req.header("X-Requested-With"),
      };
      return isSameOrigin(headers, [c.req.url, baseUrl(c)]);
    },
    baseUrl,
  };
}
