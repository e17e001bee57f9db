import { readKeptData, requestName, writeKeptData } from "../../content/kept-answer.ts";
import { AppError } from "../../errors.ts";
import { type ApiContext, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { idempotencyOf } from "./idempotency.ts";

/**
 * Honours the Idempotency-Key of a POST that stores no emails: the same key and body get the
 * first answer again. `run` is repeated when that never came, so it must be one that changes
 * nothing twice by itself.
 */
export function createKeptRequest(deps: Pick<AppDeps, "emails" | "keyRing">, path: string) {
  const running = new Set<string>();
  return async <Data>(c: ApiContext, body: unknown, run: () => Promise<Data>): Promise<Data> => {
    const idempotency = idempotencyOf(c, path, body);
    if (idempotency === null) return await run();
    const request = { ownerId: principalOf(c).ownerId, idempotency };
    const name = requestName(request);
    if (running.has(name)) throw stillRunning();
    running.add(name);
    try {
      const earlier = await deps.emails.findIdempotent(request.ownerId, idempotency);
      if (earlier !== null) {
        c.header("Idempotent-Replayed", "true");
        return readKeptData(deps.keyRing, request, earlier) as Data;
      }
      const data = await run();
      const response = writeKeptData(deps.keyRing, request, data);
      await deps.emails.keepIdempotent(request.ownerId, { ...idempotency, response });
      return data;
    } finally {
      running.delete(name);
    }
  };
}

function stillRunning(): AppError {
  return new AppError("idempotency_in_flight", {
    publicDetail: "A request with this Idempotency-Key is still running; try again.",
    retryAfterSeconds: 1,
  });
}
