import { afterEach, expect, test } from "bun:test";
import type { Product } from "./product.ts";
import { type ProductionStack, startStack } from "./production-stack.ts";

/**
 * One owner has everything due at once, another sends an email every half second: how late the
 * other's are, alone and during the flood; printed. FLOOD says how many (default 10,000).
 */
const floodSize = Number(process.env.FLOOD ?? 10_000);
const aloneCount = 40;
const everyMs = 500;
const batchSize = 500;

let stack: ProductionStack | null = null;
afterEach(() => stack?.close());

const mail = (subject: string, scheduledAt?: Date) => ({
  recipients: ["someone@example.com"],
  subject,
  body: "A few words.",
  ...(scheduledAt === undefined ? {} : { scheduled_at: scheduledAt }),
});

async function flood(product: Product, at: Date): Promise<void> {
  for (let sent = 0; sent < floodSize; sent += batchSize) {
    const emails = Array.from({ length: batchSize }, () => mail("flood", at));
    const { status } = await product.api("POST", "/api/v1/schedule-mail/batch", { emails }, "ada");
    expect(status).toBe(201);
  }
}

/** Sends until `isOver`; how late each was accepted by the next hop, counted from the answer. */
async function trickle(product: Product, name: string, isOver: (n: number) => boolean) {
  const sentAt = new Map<string, number>();
  for (let n = 0; !isOver(n); n++) {
    const subject = `${name} ${n}`;
    await product.api("POST", "/api/v1/schedule-mail", mail(subject), "bob");
    sentAt.set(subject, Date.now());
    await Bun.sleep(everyMs);
  }
  return sentAt;
}

function latenessOf(sentAt: Map<string, number>, times: Map<string, number>): number[] {
  const late = [...sentAt].map(([subject, at]) => Math.max(0, (times.get(subject) ?? 1e9) - at));
  return late.sort((one, other) => one - other);
}

const share = (list: number[], part: number) =>
  list[Math.min(list.length - 1, Math.floor(list.length * part))] ?? 0;

const inWords = (list: number[]) =>
  `${list.length} emails, late p50 ${share(list, 0.5)} ms, p99 ${share(list, 0.99)} ms`;

/** The three that were latest, and how long after the flood's moment they were sent in. */
function latestOf(sentAt: Map<string, number>, times: Map<string, number>, moment: number) {
  const list = [...sentAt].map(([subject, at]) => ({ at, late: (times.get(subject) ?? 1e9) - at }));
  const latest = list.toSorted((one, other) => other.late - one.late).slice(0, 3);
  return latest.map(({ at, late }) => `${late} ms at ${at - moment} ms`).join(", ");
}

test("one owner's flood does not delay another's mail", async () => {
  stack = await startStack();
  const { sink } = stack;
  const product = await stack.start();
  const subjectOf = (message: Uint8Array) =>
    /^Subject: (.*)$/m.exec(Buffer.from(message).toString("latin1"))?.[1]?.trim() ?? "";
  const alone = await trickle(product, "alone", (n) => n >= aloneCount);
  await sink.waitForAcceptances(alone.size, 60_000);

  const floodStartsAt = Date.now();
  // All due at one moment, when all of them are in the queue.
  const dueAt = new Date(Date.now() + 20_000 + floodSize * 2);
  await flood(product, dueAt);
  console.log(`flood of ${floodSize} accepted in ${Date.now() - floodStartsAt} ms`);
  await Bun.sleep(Math.max(0, dueAt.getTime() - Date.now() - 3_000));
  // The other sends all the time; what counts is sent from the moment on.
  const before = await trickle(product, "before", () => Date.now() >= dueAt.getTime());
  const others = alone.size + before.size;
  const isOver = () => sink.acceptances.length >= others + floodSize;
  const during = await trickle(product, "during", isOver);
  await sink.waitForAcceptances(others + floodSize + during.size, 120_000);

  const times = new Map(
    sink.acceptances.map(({ message, at }) => [subjectOf(message), at.getTime()]),
  );
  const drainMs = (times.get("flood") ?? 0) - dueAt.getTime();
  const late = { alone: latenessOf(alone, times), during: latenessOf(during, times) };
  console.log(`alone:  ${inWords(late.alone)}`);
  console.log(`during: ${inWords(late.during)}; the flood took ${drainMs} ms`);
  console.log(`latest: ${latestOf(during, times, dueAt.getTime())}`);
  // A first in, first out queue holds the last one back for as long as the flood takes.
  expect(share(late.during, 0.99)).toBeLessThan(Math.max(drainMs / 5, 2_000));
}, 1_200_000);
