import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSmtpTransport } from "../../mail/smtp-transport.ts";
import { sendRequest, smtpSettings } from "../fixtures/smtp-fixtures.ts";
import { createSmtpSink } from "./smtp-sink.ts";
import { greylist, replyAt } from "./smtp-sink-rules.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sink-"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function linesOf(file: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(file, "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

test("an acceptance is in the log before it is answered", async () => {
  const logFile = join(folder, "log");
  const sink = await createSmtpSink({ logFile, isLoggingMessages: true });
  const transport = createSmtpTransport(smtpSettings(sink));
  const request = sendRequest();
  await transport.send(request);
  const [line] = await linesOf(logFile);
  expect(line).toMatchObject({
    message_id: "<1@example.com>",
    from: "sender@example.com",
    recipients: ["one@example.org"],
    is_tls: false,
    is_answered: true,
  });
  const logged = Buffer.from(String(line?.message_base64), "base64").toString();
  expect(logged).toEndWith(Buffer.from(request.message).toString());
  await transport.close();
  await sink.close();
});

test("runs as a process of its own, which prints its port", async () => {
  const logFile = join(folder, "process-log");
  const rule = JSON.stringify({
    phase: "rcpt",
    times: 1,
    action: { do: "reply", text: "451 4.7.1 later" },
  });
  const script = new URL("./smtp-sink.ts", import.meta.url).pathname;
  const child = Bun.spawn(
    [
      process.execPath,
      script,
      "--port",
      "0",
      "--log",
      logFile,
      "--tls",
      "starttls",
      "--rule",
      rule,
    ],
    { stdout: "pipe" },
  );
  try {
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    const { port, ca } = JSON.parse(new TextDecoder().decode(value));
    const settings = { ...smtpSettings({ port, ca } as never), tls: "required" as const };
    const transport = createSmtpTransport(settings);
    expect((await transport.send(sendRequest())).reply?.code).toBe(451);
    expect((await transport.send(sendRequest())).reply?.code).toBe(250);
    expect(await linesOf(logFile)).toHaveLength(1);
    await transport.close();
  } finally {
    child.kill();
    await child.exited;
  }
});

test("rules apply as often as they say, in their order", async () => {
  const sink = await createSmtpSink({
    rules: [replyAt("mail", "451 4.0.0 once", { times: 1 }), greylist(1)],
  });
  const transport = createSmtpTransport(smtpSettings(sink));
  const codes: (number | undefined)[] = [];
  for (let i = 0; i < 3; i += 1) codes.push((await transport.send(sendRequest())).reply?.code);
  expect(codes).toEqual([451, 451, 250]);
  expect(sink.acceptances).toHaveLength(1);
  await transport.close();
  await sink.close();
});
