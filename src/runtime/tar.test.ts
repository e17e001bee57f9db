import { expect, test } from "bun:test";
import fc from "fast-check";
import { readTar, tarEnd, tarHeader, tarPadding } from "./tar.ts";

const text = (value: string) => new TextEncoder().encode(value);

function tarOf(files: readonly [name: string, content: Uint8Array][]): Buffer {
  const parts = files.flatMap(([name, content]) => [
    tarHeader(name, content.length, false),
    content,
    tarPadding(content.length),
  ]);
  return Buffer.concat([...parts, tarEnd]);
}

/** As a stream gives them: in pieces that know nothing of blocks. */
async function* piecesOf(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(bytes: Buffer, size = 4096): Promise<[string, Buffer][]> {
  const found: [string, Buffer][] = [];
  for await (const { name, content } of readTar(piecesOf(bytes, size))) {
    found.push([name, Buffer.concat(await Array.fromAsync(content))]);
  }
  return found;
}

test("what was written is read, in pieces of any size", async () => {
  const file = fc.tuple(
    fc.stringMatching(/^[a-z][a-z0-9/_.-]{0,40}$/),
    fc.uint8Array({ maxLength: 1500 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(file, { maxLength: 5 }),
      fc.integer({ min: 1, max: 700 }),
      async (files, size) => {
        const found = await read(tarOf(files), size);
        expect(found).toEqual(files.map(([name, content]) => [name, Buffer.from(content)]));
      },
    ),
    { numRuns: 50 },
  );
});

test("other programs read it", () => {
  const { stdout } = Bun.spawnSync(["tar", "-xOf", "-", "a/b.txt"], {
    stdin: tarOf([["a/b.txt", text("hello")]]),
  });
  expect(stdout.toString()).toBe("hello");
});

test("one that was cut off or changed is refused, not read as a shorter one", async () => {
  const whole = tarOf([["a.txt", text("hello")]]);
  for (const at of [100, 514, 1024]) {
    expect(read(whole.subarray(0, at))).rejects.toThrow("it ends too early");
  }
  const changed = Buffer.from(whole);
  changed[3] = 0x40;
  expect(read(changed)).rejects.toThrow("does not add up");
});

test("a link is refused: nothing of an archive may lead elsewhere", async () => {
  const header = Buffer.from(tarHeader("a", 0, false));
  header.write("2", 156);
  header.write("        ", 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  expect(read(Buffer.concat([header, tarEnd]))).rejects.toThrow("neither a file nor a folder");
});
