import { AppError } from "../../errors.ts";
import type { Caller } from "../../runtime/byte-semaphore.ts";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";

/** A smaller answer is not paced: the system's buffers of one connection hold it. */
const smallBytes = 256 * 1024;
/** As base64 in the database's answer, decoded, decrypted, with its Date, parsed. */
const copiesAtOnce = 5;
/** A read waits so long for memory that others hold before it is refused. */
const waitMs = 10_000;
const lookEveryMs = 25;
const chunkBytes = 64 * 1024;
/** A client that takes nothing for this long is hung up on: its answer takes others' memory. */
const stalledMs = 10_000;

type ReadDeps = Pick<AppDeps, "semaphore">;

/**
 * Sets memory aside for reading a message of this size, until the request has been answered. Throws
 * `overloaded` when there is none for ten seconds.
 */
export async function holdForRead(
  c: ApiContext,
  deps: ReadDeps,
  messageBytes: number,
): Promise<void> {
  if (messageBytes <= smallBytes) return;
  const { held, parseTurns, principal } = c.var;
  if (held === undefined) return;
  held.giveBack.push(await acquire(c, deps, messageBytes * copiesAtOnce, "work"));
  // Decrypting keeps the loop busy, and so does the embedded database: others get theirs between.
  if (!parseTurns || !principal) return;
  held.giveBack.push(await parseTurns.enter(principal.ownerId, c.req.raw.signal));
}

export interface LargeReadOptions {
  /** Default: ten seconds. */
  stalledMs?: number;
}

/**
 * Answers with these bytes, piece by piece as the client takes them. They count against the owner's
 * memory, and the owner's turn lasts, until the last is taken or the client is hung up on.
 */
export async function sendLarge(
  c: ApiContext,
  deps: ReadDeps,
  { content, headers, status = 200 }: { content: Uint8Array; headers: Headers; status?: number },
  options: LargeReadOptions = {},
): Promise<Response> {
  if (content.length <= smallBytes) {
    return new Response(Buffer.from(content), { status, headers });
  }
  // All but the answer itself is done with.
  for (const giveBackWork of c.var.held?.giveBack ?? []) giveBackWork();
  const giveBack = await acquire(c, deps, content.length, "upload");
  // Bun hangs up on whoever is silent for a minute: we are told of it sooner.
  c.env?.server?.timeout(c.req.raw, 0);
  const { turn } = c.var;
  if (turn) turn.isKept = true;
  const end = () => {
    giveBack();
    turn?.end();
  };
  const body = piecesOf(content, end, options.stalledMs ?? stalledMs);
  return new Response(body, { status, headers });
}

function piecesOf(
  content: Uint8Array,
  onEnd: () => void,
  stalledAfterMs: number,
): ReadableStream<Uint8Array> {
  let at = 0;
  let rest: Uint8Array | null = content;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const end = () => {
    clearTimeout(timer);
    rest = null;
    onEnd();
  };
  const watch = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      end();
      controller.error(new Error("the client takes nothing"));
    }, stalledAfterMs);
  };
  return new ReadableStream<Uint8Array>(
    {
      start: watch,
      pull(controller) {
        const piece = rest?.subarray(at, at + chunkBytes);
        if (piece === undefined || piece.length === 0) {
          end();
          controller.close();
          return;
        }
        at += piece.length;
        // A copy, so that what waits for the wire is the piece and not the whole.
        controller.enqueue(piece.slice());
        watch(controller);
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}

async function acquire(
  c: ApiContext,
  { semaphore }: ReadDeps,
  bytes: number,
  use: NonNullable<Caller["use"]>,
): Promise<() => void> {
  const ownerId = c.var.principal?.ownerId;
  const until = performance.now() + waitMs;
  for (;;) {
    const giveBack = semaphore.tryAcquire(bytes, { ownerId, use });
    if (giveBack !== null) return giveBack;
    if (performance.now() >= until || c.req.raw.signal.aborted) throw overloaded();
    await Bun.sleep(lookEveryMs);
  }
}

function overloaded(): AppError {
  return new AppError("overloaded", {
    publicDetail: "The server's memory limit is reached, in all or for you. Try again.",
    retryAfterSeconds: 2,
  });
}
