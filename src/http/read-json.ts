import { AppError } from "../errors.ts";
import type { ApiContext } from "./api-env.ts";
import type { AppDeps } from "./app-deps.ts";
import { jsonShape } from "./json-shape.ts";

const depthMax = 32;
/** 500 emails of some 400 values each; takes JSON.parse 0.4 s at worst. */
const valuesMax = 200_000;
const mebibyte = 1024 * 1024;
/** Bodies smaller than this are not counted: they are gone before it matters. */
const uncountedBytes = 64 * 1024;

type ReadDeps = Pick<AppDeps, "config" | "semaphore">;

/** A message of the largest size, base64 and all, fits into the body that asks for it. */
export function bodyBytesMax({ messageBytesMax }: ReadDeps["config"]): number {
  return Math.max(messageBytesMax, 8 * mebibyte) + mebibyte;
}

/**
 * The request's body as parsed JSON, not deeper than 32 levels. Throws `unsupported_media_type`,
 * `payload_too_large` (counted while it comes in, whatever Content-Length says),
 * `malformed_json`, `overloaded`.
 */
export async function readJson(c: ApiContext, deps: ReadDeps): Promise<unknown> {
  assertMediaType(c);
  return parse(await readBytes(c, deps));
}

/** Like `readJson`, but no body at all is an empty object. */
export async function readOptionalJson(c: ApiContext, deps: ReadDeps): Promise<unknown> {
  if (c.req.header("content-type") !== undefined) assertMediaType(c);
  const bytes = await readBytes(c, deps);
  if (bytes.length === 0) return {};
  assertMediaType(c);
  return parse(bytes);
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
  if (Number(c.req.header("content-length") ?? 0) > bytesMax) throw tooLarge(bytesMax);
  const chunks: Uint8Array[] = [];
  const giveBack: (() => void)[] = [];
  let received = 0;
  let counted = uncountedBytes;
  try {
    for await (const chunk of bodyOf(c)) {
      received += chunk.length;
      if (received > bytesMax) throw tooLarge(bytesMax);
      // As they come, so that a caller who announces much and sends nothing takes no room.
      for (; counted < received; counted += mebibyte) giveBack.push(take(deps, mebibyte));
      chunks.push(chunk);
    }
    return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
  } finally {
    for (const give of giveBack) give();
  }
}

async function* bodyOf(c: ApiContext): AsyncGenerator<Uint8Array> {
  const { body } = c.req.raw;
  if (body === null) return;
  try {
    yield* body;
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError("malformed_json", { publicDetail: "The body ended early.", cause });
  }
}

function take({ semaphore }: ReadDeps, bytes: number): () => void {
  const giveBack = semaphore.tryAcquire(bytes);
  if (giveBack) return giveBack;
  throw new AppError("overloaded", {
    publicDetail: "The service holds as many bytes as it may; nothing was stored. Try again.",
    retryAfterSeconds: 2,
  });
}

function parse(bytes: Uint8Array): unknown {
  const { depth, values } = jsonShape(bytes);
  if (depth > depthMax) throw malformed(`It is nested deeper than ${depthMax} levels.`);
  if (values > valuesMax) throw malformed(`It holds more than ${valuesMax} values.`);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
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
