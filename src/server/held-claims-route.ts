import type { ClaimsInMemory } from "../delivery/claims-in-memory.ts";

// Only `scripts/build --fail-points`, for the fault tests, defines it.
declare const BUILD_FAIL_POINTS: boolean | undefined;

/**
 * GET /held-claims, in the build for fault tests only: what this process holds, as a list of
 * `<id>:<token>`. The oracle compares it with the rows that are `sending` (I11). Null: not asked
 * for, or another build.
 */
export function answerHeldClaims(
  request: Request,
  claimsInMemory: Pick<ClaimsInMemory, "list">,
): Response | null {
  if (typeof BUILD_FAIL_POINTS === "undefined" || !BUILD_FAIL_POINTS) return null;
  if (new URL(request.url).pathname !== "/held-claims") return null;
  return Response.json(claimsInMemory.list().map(({ id, token }) => `${id}:${token}`));
}
