import {
  type KeptFor,
  readKeptData,
  requestName,
  writeKeptData,
} from "../../content/kept-answer.ts";
import { AppError } from "../../errors.ts";
import { type ApiContext, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { type Idempotency, idempotencyOf } from "./idempotency.ts";

type KeptDeps = Pick<AppDeps, "emails" | "keyRing">;

/**
 * Honours the Idempotency-Key of a POST that stores no emails: the same key and body get the
 * first answer again. `run` is repeated when that never came, so it must be one that changes
 * nothing twice by itself.
 */
export function createKeptRequest(deps: KeptDeps, path: string) {
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

/** How a POST makes one object, in two steps. */
export interface Creation<Plan, Made> {
  /** Judges the body; throws when it does not fit. JSON, with the object's id and its secret. */
  plan: () => Plan | Promise<Plan>;
  /** The same plan again makes nothing more: `isNew` is false, and the answer is the same. */
  make: (plan: Plan) => Promise<{ made: Made; isNew: boolean }>;
}

/**
 * Honours the Idempotency-Key of a POST that makes an object with a secret. The plan is kept,
 * encrypted, before the object is made, and the answer in its place afterwards: of all requests
 * with one key, in whatever process, each makes the object of the one plan that was kept first,
 * also when the process that kept it has died. A plan that the database refused stays with its key.
 */
export function createKeptCreation(deps: KeptDeps, path: string) {
  return async <Plan, Made>(
    c: ApiContext,
    body: unknown,
    { plan, make }: Creation<Plan, Made>,
  ): Promise<Made> => {
    const idempotency = idempotencyOf(c, path, body);
    if (idempotency === null) return (await make(await plan())).made;
    const request = { ownerId: principalOf(c).ownerId, idempotency };
    const kept = (await findKept(deps, request)) ?? (await keepPlan(deps, request, await plan()));
    if (!isPlanned(kept.content)) {
      c.header("Idempotent-Replayed", "true");
      return kept.content as Made;
    }
    const { made, isNew } = await make(kept.content.planned as Plan);
    if (!isNew) c.header("Idempotent-Replayed", "true");
    const response = writeKeptData(deps.keyRing, request, made);
    const claim = { ...idempotency, response, replaces: kept.response };
    await deps.emails.keepIdempotent(request.ownerId, claim);
    return made;
  };
}

interface Kept {
  /** Ciphertext of the content. */
  response: string;
  /** A plan, or the answer. */
  content: unknown;
}

type KeyedRequest = KeptFor & { idempotency: Idempotency };

async function findKept(deps: KeptDeps, request: KeyedRequest): Promise<Kept | null> {
  const earlier = await deps.emails.findIdempotent(request.ownerId, request.idempotency);
  if (earlier === null) return null;
  const content = readKeptData(deps.keyRing, request, earlier);
  // readKeptData threw for any other.
  return { response: (earlier as Extract<typeof earlier, { kind: "replayed" }>).response, content };
}

/** Another request may have been faster: what it kept counts. */
async function keepPlan(deps: KeptDeps, request: KeyedRequest, planned: unknown): Promise<Kept> {
  const response = writeKeptData(deps.keyRing, request, { planned });
  await deps.emails.keepIdempotent(request.ownerId, { ...request.idempotency, response });
  const kept = await findKept(deps, request);
  if (kept === null) throw stillRunning();
  return kept;
}

function isPlanned(content: unknown): content is { planned: unknown } {
  return typeof content === "object" && content !== null && "planned" in content;
}

function stillRunning(): AppError {
  return new AppError("idempotency_in_flight", {
    publicDetail: "A request with this Idempotency-Key is still running; try again.",
    retryAfterSeconds: 1,
  });
}
