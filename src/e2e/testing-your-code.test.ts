import { expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import page from "../../public/docs/testing-your-code.md" with { type: "text" };
import { guardedFolder, productBinary } from "../testing/product/product.ts";

setDefaultTimeout(120_000);

const node = Bun.which("node");
const command = node === null ? [process.execPath, "test", "--timeout=60000"] : [node, "--test"];

test("the example of the page runs as it stands", async () => {
  const [, code = ""] = /```js\n([\s\S]*?)```/.exec(page) ?? [];
  expect(code).toContain("node:test");
  const folder = guardedFolder("testing-your-code");
  writeFileSync(join(folder, "mail.test.mjs"), code);
  const child = Bun.spawn([...command, "./mail.test.mjs"], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? "", HOME: folder, TASKFORCE_MAILER_BIN: productBinary() },
    stdout: "pipe",
    stderr: "pipe",
  });
  const texts = [child.stdout, child.stderr].map((stream) => new Response(stream).text());
  const output = (await Promise.all(texts)).join("");
  expect([await child.exited, output]).toEqual([0, expect.stringMatching(/(?:pass 2|2 pass)\b/)]);
});
