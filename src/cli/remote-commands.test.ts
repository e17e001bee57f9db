import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServedApi, startServedApi } from "../testing/product/served-api.ts";
import { noUserReply } from "../testing/product/test-api.ts";
import { cancelCommand } from "./cancel.ts";
import { listCommand } from "./list.ts";
import { sendCommand } from "./send.ts";
import { showCommand } from "./show.ts";

setDefaultTimeout(60_000);

let served: ServedApi;
let folder: string;
beforeAll(async () => {
  served = await startServedApi();
  folder = await mkdtemp(join(tmpdir(), "commands-"));
  await Bun.write(join(folder, "mail.html"), "<p>Hello</p>");
  await Bun.write(join(folder, "notes.txt"), "notes");
});
afterAll(async () => {
  await served?.close();
  await rm(folder, { recursive: true, force: true });
});

const email = ["--to", "ada@example.com", "--subject", "Hello", "--body", "A few words."];

async function stored(id: string): Promise<Record<string, unknown>> {
  return (await served.api.request("GET", `/api/v1/emails/${id}`)).json.data;
}

describe("send", () => {
  test("prints the id alone, and everything that was asked for is stored", async () => {
    const { code, stdout, stderr } = await served.run(sendCommand, [
      ...["--to", "Ada <ada@example.com>", "--cc", "bob@example.com", "--subject", "Invoice"],
      ...["--html", join(folder, "mail.html"), "--attach", join(folder, "notes.txt")],
      ...["--at", "2027-01-04 09:00", "--zone", "Europe/Berlin", "--tag", "a", "--tag", "b"],
      ...["--metadata", "order=1=2", "--header", "X-Order: 7"],
    ]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^[0-9a-f-]{36}\n$/);
    expect(await stored(stdout.trim())).toMatchObject({
      scheduled_at: "2027-01-04T08:00:00.000Z",
      html_body: "<p>Hello</p>",
      tags: ["a", "b"],
      metadata: { order: "1=2" },
      headers: { "X-Order": "7" },
      attachments: [{ filename: "notes.txt", content_type: "text/plain", size_bytes: 5 }],
      recipients: [{ address: "ada@example.com" }, { address: "bob@example.com", kind: "cc" }],
    });
  });

  test("--json is the answer, --key the same email again, --dry-run the message", async () => {
    const first = await served.run(sendCommand, [...email, "--json", "--key", "once"]);
    const again = await served.run(sendCommand, [...email, "--json", "--key", "once"]);
    expect(JSON.parse(first.stdout)).toMatchObject({ status: "pending", version: 1 });
    expect(again.stdout).toBe(first.stdout);
    const dry = await served.run(sendCommand, [...email, "--dry-run"]);
    expect(dry.stdout).toContain("Subject: Hello\n");
  });

  test.each([
    [["--subject", "x", "--body", "x"], "--to <address> is required"],
    [["--to", "a@b.c", "--body", "x"], "--subject <text> is required"],
    [["--to", "a@b.c", "--subject", "x"], "one of --body, --html and --attach"],
    [[...email, "--at", "tomorrow"], "--at: expected an RFC 3339 time"],
    [[...email, "--zone", "Europe/Berlin"], "--zone is for a time"],
    [[...email, "--html", "/no/such/file"], "there is no file /no/such/file"],
    [[...email, "--metadata", "x"], "expected <name>=<value>"],
    [[...email, "--surely-unknown"], "Unknown option"],
  ])("exit 2: %p", async (args, words) => {
    const { code, stderr } = await served.run(sendCommand, args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(words)]);
  });

  test("a refusal of the server names the place", async () => {
    const args = ["--to", "nobody", "--subject", "x", "--body", "x"];
    await expect(served.run(sendCommand, args)).rejects.toThrow("/recipients/0: expected");
  });

  test("a server elsewhere needs its token, and an address that is one", async () => {
    const none = await served.run(sendCommand, email, { env: { TASKFORCE_MAILER_TOKEN: "" } });
    expect(none).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("TASKFORCE_MAILER_TOKEN"),
    });
    const odd = await served.run(sendCommand, [...email, "--url", "mail.example.com"]);
    expect(odd).toMatchObject({ code: 2, stderr: expect.stringContaining("--url must be") });
  });
});

describe("list, show, cancel", () => {
  test("list shows a table, filters, and walks through all as JSON", async () => {
    for (let n = 0; n < 3; n++)
      await served.api.schedule({ tags: ["listed"], subject: `Mail ${n}` });
    const table = await served.run(listCommand, ["--tag", "listed"]);
    const lines = table.stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^ID\s+STATUS\s+DUE\s+TO\s+SUBJECT$/);
    expect(lines.slice(1).map((line) => /Mail \d$/.exec(line)?.[0])).toEqual([
      "Mail 2",
      "Mail 1",
      "Mail 0",
    ]);
    const all = await served.run(listCommand, ["--tag", "listed", "--limit", "all", "--json"]);
    expect(
      all.stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).subject),
    ).toEqual([...["Mail 2", "Mail 1", "Mail 0"]]);
    const one = await served.run(listCommand, ["--tag", "listed", "--limit", "1", "--json"]);
    expect(one.stdout.trimEnd().split("\n").length).toBe(1);
    expect(await served.run(listCommand, ["--tag", "nothing"])).toMatchObject({
      code: 0,
      stdout: "",
    });
    expect((await served.run(listCommand, ["--limit", "0"])).code).toBe(2);
  });

  test("what an email says cannot steer the terminal, and colour is for terminals alone", async () => {
    const id = await served.api.schedule({ subject: "a \u202egnp.exe", tags: ["odd"] });
    const coloured = await served.run(listCommand, ["--tag", "odd"], { isTty: true });
    expect(coloured.stdout).toContain("\x1b[2m");
    expect(coloured.stdout).not.toContain("\u202e");
    const calm = { isTty: true, env: { NO_COLOR: "1" } };
    expect((await served.run(showCommand, [id], calm)).stdout).not.toContain("\x1b");
  });

  test("show tells of attempts and recipients in the server's words", async () => {
    const id = await served.api.schedule();
    await served.api.deliver(id, noUserReply);
    const { stdout } = await served.run(showCommand, [id]);
    expect(stdout).toContain("status       failed\n");
    expect(stdout).toMatch(/\nto {4}bob@example\.com {2}bounced {2}550 No such user\n/);
    expect(stdout).toMatch(/\n#1 \S+ {2}bounced {2}smtp\.example\.net:25 {2}550 No such user\n/);
    const json = await served.run(showCommand, [id, "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ id, status: "failed" });
    expect((await served.run(showCommand, [id, "--raw"])).stdout).toContain("Subject: Hello");
    await expect(served.run(showCommand, ["none"])).rejects.toThrow("no email with this id");
    expect((await served.run(showCommand, [])).code).toBe(2);
  });

  test("cancel reports each id, and goes on behind one that cannot be", async () => {
    const [sent, pending] = [await served.api.schedule(), await served.api.schedule()];
    await served.api.deliver(sent);
    const { code, stdout, stderr } = await served.run(cancelCommand, [sent, pending]);
    expect([code, stdout]).toEqual([1, `${pending} cancelled\n`]);
    expect(stderr).toStartWith(`${sent}: It was sent already`);
  });

  test("cancel by a filter counts first when asked to", async () => {
    for (let n = 0; n < 3; n++) await served.api.schedule({ tags: ["campaign"] });
    const dry = await served.run(cancelCommand, ["--tag", "campaign", "--dry-run"]);
    expect(dry.stdout).toBe("3 would be cancelled\n");
    const done = await served.run(cancelCommand, ["--tag", "campaign"]);
    expect(done.stdout).toBe("3 of 3 cancelled\n");
    expect((await served.run(cancelCommand, [])).code).toBe(2);
    expect((await served.run(cancelCommand, ["x", "--tag", "y"])).code).toBe(2);
  });
});
