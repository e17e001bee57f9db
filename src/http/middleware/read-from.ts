import type { MiddlewareHandler } from "hono";
import type { ReadReplica } from "../../store/read-replica.ts";
import { type ApiContext, type ApiEnv, claimsOf } from "../api-env.ts";

/** Lets a read replica answer where there is one, and notes who did. */
export async function answerFromReplica(
  c: ApiContext,
  reads: Pick<ReadReplica, "serve"> | null | undefined,
  run: (c: ApiContext) => Promise<Response>,
): Promise<Response> {
  if (!reads) return await run(c);
  return await reads.serve(
    claimsOf(c),
    () => run(c),
    (read) => c.set("readFrom", read),
  );
}

/**
 * Says in `Read-From` who read: `replica`, or `primary` with the reason why not the replica; also of
 * an email that was not found. Without a replica there is no such header.
 */
export const readFromHeader: MiddlewareHandler<ApiEnv> = async (c, next) => {
  await next();
  const { readFrom: read } = c.var;
  if (read === undefined) return;
  const words = read.from === "replica" ? "replica" : `primary; reason=${read.reason}`;
  c.res.headers.set("Read-From", words);
};
