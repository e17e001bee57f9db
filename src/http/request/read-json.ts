import { AppError } from "../../errors.ts";
import type { Caller } from "../../runtime/byte-semaphore.ts";
import { collectAfter } from "../../runtime/collect.ts";
import type { ApiContext, HeldBytes } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { type BodyPace, createBodyPace } from "../middleware/body-pace.ts";
import { parseExactly } from "./inexact-number.ts";
import { jsonShape } from "./json-shape.ts";

const depthMax = 32;
/** 500 emails of some 400 values each; takes JSON.parse 0.4 s at worst. */
const valuesMax = 200_000;
const mebibyte = 1024 * 1024;
/** Bodies smaller than this are not counted: they are gone before it matters. */
const uncountedBytes = 64 * 1024;
/** The body, its text, the values parsed from it and the attachments in them live side by side. */
const copiesAtOnce = 4;

type ReadDeps = Pick<AppDeps, "config" | "semaphore">;

/** A message of the largest size, base64 and all, fits into the body that asks for it. */
export function bodyBytesMax({ messageBytesMax }: ReadDeps["config"]): number {
  return Math.max(messageBytesMax, 8 * mebibyte) + mebibyte;
}

/**
 * The request's body as parsed JSON, not deeper than 32 levels. Throws `unsupported_media_type`,
 * `payload_too_large` (counted while it comes in, whatever Content-Length says),
 * `malformed_json`, `overloaded`, `request_timeout`.
 */
export async function readJson(c: ApiContext, deps: ReadDeps): Promise<unknown> {
  assertMediaType(c);
  const bytes = await readBytes(c, deps);
  const json = await parseInTurn(c, bytes);
  collectAfter(bytes.length);
  return json;
}

/** Like `readJson`, but no body at all is an empty object. */
export async function readOptionalJson(c: ApiContext, deps: ReadDeps): Promise<unknown> {
  if (c.req.header("content-type") !== undefined) assertMediaType(c);
  const bytes = await readBytes(c, deps);
  if (bytes.length === 0) return {};
  assertMediaType(c);
  return await parseInTurn(c, bytes);
}

async function parseInTurn(c: ApiContext, bytes: Uint8Array): Promise<unknown> {
  const { parseTurns, principal } = c.var;
  if (bytes.length <= uncountedBytes || !parseTurns || !principal) return parse(bytes);
  const end = await parseTurns.enter(principal.ownerId, c.req.raw.signal);
  try {
    return parse(bytes);
  } finally {
    // The caller reads the values before the loop's next turn: that is counted as well.
    setImmediate(end);
  }
}

function assertMediaType(c: ApiContext): void {
  const isJson = /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(
    c.req.header("content-type") ?? "",
  );
  const encoding = c.req.header("content-encoding") ?? "identity";
  if (isJson && encoding.toLowerCase() === "identity") return;
  throw new AppError("unsupported_media_type", {
    publicDetail: "Send JSON in UTF-8, uncompressed, with Content-Type: application/json.",
  });
}

async function readBytes(c: ApiContext, deps: ReadDeps): Promise<Uint8Array> {
  const bytesMax = bodyBytesMax(deps.config);
  const announced = Number(c.req.header("content-length") ?? 0);
  if (announced > bytesMax) throw tooLarge(bytesMax);
  // Bun reads no more than was announced, so that nothing need be counted piece by piece.
  const isSmall = announced > 0 && announced <= uncountedBytes;
  const pace = createBodyPace({ isSmall });
  try {
    return isSmall
      ? await readAll(c, pace)
      : await readCounted(c, deps, { bytesMax, announced, pace });
  } finally {
    pace.end();
  }
}

/**
 * Bytes count once while they come in, which takes as long as the client likes, and as all their
 * copies from then on. The parsed body lives until the answer.
 */
async function readCounted(
  c: ApiContext,
  deps: ReadDeps,
  { bytesMax, announced, pace }: { bytesMax: number; announced: number; pace: BodyPace },
): Promise<Uint8Array> {
  const ownerId = c.get("principal")?.ownerId;
  assertRoom(deps, ownerId, announced);
  const chunks: Uint8Array[] = [];
  const upload: HeldBytes = { bytes: 0, giveBack: [] };
  let received = 0;
  let counted = uncountedBytes;
  try {
    for await (const chunk of bodyOf(c, pace)) {
      received += chunk.length;
      if (received > bytesMax) throw tooLarge(bytesMax);
      // As they come, so that a caller who announces much and sends nothing takes no room.
      for (; counted < received; counted += mebibyte) {
        const caller = { ownerId, use: "upload", ownBytes: upload.bytes } as const;
        take(deps, upload, mebibyte, caller);
      }
      chunks.push(chunk);
    }
    const held = c.get("held");
    if (held && upload.bytes > 0) take(deps, held, upload.bytes * copiesAtOnce, { ownerId });
    return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
  } finally {
    for (const giveBack of upload.giveBack) giveBack();
  }
}

async function readAll(c: ApiContext, pace: BodyPace): Promise<Uint8Array> {
  try {
    return await pace.next(c.req.raw.bytes());
  } catch (cause) {
    throw cause instanceof AppError ? cause : endedEarly(cause);
  }
}

async function* bodyOf(c: ApiContext, pace: BodyPace): AsyncGenerator<Uint8Array> {
  const reader = c.req.raw.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await pace.next(reader.read());
      if (done) return;
      pace.count(value.length);
      yield value;
    }
  } catch (cause) {
    throw cause instanceof AppError ? cause : endedEarly(cause);
  } finally {
    // Does nothing after the body's end; before it the rest is not wanted any more.
    reader.cancel().catch(() => {});
  }
}

function endedEarly(cause: unknown): AppError {
  return new AppError("malformed_json", { publicDetail: "The body ended early.", cause });
}

/** Refuses a client that could not be served before the upload, not after it. */
function assertRoom({ semaphore }: ReadDeps, ownerId: string | undefined, announced: number): void {
  if (announced <= mebibyte) return;
  for (const [use, bytes] of [
    ["upload", announced],
    ["work", announced * copiesAtOnce],
  ] as const) {
    const giveBack = semaphore.tryAcquire(bytes, { ownerId, use });
    if (!giveBack) throw overloaded();
    giveBack();
  }
}

function take({ semaphore }: ReadDeps, held: HeldBytes, bytes: number, caller: Caller): void {
  const giveBack = semaphore.tryAcquire(bytes, caller);
  if (!giveBack) throw overloaded();
  held.giveBack.push(giveBack);
  held.bytes += bytes;
}

function overloaded(): AppError {
  return new AppError("overloaded", {
    publicDetail:
      "The server's memory limit is reached, in all or for you. Nothing was stored; try again.",
    retryAfterSeconds: 2,
  });
}

function parse(bytes: Uint8Array): unknown {
  const { depth, values, hasLongNumber } = jsonShape(bytes);
  if (depth > depthMax) throw malformed(`It is nested deeper than ${depthMax} levels.`);
  if (values > valuesMax) throw malformed(`It holds more than ${valuesMax} values.`);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    // Looking at each number doubles the time (200,000 of them: 0.16 s instead of 0.08).
    return hasLongNumber ? parseExactly(text) : JSON.parse(text);
  } catch {
    // The parser's own words quote the body, so they are not kept.
    throw malformed("It does not parse.");
  }
}

function malformed(reason: string): AppError {
  return new AppError("malformed_json", {
    publicDetail: `The body is expected to be one JSON value in UTF-8. ${reason}`,
  });
}

function tooLarge(bytesMax: number): AppError {
  return new AppError("payload_too_large", {
    publicDetail: `The body is larger than ${bytesMax} bytes.`,
  });
}
