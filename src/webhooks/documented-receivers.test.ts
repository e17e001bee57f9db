import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../testing/servers/child-server.ts";
import { createSecret, createSigner, signedHeaders } from "./sign.ts";

setDefaultTimeout(60_000);

const root = join(import.meta.dir, "../..");
const page = await Bun.file(join(root, "public/docs/webhooks.md")).text();
// Inside the checkout, so that a receiver finds the packages that it imports.
const folder = mkdtempSync(join(root, ".cache/receivers-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** The first program of the page in that language. */
function documented(language: string): string {
  const program = new RegExp(`\`\`\`${language}\\n(import [^]*?)\`\`\``).exec(page)?.[1];
  if (program === undefined) throw new Error(`the page has no receiver in ${language}`);
  return program;
}

const python = Bun.which("python3");
const receivers: [language: string, file: string, command: string[]][] = [
  ["ts", "receiver.ts", [process.execPath, "run"]],
  ...(python === null ? [] : [["python", "receiver.py", [python]] as [string, string, string[]]]),
];

describe.each(receivers)("the receiver of the documentation in %s", (language, name, command) => {
  test("takes what is signed, once, and refuses what is not", async () => {
    const file = join(folder, name);
    await Bun.write(file, documented(language));
    const secret = createSecret();
    const port = await freePort();
    const env = { PATH: process.env.PATH ?? "", WEBHOOK_SECRET: secret, PORT: String(port) };
    const child = Bun.spawn([...command, file], { env, stdout: "pipe", stderr: "inherit" });
    try {
      const body = JSON.stringify({ type: "email.sent", data: { email_id: "1", status: "sent" } });
      const headers = signedHeaders(createSigner([createSecret(), secret]), {
        id: "msg_1",
        at: new Date(),
        body,
      });
      const post = async (text: string) =>
        (await fetch(`http://127.0.0.1:${port}/`, { method: "POST", headers, body: text })).status;
      const answersYet = () => post(body).catch(() => null);
      while ((await answersYet()) === null) await Bun.sleep(50);
      expect([await post(body), await post(`${body} `)]).toEqual([200, 400]);
    } finally {
      child.kill();
      await child.exited;
    }
    expect(await new Response(child.stdout).text()).toBe("email.sent 1 sent\n");
  });
});
