import { describe, expect, test } from "bun:test";
import { headsOf, journalOf } from "../testing/model/chain-of.ts";
import { exportLine, openExport } from "./export.ts";
import { verifyJournal } from "./verify-journal.ts";

const entries = journalOf(["ada", "zoë", "ada"]);
const bytes = Buffer.from(entries.map(exportLine).join(""));

async function* readExport(chunks: AsyncIterable<Uint8Array>) {
  yield* (await openExport(chunks)).entries;
}

async function* inChunks(of: Uint8Array, size: number) {
  for (let start = 0; start < of.length; start += size) yield of.subarray(start, start + size);
}

describe("an export", () => {
  test.each([1, 7, 1_000, 1_000_000])("is read back as it was, in chunks of %d", async (size) => {
    expect(await Array.fromAsync(readExport(inChunks(bytes, size)))).toEqual(entries);
  });

  test("verifies without any database", async () => {
    const verdict = await verifyJournal(readExport(inChunks(bytes, 50)), {
      heads: headsOf(entries),
      isWhole: true,
    });
    expect(verdict).toMatchObject({ ok: true, checked: 3 });
  });

  test("that ends within a line, or holds another text, is refused at that line", async () => {
    const read = (of: Buffer) => Array.fromAsync(readExport(inChunks(of, 100)));
    await expect(read(bytes.subarray(0, bytes.length - 10))).rejects.toThrow("line 3");
    await expect(read(Buffer.concat([bytes, Buffer.from("{}\n")]))).rejects.toThrow("line 4");
    await expect(read(Buffer.from("\n\nno json"))).rejects.toThrow("line 3");
  });
});
