import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import { OutgoingError } from "./outgoing-error.ts";
import { parseTarget, type Target } from "./parse-target.ts";
import { canonicalAddress } from "./refused-range.ts";
import { type Lookup, lookupAddresses, resolveTarget } from "./resolve-target.ts";

export interface OutgoingOptions {
  /**
   * Opens loopback, RFC 1918, CGNAT and unique local addresses, and plain http to those alone.
   * For URLs that the operator wrote; never for those of a caller, unless the operator said so.
   */
  allowPrivate: boolean;
  /** PEM, beside the system's roots. */
  ca?: string | undefined;
  /** Default: the system's resolver. */
  lookup?: Lookup;
}

export interface OutgoingRequest {
  method: "GET" | "POST";
  url: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** From the first question to the resolver to the last byte. Default 10 s. */
  deadlineMs?: number;
  /** Of the answer's body; default 64 KiB. */
  answerBytesMax?: number;
  /** The body of a larger answer is cut off there, instead of being a refusal. Default false. */
  isCutAtMax?: boolean;
}

export interface OutgoingAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

/** The only way by which the program makes HTTP requests to places that a URL names. */
export interface Outgoing {
  /**
   * Resolves with whatever the other side answers, redirects included: none is followed. Rejects
   * with `OutgoingError`.
   */
  request(request: OutgoingRequest): Promise<OutgoingAnswer>;
  /**
   * Judges a URL as a request would, without connecting. Rejects with `OutgoingError`; a name that
   * has no address, or of which none is known within the deadline, is not refused.
   */
  judge(url: string, deadlineMs: number): Promise<void>;
}

const deadlineMsDefault = 10_000;
const answerBytesMaxDefault = 64 * 1024;
const headerBytesMax = 16 * 1024;

export function createOutgoing(options: OutgoingOptions): Outgoing {
  const { allowPrivate, lookup = lookupAddresses } = options;
  return {
    request: async (request) => {
      const target = parseTarget(request.url, allowPrivate);
      const deadline = createDeadline(request.deadlineMs ?? deadlineMsDefault);
      try {
        const resolving = resolveTarget(target, { allowPrivate, lookup });
        const addresses = await Promise.race([resolving, deadline.passed]);
        return await exchange({ request, target, addresses, deadline, ca: options.ca });
      } finally {
        deadline.clear();
      }
    },
    judge: async (url, deadlineMs) => {
      const target = parseTarget(url, allowPrivate);
      const deadline = createDeadline(deadlineMs);
      const resolving = resolveTarget(target, { allowPrivate, lookup });
      await Promise.race([resolving, deadline.passed])
        .catch((error: unknown) => {
          const isUnknown = error instanceof OutgoingError && !isRefusal(error);
          if (!isUnknown) throw error;
        })
        .finally(deadline.clear);
    },
  };
}

function isRefusal({ code }: OutgoingError): boolean {
  return code === "url_refused" || code === "address_refused";
}

/** One for everything: a server that sends a byte a second defeats every timeout for silence. */
interface Deadline {
  /** Rejects with `too_slow` when the time is over; pending until then. */
  passed: Promise<never>;
  clear(): void;
}

function createDeadline(ms: number): Deadline {
  const { promise, reject } = Promise.withResolvers<never>();
  const sentence = `There was no whole answer within ${ms} ms.`;
  const timer = setTimeout(() => reject(new OutgoingError("too_slow", sentence)), ms);
  // It may pass while nobody waits for it.
  promise.catch(() => {});
  return { passed: promise, clear: () => clearTimeout(timer) };
}

interface Exchange {
  request: OutgoingRequest;
  target: Target;
  addresses: string[];
  deadline: Deadline;
  ca: string | undefined;
}

async function exchange(exchanging: Exchange): Promise<OutgoingAnswer> {
  const { request, target, addresses, deadline } = exchanging;
  const sent = (target.isHttps ? https : http).request(optionsOf(exchanging));
  sent.on("socket", (socket) => assertReached(socket, addresses));
  const failed = Promise.withResolvers<never>();
  sent.on("error", (cause) => failed.reject(notReached(cause)));
  // Both stay pending when all goes well.
  failed.promise.catch(() => {});
  const answered = new Promise<OutgoingAnswer>((resolve, reject) => {
    sent.on("response", (res) => void readAnswer(res, request).then(resolve, reject));
  });
  sent.end(request.body);
  try {
    return await Promise.race([answered, failed.promise, deadline.passed]);
  } finally {
    sent.destroy();
  }
}

function optionsOf({ request, target, addresses, ca }: Exchange): https.RequestOptions {
  const { host, isLiteral, port, path } = target;
  return {
    method: request.method,
    host,
    port,
    path,
    // An agent could hand out a connection to what the name meant earlier, or go by a proxy.
    agent: false,
    maxHeaderSize: headerBytesMax,
    headers: { "Accept-Encoding": "identity", ...request.headers },
    lookup: (_name, { all }, callback) => {
      const found = addresses.map((address) => ({ address, family: familyOf(address) }));
      const [first] = found;
      if (all || first === undefined) callback(null, found);
      else callback(null, first.address, first.family);
    },
    ...(isLiteral ? {} : { servername: host }),
    // Said outright, since an environment variable can switch the default off.
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca: [ca] }),
  };
}

function familyOf(address: string): 4 | 6 {
  return address.includes(":") ? 6 : 4;
}

/** Whatever a runtime makes of `lookup`: nothing is said to an address that was not judged. */
function assertReached(socket: Socket, addresses: string[]): void {
  socket.once("connect", () => {
    const reached = canonicalAddress(socket.remoteAddress ?? "");
    if (reached !== null && addresses.includes(reached)) return;
    socket.destroy(new OutgoingError("address_refused", "Another address was reached."));
  });
}

async function readAnswer(
  res: http.IncomingMessage,
  {
    answerBytesMax: bytesMax = answerBytesMaxDefault,
    isCutAtMax = false,
  }: Pick<OutgoingRequest, "answerBytesMax" | "isCutAtMax">,
): Promise<OutgoingAnswer> {
  const chunks: Buffer[] = [];
  let received = 0;
  try {
    for await (const chunk of res as AsyncIterable<Buffer>) {
      received += chunk.length;
      if (received > bytesMax && !isCutAtMax) {
        throw tooLarge(`The answer is larger than ${bytesMax} bytes.`);
      }
      chunks.push(chunk);
      // The connection is closed with what is left of it.
      if (received > bytesMax) break;
    }
  } catch (error) {
    throw notReached(error);
  }
  const body = Buffer.concat(chunks).subarray(0, bytesMax);
  return { status: res.statusCode ?? 0, headers: res.headers, body };
}

function notReached(cause: unknown): OutgoingError {
  if (cause instanceof OutgoingError) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "HPE_HEADER_OVERFLOW") {
    return tooLarge(`The answer's header is larger than ${headerBytesMax} bytes.`);
  }
  return new OutgoingError("not_reached", `No connection, or it was lost (${code}).`, cause);
}

function tooLarge(sentence: string): OutgoingError {
  return new OutgoingError("answer_too_large", sentence);
}
