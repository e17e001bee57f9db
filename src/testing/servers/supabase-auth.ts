import { exportJWK, generateKeyPair, SignJWT } from "jose";

/** A user of the project's Supabase Auth. */
export interface AuthUser {
  sub: string;
  password: string;
  /** Written by the project's owner only. */
  appMetadata?: Record<string, unknown>;
  /** Written by the user. */
  userMetadata?: Record<string, unknown>;
  isConfirmed?: boolean;
  /** Types of the verified factors. */
  factors?: ("totp" | "phone")[];
  /** The code that a factor of type totp shows now. */
  code?: string;
  /** How the user signed in; default: not said. */
  aal?: "aal1" | "aal2";
  /** How long an access token lasts. Default `1h`. */
  tokenLasts?: string;
}

export interface SupabaseAuth {
  /** SUPABASE_URL. */
  readonly url: string;
  /** Paths of what came in, oldest first. */
  readonly requests: string[];
  close(): Promise<void>;
}

export interface SupabaseAuthOptions {
  /** By e-mail address. */
  users: Record<string, AuthUser>;
  anonKey: string;
  /** Where everything goes that is not for Auth: the rest of the project. Default: nowhere. */
  projectUrl?: string;
  /** Answers instead of Auth's own. */
  answer?: (path: string) => Response | null;
}

/** Supabase Auth's password grant and key set as GoTrue answers them, on 127.0.0.1. */
export async function startSupabaseAuth(options: SupabaseAuthOptions): Promise<SupabaseAuth> {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: "project", alg: "ES256", use: "sig" };
  const requests: string[] = [];
  /** E-mail addresses by the refresh token that counts; each counts once. */
  const refreshTokens = new Map<string, string>();
  /** E-mail addresses by the access token, and challenges by the factor and that address. */
  const accessTokens = new Map<string, string>();
  const challenges = new Set<string>();
  const sign = (user: AuthUser) =>
    new SignJWT({
      role: "authenticated",
      app_metadata: user.appMetadata ?? {},
      user_metadata: user.userMetadata ?? {},
      ...(user.aal === undefined ? {} : { aal: user.aal }),
    })
      .setProtectedHeader({ alg: "ES256", kid: "project" })
      .setSubject(user.sub)
      .setAudience("authenticated")
      .setIssuedAt()
      .setExpirationTime(user.tokenLasts ?? "1h")
      .sign(privateKey);

  async function grant(request: Request): Promise<Response> {
    if (request.headers.get("apikey") !== options.anonKey) return refusal(401, "no_authorization");
    const fields = (await request.json()) as Record<string, string>;
    if (fields.refresh_token !== undefined) return await refresh(fields.refresh_token);
    const { email = "", password } = fields;
    const user = options.users[email];
    if (user === undefined || user.password !== password) {
      return refusal(400, "invalid_credentials");
    }
    if (user.isConfirmed === false) return refusal(400, "email_not_confirmed");
    return await tokensOf(email, user);
  }

  async function refresh(shown: string): Promise<Response> {
    const email = refreshTokens.get(shown) ?? "";
    refreshTokens.delete(shown);
    const user = options.users[email];
    return user === undefined
      ? refusal(400, "refresh_token_not_found")
      : await tokensOf(email, user);
  }

  async function tokensOf(email: string, user: AuthUser): Promise<Response> {
    const next = crypto.randomUUID();
    refreshTokens.set(next, email);
    const token = await sign(user);
    accessTokens.set(token, email);
    const factors = (user.factors ?? []).map((factor_type, index) => {
      return { id: factorId(index), factor_type, status: "verified" };
    });
    return Response.json({
      access_token: token,
      token_type: "bearer",
      expires_in: 3600,
      refresh_token: next,
      user: { id: user.sub, email, ...(factors.length > 0 ? { factors } : {}) },
    });
  }

  /** `POST /factors/{id}/challenge` and `/verify`, of the user whose access token is shown. */
  async function factor(request: Request, id: string, step: string): Promise<Response> {
    const shown = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
    const email = accessTokens.get(shown) ?? "";
    const user = options.users[email];
    if (user === undefined) return refusal(401, "no_authorization");
    if (step === "challenge") {
      challenges.add(`${id} ${email}`);
      return Response.json({ id: `challenge ${id}`, type: "totp", expires_at: 4e9 });
    }
    const { code, challenge_id } = (await request.json()) as Record<string, string>;
    const isAsked = challenges.delete(`${id} ${email}`) && challenge_id === `challenge ${id}`;
    if (!isAsked) return refusal(422, "mfa_challenge_expired");
    // Of several, the last one is the app at hand.
    const isAtHand = id === factorId((user.factors ?? []).length - 1);
    if (!isAtHand || code !== user.code) return refusal(422, "mfa_verification_failed");
    return await tokensOf(email, { ...user, aal: "aal2" });
  }

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      requests.push(pathname + search);
      const instead = options.answer?.(pathname);
      if (instead) return instead;
      if (pathname === "/auth/v1/token") return await grant(request);
      const [, id, step] = /^\/auth\/v1\/factors\/([\w-]+)\/(\w+)$/.exec(pathname) ?? [];
      if (id !== undefined && step !== undefined) return await factor(request, id, step);
      if (pathname === "/auth/v1/.well-known/jwks.json") return Response.json({ keys: [jwk] });
      if (options.projectUrl === undefined) return new Response(null, { status: 404 });
      const url = `${options.projectUrl}${pathname}${search}`;
      const { method, headers } = request;
      return await fetch(url, { method, headers, body: await request.arrayBuffer() });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests,
    close: () => server.stop(true),
  };
}

/** supabase-js refuses one that is no UUID. */
function factorId(index: number): string {
  return `00000000-0000-4000-8000-00000000000${index}`;
}

function refusal(status: number, code: string): Response {
  return Response.json({ code: status, error_code: code, msg: code }, { status });
}
