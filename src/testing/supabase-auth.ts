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
  hasSecondFactor?: boolean;
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
  const sign = (user: AuthUser) =>
    new SignJWT({
      role: "authenticated",
      app_metadata: user.appMetadata ?? {},
      user_metadata: user.userMetadata ?? {},
    })
      .setProtectedHeader({ alg: "ES256", kid: "project" })
      .setSubject(user.sub)
      .setAudience("authenticated")
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(privateKey);

  async function grant(request: Request): Promise<Response> {
    if (request.headers.get("apikey") !== options.anonKey) return refusal(401, "no_authorization");
    const { email, password } = (await request.json()) as Record<string, string>;
    const user = options.users[email ?? ""];
    if (user === undefined || user.password !== password) {
      return refusal(400, "invalid_credentials");
    }
    if (user.isConfirmed === false) return refusal(400, "email_not_confirmed");
    const factors = [{ id: "f", factor_type: "totp", status: "verified" }];
    return Response.json({
      access_token: await sign(user),
      token_type: "bearer",
      expires_in: 3600,
      refresh_token: "refresh",
      user: { id: user.sub, email, ...(user.hasSecondFactor ? { factors } : {}) },
    });
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

function refusal(status: number, code: string): Response {
  return Response.json({ code: status, error_code: code, msg: code }, { status });
}
