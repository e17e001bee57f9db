import type { JWTPayload } from "jose";
import type { AllowedOwner, Config } from "../config.ts";
import { AppError } from "../errors.ts";
import { isOwnerId, isReservedName, type Principal } from "./principal.ts";
import { refusedCredential } from "./refusal.ts";

/** What the operator says of tokens beyond their signature. */
export type ClaimRules = Pick<Config["jwt"], "adminAal" | "ownersAllowed">;

/** `isOurs`: signed with JWT_SECRET, or a former one; else by another issuer. */
interface SignedClaims {
  claims: JWTPayload;
  isOurs: boolean;
}

/**
 * The caller whom verified claims name. Throws `unauthorized` when that is nobody we serve, and
 * `forbidden` when OWNERS_ALLOWED leaves them out. `user_metadata` is never read: users of Supabase
 * write it themselves.
 */
export function principalOf(signed: SignedClaims, rules: ClaimRules): Principal {
  const { claims, isOurs } = signed;
  const { sub } = claims;
  if (!isOwnerId(sub) || claims.role === "anon") throw refusedCredential("nobody");
  // Supabase Auth signs in whoever asks for it, without an address and without a password.
  if (claims.is_anonymous === true) throw refusedCredential("anonymous");
  const saysAdmin = isAdminBy(signed);
  // The command line, which has the secret, may name itself; nobody else takes a part's name.
  if (isReservedName(sub) && !(isOurs && saysAdmin)) throw refusedCredential("reserved_sub");
  const isShort = rules.adminAal === "aal2" && claims.aal !== undefined && claims.aal !== "aal2";
  const isAdmin = saysAdmin && !isShort;
  if (!saysAdmin && isOfSignUp(signed) && !isAllowed(claims, rules.ownersAllowed)) {
    throw notAllowed();
  }
  return {
    ...{ ownerId: sub, isAdmin, credential: "jwt" },
    ...(saysAdmin && isShort ? { lacksSecondFactor: true } : {}),
    ...(isOfSignUp(signed) ? { isOfIssuer: true } : {}),
  };
}

/**
 * `role` makes an admin only in what was signed with a secret of ours: to another issuer the word
 * may mean something else.
 */
function isAdminBy({ claims, isOurs }: SignedClaims): boolean {
  return (isOurs && claims.role === "admin") || metadataOf(claims).role === "admin";
}

/**
 * Whether the token is that of a user who may have signed up by themselves: another issuer's, or
 * one of a Supabase project that signs with JWT_SECRET. What `taskforce-mailer token` makes has
 * none of these claims.
 */
function isOfSignUp({ claims, isOurs }: SignedClaims): boolean {
  const isUsers = claims.role === "authenticated" || claims.session_id !== undefined;
  return !isOurs || isUsers || claims.email !== undefined;
}

function isAllowed(claims: JWTPayload, allowed: readonly AllowedOwner[] | null): boolean {
  return allowed === null || allowed.some((rule) => fits(claims, rule));
}

function fits(claims: JWTPayload, rule: AllowedOwner): boolean {
  switch (rule.kind) {
    case "domain":
      return domainOf(claims.email) === rule.domain;
    case "role":
      return [claims.role, metadataOf(claims).role, metadataOf(claims).roles].some((value) =>
        holds(value, rule.role),
      );
    case "claim":
      return holds(valueAt(claims, rule.path), rule.value);
  }
}

/** The value itself, or a list in which it stands. */
function holds(value: unknown, wanted: string): boolean {
  if (Array.isArray(value)) return value.some((part) => holds(part, wanted));
  return /^(string|number|boolean)$/.test(typeof value) && String(value) === wanted;
}

function valueAt(claims: JWTPayload, path: readonly string[]): unknown {
  let value: unknown = claims;
  for (const name of path) {
    const isThere = Object.hasOwn(Object(value) as object, name);
    value = isThere ? (value as Record<string, unknown>)[name] : undefined;
  }
  return value;
}

function metadataOf(claims: JWTPayload): { role?: unknown; roles?: unknown } {
  return Object(claims.app_metadata) as { role?: unknown; roles?: unknown };
}

function domainOf(email: unknown): string | null {
  if (typeof email !== "string" || !email.includes("@")) return null;
  return email.slice(email.lastIndexOf("@") + 1).toLowerCase();
}

function notAllowed(): AppError {
  return new AppError("forbidden", {
    publicDetail: "The operator of this service has narrowed who may use it, and left you out.",
    reason: "owner_not_allowed",
  });
}
