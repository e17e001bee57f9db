import { expect, test } from "bun:test";
import { createLogger } from "../log.ts";
import type { ReplayChunk } from "../store/dead-letters.ts";
import { adminClaims } from "../testing/fixtures/new-email.ts";
import { type BulkDeps, replayInBulk } from "./bulk.ts";

const ids = Array.from({ length: 2500 }, (_, n) => `id-${n}`);
const request = {
  ...{ filter: {}, ratePerMinute: 6, scheduledAt: null, isDryRun: false, origin: null },
};

/** Chunks are recorded; `beforeChunk` may hold one up or let it fail. */
function bulkOf(beforeChunk: (n: number) => Promise<void> = async () => {}) {
  const chunks: ReplayChunk[] = [];
  const lines: { event: string; count?: number }[] = [];
  const state = { isDraining: false };
  const ended = Promise.withResolvers<void>();
  const deps: BulkDeps = {
    deadLetters: {
      groups: () => Promise.reject(new Error("not asked")),
      find: async () => ({ matched: ids.length, byStatus: { failed: ids.length }, ids }),
      async replay(chunk) {
        await beforeChunk(chunks.length);
        chunks.push(chunk);
        return { replayed: chunk.ids.length, start: "then" };
      },
    },
    bulkCancel: {
      find: () => Promise.reject(new Error("not asked")),
      cancel: () => Promise.reject(new Error("not asked")),
    },
    bulkChange: {
      find: () => Promise.reject(new Error("not asked")),
      change: () => Promise.reject(new Error("not asked")),
    },
    log: createLogger({
      level: "info",
      stream: {
        write(line) {
          lines.push(JSON.parse(line));
          ended.resolve();
        },
      },
      isForPeople: false,
    }),
    newId: () => "bulk-1",
    isDraining: () => state.isDraining,
  };
  return { deps, chunks, lines, state, ended: ended.promise };
}

test("chunks follow each other, each placed behind those before it, from one start", async () => {
  const { deps, chunks, lines } = bulkOf();
  expect(await replayInBulk(deps, request, adminClaims)).toEqual({
    ...{ matched: 2500, done: 2500, bulk: "bulk-1", isComplete: true, byStatus: { failed: 2500 } },
  });
  expect(chunks.map(({ first, start, ids: { length } }) => [first, start, length])).toEqual([
    [0, null, 1000],
    [1000, "then", 1000],
    [2000, "then", 500],
  ]);
  expect(chunks.flatMap((chunk) => chunk.ids)).toEqual(ids);
  expect(lines).toEqual([]);
});

test("what takes too long is answered as it stands, and goes on behind the answer", async () => {
  const gate = Promise.withResolvers<void>();
  const { deps, chunks, lines, ended } = bulkOf((n) =>
    n === 1 ? gate.promise : Promise.resolve(),
  );
  const answer = await replayInBulk({ ...deps, answerWithinMs: 20 }, request, adminClaims);
  expect(answer).toMatchObject({ matched: 2500, done: 1000, isComplete: false });
  gate.resolve();
  await ended;
  expect(chunks).toHaveLength(3);
  expect(lines).toMatchObject([{ event: "bulk change ended", count: 2500 }]);
});

test("a chunk that fails is the request's failure, or a line of the log once it is answered", async () => {
  const failing = bulkOf(() => Promise.reject(new Error("gone")));
  await expect(replayInBulk(failing.deps, request, adminClaims)).rejects.toThrow("gone");
  expect(failing.lines).toEqual([]);

  const gate = Promise.withResolvers<void>();
  const later = bulkOf((n) => (n === 1 ? gate.promise : Promise.resolve()));
  await replayInBulk({ ...later.deps, answerWithinMs: 20 }, request, adminClaims);
  gate.reject(new Error("gone"));
  await later.ended;
  expect(later.lines).toMatchObject([{ event: "bulk change ended early", count: 1000 }]);
});

test("a process that stops begins no further chunk, and says that it is not the end", async () => {
  const stopping = bulkOf(async (n) => {
    if (n === 0) stopping.state.isDraining = true;
  });
  const answer = await replayInBulk(stopping.deps, request, adminClaims);
  expect(answer).toMatchObject({ done: 1000, isComplete: false });
});
