import type { Config } from "./config.ts";
import type { VariableValues } from "./config-variables.ts";

/** How tokens are signed and verified. */
export function jwtOf(values: VariableValues): Config["jwt"] {
  return {
    secret: values.JWT_SECRET,
    secretsOld: values.JWT_SECRETS_OLD ?? [],
    jwksUrl: jwksUrlOf(values),
    issuer: values.JWT_ISSUER,
    audience: values.JWT_AUDIENCE ?? "authenticated",
    adminAal: values.ADMIN_AAL ?? "aal2",
    ownersAllowed: values.OWNERS_ALLOWED,
  };
}

/**
 * The users of a project's Supabase Auth are let in when its anon key is given for the console:
 * without that nobody said that whoever signs up there may send mail here.
 */
export function jwksUrlOf(values: VariableValues): string | null {
  const project = supabaseAuthOf(values);
  if (values.JWKS_URL !== null || project === null) return values.JWKS_URL;
  return `${project.url}/auth/v1/.well-known/jwks.json`;
}

export function supabaseAuthOf({
  SUPABASE_URL,
  SUPABASE_ANON_KEY,
}: VariableValues): Config["supabaseAuth"] {
  if (SUPABASE_URL === null || SUPABASE_ANON_KEY === null) return null;
  return { url: SUPABASE_URL.replace(/\/+$/, ""), anonKey: SUPABASE_ANON_KEY };
}
