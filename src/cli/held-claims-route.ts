import type { Holdings } from "../delivery/holdings.ts";

// Only `scripts/build --fail-points`, for the fault tests, defines it.
declare const BUILD_FAIL_POINTS: boolean | undefined;

/**
 * GET /held-claims, in the build for fault tests only: what this process holds, as a list of
 * `<id>:<token>`. The oracle compares it with the rows that are `sending` (I11). Null: not asked
 * for, or another build.
 */
export function answerHeldClaims(
  request: Request,
  holdings: Pick<Holdings, "list">,
): Response | null {
  if (typeof BUILD_FAIL_POINTS === "undefined" || !BUILD_FAIL_POINTS) return null;
  if (new URL(request.url).pathname !== "/held-claims") return null;
  return Response.json(holdings.list().map(({ id, token }) => `${id}:${token}`));
}
