import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FenceAnswer } from "../email/smtp.ts";
import { emailDraft } from "../testing/fixtures/email-draft.ts";
import { recipients, sendRequest } from "../testing/fixtures/smtp-fixtures.ts";
import { createCaptureTransport } from "./capture-transport.ts";
import { capturedPaths } from "./captured.ts";
import { composeMessage } from "./compose.ts";

let root: string;
let count = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "capture-"));
});

afterAll(() => rm(root, { recursive: true, force: true }));

function freshDataDir(): string {
  count += 1;
  return join(root, `data-${count}`);
}

const idOf = (n: number) => `0b5d2f4e-6a6b-4f0e-9f6e-${String(n).padStart(12, "0")}`;

describe("capturing", () => {
  test("writes the exact bytes and the envelope, for nobody else to read", async () => {
    const dataDir = freshDataDir();
    const now = () => new Date("2026-11-24T03:00:00.500Z");
    const request = sendRequest({
      emailId: idOf(1),
      envelope: { from: "s@example.com", recipients: recipients(2) },
    });
    const report = await createCaptureTransport({ dataDir, now }).send(request);
    expect(report).toMatchObject({
      phase: "reply",
      fenced: true,
      reply: { code: 250 },
      messageDate: new Date("2026-11-24T03:00:00.000Z"),
      transport: "capture",
    });
    expect(report.recipients.map(({ position, reply }) => [position, reply.code])).toEqual([
      [0, 250],
      [1, 250],
    ]);
    const folder = join(dataDir, "captured");
    const bytes = await readFile(join(folder, `${idOf(1)}.eml`), "latin1");
    const message = Buffer.from(request.message).toString("latin1");
    expect(bytes).toBe(`Date: Tue, 24 Nov 2026 03:00:00 +0000\r\n${message}`);
    expect(JSON.parse(await readFile(join(folder, `${idOf(1)}.json`), "utf8"))).toEqual({
      from: "s@example.com",
      recipients: ["r0@example.org", "r1@example.org"],
      captured_at: "2026-11-24T03:00:00.500Z",
      // Noted for the list, so that it need not read messages.
      subject: "hello",
      size_bytes: bytes.length,
    });
    expect((await readdir(folder)).sort()).toEqual([`${idOf(1)}.eml`, `${idOf(1)}.json`]);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, `${idOf(1)}.eml`))).mode & 0o777).toBe(0o600);
  });

  test("writes nothing that the fence did not grant", async () => {
    const dataDir = freshDataDir();
    const transport = createCaptureTransport({ dataDir });
    const answers: [() => Promise<FenceAnswer>, string][] = [
      [async () => ({ granted: false, reason: "cancelled" }), "cancelled"],
      [async () => ({ granted: false, reason: "stale" }), "stale"],
      [() => Promise.reject(new Error("gone")), "fence_failed"],
    ];
    for (const [fence, withheld] of answers) {
      const report = await transport.send(sendRequest({ emailId: idOf(1), fence }));
      expect(report).toMatchObject({ phase: "fence", fenced: false, withheld, reply: null });
    }
    expect(await readdir(join(dataDir, "captured"))).toEqual([]);
    const aborted = await transport.send(sendRequest({ signal: AbortSignal.abort() }));
    expect(aborted).toMatchObject({ withheld: "aborted", fenced: false });
  });

  test("fails before the fence when the folder cannot be written", async () => {
    const dataDir = freshDataDir();
    await mkdir(dataDir);
    // A file where the folder should be fails for root as well, unlike a folder without rights.
    await writeFile(join(dataDir, "captured"), "in the way");
    let asked = 0;
    const report = await createCaptureTransport({ dataDir }).send(
      sendRequest({
        fence: async () => {
          asked += 1;
          return { granted: true };
        },
      }),
    );
    expect(report).toMatchObject({ phase: "connect", fenced: false, reply: null, withheld: null });
    expect(report.error).toContain("could not be written");
    expect(asked).toBe(0);
  });

  test("never makes a path of what is no email id", async () => {
    const dataDir = freshDataDir();
    const report = await createCaptureTransport({ dataDir }).send(
      sendRequest({ emailId: "../../evil" }),
    );
    expect(report.fenced).toBe(false);
    expect(capturedPaths(dataDir, "../../evil")).toBeNull();
    expect(existsSync(join(dataDir, "captured"))).toBe(false);
  });
});

test("the envelope beside a message says what it is, for people who look through the folder", async () => {
  const dataDir = freshDataDir();
  const now = () => new Date("2026-11-24T03:00:02.000Z");
  const { message } = await composeMessage(emailDraft({ subject: "Mail 2 – ü" }), {
    messageId: "<2@example.com>",
  });
  const emailId = idOf(2);
  await createCaptureTransport({ dataDir, now }).send(sendRequest({ emailId, message }));
  const captured = await readFile(join(dataDir, "captured", `${emailId}.eml`));
  expect(captured.toString()).toStartWith("Date: Tue, 24 Nov 2026 03:00:02 +0000\r\n");
  expect(JSON.parse(await readFile(join(dataDir, "captured", `${emailId}.json`), "utf8"))).toEqual({
    from: "sender@example.com",
    recipients: ["one@example.org"],
    captured_at: "2026-11-24T03:00:02.000Z",
    subject: "Mail 2 – ü",
    size_bytes: captured.length,
  });
});
