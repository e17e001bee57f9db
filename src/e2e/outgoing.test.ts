import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { guardedFolder } from "../testing/product/product.ts";
import { type HttpTarget, startHttpTarget } from "../testing/servers/http-target.ts";

setDefaultTimeout(60_000);

/**
 * That a connection goes to the address that was judged rests on how the runtime treats `lookup`;
 * so it is asked again of a compiled program, which is what people run.
 */
let target: HttpTarget;
let binary: string;
beforeAll(async () => {
  target = await startHttpTarget((_req, res) => res.end("hello"));
  const folder = guardedFolder("outgoing");
  const source = join(folder, "probe.ts");
  binary = join(folder, "probe");
  const room = join(import.meta.dir, "../outgoing/create-outgoing.ts");
  await Bun.write(
    source,
    `import { createOutgoing } from ${JSON.stringify(room)};
     const [url = "", answers = "[]", allowPrivate] = process.argv.slice(2);
     const queue: string[][] = JSON.parse(answers);
     let asked = 0;
     const lookup = async () => queue[Math.min(asked++, queue.length - 1)] ?? [];
     const by = createOutgoing({ allowPrivate: allowPrivate === "true", lookup });
     const ended = await by.request({ method: "GET", url, deadlineMs: 1_000 }).then(
       ({ status }) => status,
       ({ code }) => code,
     );
     console.log(JSON.stringify([ended, asked]));
     process.exit(0);`,
  );
  const built = Bun.spawnSync([
    process.execPath,
    "build",
    "--compile",
    source,
    "--outfile",
    binary,
  ]);
  if (built.exitCode !== 0) throw new Error(built.stderr.toString());
});
afterAll(() => target?.close());

async function probe(url: string, answers: string[][], allowPrivate = false) {
  const child = Bun.spawn([binary, url, JSON.stringify(answers), `${allowPrivate}`]);
  return JSON.parse(await new Response(child.stdout).text()) as [number | string, number];
}

test("compiled: a name is asked for once, and what was judged is what is reached", async () => {
  const plain = `http://name.example:${target.port}/`;
  expect(await probe(plain, [["127.0.0.1"], ["127.0.0.99"]], true)).toEqual([200, 1]);
  expect(target.requests.at(-1)).toMatchObject({ host: `name.example:${target.port}` });

  const before = target.requests.length;
  const secure = `https://name.example:${target.port}/`;
  const [ended, asked] = await probe(secure, [["8.8.8.8"], ["127.0.0.1"]]);
  expect(["not_reached", "too_slow"]).toContain(`${ended}`);
  expect(asked).toBe(1);
  expect(target.requests.length).toBe(before);
});

test.each(["127.0.0.1", "2130706433", "0x7f.1", "0177.1", "[::ffff:7f00:1]", "[::1]"])(
  "compiled: a literal skips the resolver and is judged all the same: %s",
  async (host) => {
    const before = target.requests.length;
    const url = `https://${host}:${target.port}/`;
    expect(await probe(url, [["8.8.8.8"]])).toEqual(["address_refused", 0]);
    expect(target.requests.length).toBe(before);
  },
);
