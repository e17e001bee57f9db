import type { WholeEmail } from "../../store/stored-email.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { emailIdOf, noSuchEmail } from "../request/email-id.ts";

/** The email the path names; `not_found` also for one that belongs to somebody else. */
export async function findEmail(
  c: ApiContext,
  { emails }: Pick<AppDeps, "emails">,
  parts: { details?: boolean; message?: boolean } = {},
): Promise<WholeEmail> {
  const email = await emails.get(emailIdOf(c), claimsOf(c), parts);
  if (!email) throw noSuchEmail();
  return email;
}
