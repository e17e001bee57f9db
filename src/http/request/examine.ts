import { answer } from "../answer.ts";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";

/** GET /api/v1/doctor: what `taskforce-mailer doctor` finds, looked at from here. Admins only. */
export function createExamine({ examine }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    // Bun resets a request that is silent for ten seconds.
    c.env?.server?.timeout(c.req.raw, 0);
    const checks = await examine();
    return answer(
      c,
      checks.map(({ check, status, saw, advice }) => ({ check, status, saw, advice })),
    );
  };
}
