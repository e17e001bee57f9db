import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { jwtVerify } from "jose";
import { productBinary } from "../testing/product/product.ts";

setDefaultTimeout(60_000);

/** Bun by itself would make `ab and enough words` of it, and of its quotes no difference. */
const secret = "ab#c$HOME$$g and enough words";
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "dotenv-e2e-"));
  // From source Bun reads these where it is started, which is in a checkout.
  for (const name of ["bunfig.toml", "tsconfig.json"]) copyFileSync(name, join(folder, name));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ways: Record<string, () => string[]> = {
  "the binary": () => [productBinary()],
  "bun run src/main.ts": () => [process.execPath, "run", resolve("src/main.ts")],
};

async function run(command: string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([...command, "token", "--sub", "ada"], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? "", HOME: "/home/nobody", ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, token: stdout.trim(), stderr };
}

async function isSignedWith(token: string, key: string): Promise<boolean> {
  try {
    await jwtVerify(token, new TextEncoder().encode(key), { audience: "authenticated" });
    return true;
  } catch {
    // A signature by another secret is an answer too.
    return false;
  }
}

describe("a secret of .env", () => {
  for (const [way, command] of Object.entries(ways)) {
    test(`is in single quotes what it is there, for ${way}`, async () => {
      writeFileSync(join(folder, ".env"), `\ufeff# a comment\r\nJWT_SECRET='${secret}'\r\n`);
      const { token, stderr } = await run(command());
      expect([stderr, await isSignedWith(token, secret)]).toEqual(["", true]);
    });

    test(`gives way to the environment, for ${way}`, async () => {
      writeFileSync(join(folder, ".env"), `JWT_SECRET='${secret}'\n`);
      const { token } = await run(command(), { JWT_SECRET: "another secret of the environment" });
      expect(await isSignedWith(token, "another secret of the environment")).toBe(true);
    });

    test(`is refused where a command was put into the file, for ${way}`, async () => {
      writeFileSync(join(folder, ".env"), "JWT_SECRET=$(openssl rand -hex 32)\n");
      const { code, stderr } = await run(command());
      expect(code).not.toBe(0);
      expect(stderr).toContain("JWT_SECRET");
      expect(stderr).toContain("a command instead of what it prints");
    });
  }
});

test("the block of the documentation, pasted into a shell, makes a file that is taken", async () => {
  const page = await Bun.file("public/docs/deployment.md").text();
  const block = /## Settings[\s\S]*?```sh\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  expect(block).toContain("$(openssl rand -hex 32)");
  const shell = Bun.spawn(["bash", "-c", block], { cwd: folder, stdout: "pipe", stderr: "pipe" });
  expect([await shell.exited, await new Response(shell.stderr).text()]).toEqual([0, ""]);
  const written = await Bun.file(join(folder, ".env")).text();
  expect(written).toMatch(/^ENCRYPTION_KEY=[0-9a-f]{64}(?: +#.*)?$/m);
  const { code, stderr } = await run([productBinary()]);
  expect([code, stderr]).toEqual([0, ""]);
});
