import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  guardedFolder,
  type Product,
  runProduct,
  spawnProduct,
  startProduct,
} from "../testing/product/product.ts";
import { until } from "../testing/servers/child-server.ts";

setDefaultTimeout(180_000);

const dataDir = guardedFolder("commands");
const folder = guardedFolder("commands-files");
let product: Product;
beforeAll(async () => {
  product = await startProduct({ dataDir });
});
afterAll(() => product?.kill());

/** A command of the binary, as somebody runs it beside the server: without an option for it. */
async function run(...args: string[]): Promise<string> {
  const { code, output } = await runProduct(args, { dataDir });
  if (code !== 0) throw new Error(`${args.join(" ")}: ${code}\n${output}`);
  return output.trim();
}

const email = ["--to", "ada@example.com", "--subject", "Hello", "--body", "A few words."];

async function allEmails(query: string): Promise<Record<string, unknown>[]> {
  const lines = await run("list", ...query.split(" "), "--limit", "all", "--json");
  return lines === "" ? [] : lines.split("\n").map((line) => JSON.parse(line));
}

describe("one email from its sending to its end", () => {
  test("send, show, list, cancel", async () => {
    const html = join(folder, "mail.html");
    const notes = join(folder, "notes.txt");
    writeFileSync(html, "<p>Hello</p>");
    writeFileSync(notes, "notes");
    const id = await run(
      ...["send", ...email, "--html", html, "--attach", notes, "--reply-to", "a@example.com"],
      ...["--reply-to", "b@example.com", "--at", "2035-07-01 09:00", "--zone", "Europe/Berlin"],
      ...["--tag", "commands"],
    );
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    const shown = JSON.parse(await run("show", id, "--json"));
    expect(shown).toMatchObject({
      ...{ id, status: "pending", scheduled_at: "2035-07-01T07:00:00.000Z" },
      ...{ local_time: "2035-07-01T09:00", timezone: "Europe/Berlin", resolution: "exact" },
      attachments: [{ filename: "notes.txt", size_bytes: 5 }],
      reply_to: ["a@example.com", "b@example.com"],
    });
    expect(await run("show", id)).toContain("pending");
    expect(await run("list", "--tag", "commands")).toContain(id);
    expect(await run("cancel", id)).toBe(`${id} cancelled`);
    expect(await allEmails("--status cancelled")).toMatchObject([{ id }]);
    const late = await runProduct(["cancel", crypto.randomUUID()], { dataDir });
    expect(late).toMatchObject({
      code: 1,
      output: expect.stringContaining("no email with this id"),
    });
  });

  test("another server, by --url and a token of it", async () => {
    const token = await product.token("ada");
    const env = { TASKFORCE_MAILER_TOKEN: token };
    const args = ["send", ...email, "--at", "2035-01-01T00:00:00Z", "--url", product.url, "--json"];
    const sent = await runProduct(args, { env });
    const { id } = JSON.parse(sent.output);
    // The command without --url is the machine's own developer, who sees nothing of ada's but as admin.
    const { body } = await product.api("GET", `/api/v1/status/${id}`);
    expect([sent.code, body]).toMatchObject([0, { data: { id, status: "pending" } }]);
    const refused = await runProduct(args, { env: { TASKFORCE_MAILER_TOKEN: "tfm_no" } });
    expect(refused.code).toBe(1);
  });

  test("tail tells of it as it happens", async () => {
    const tail = spawnProduct(["tail", "--count", "3", "--json"], { dataDir });
    // It begins with what happens once it listens, so that one email may come too early.
    const sending = until("tail heard of three events", async () => {
      await run("send", ...email);
      return tail.output().split("\n").length > 3;
    });
    expect(await tail.exited).toBe(0);
    await sending;
    const types = tail.output().trim().split("\n");
    expect(types).toHaveLength(3);
    for (const line of types) expect(JSON.parse(line).type).toMatch(/^email\./);
  });
});

describe("import", () => {
  const rows = 2_000;
  const subjects = async () =>
    (await allEmails("--tag imported")).map(({ subject }) => String(subject));

  test("killed with SIGKILL again and again it has handed over each row once in the end", async () => {
    const path = join(folder, "guests.csv");
    const lines = Array.from({ length: rows }, (_, row) => `guest${row}@example.com,Mail ${row}`);
    writeFileSync(path, `to,subject\n${lines.join("\n")}\n`);
    const args = ["import", path, "--body", "Welcome.", "--tag", "imported"];
    const at = ["--json", "--url", product.url];
    const env = { TASKFORCE_MAILER_TOKEN: await product.token("importer") };
    let kills = 0;
    for (let from = 0; kills < 3; ) {
      const one = spawnProduct([...args, ...at], { env });
      await until("some more rows were handed over", async () => {
        const { body } = await product.api<unknown[]>(
          "GET",
          "/api/v1/scheduled-emails?limit=1&tag=imported",
          undefined,
          "importer",
        );
        const total = Number((body as { page?: { total?: number } }).page?.total);
        const isFurther = total > from;
        from = Math.max(from, total);
        return isFurther;
      });
      one.child.kill("SIGKILL");
      await one.exited;
      if (one.child.signalCode === "SIGKILL") kills += 1;
      if (from >= rows) break;
    }
    expect(kills).toBeGreaterThan(0);
    const last = await runProduct([...args, ...at], { env });
    expect(last.code).toBe(0);
    const all = await subjects();
    expect([all.length, new Set(all).size]).toEqual([rows, rows]);
    const again = await runProduct([...args, ...at], { env });
    expect(JSON.parse(again.output)).toMatchObject({ rows, accepted: 0, earlier: rows });
  });

  test("a file with one bad row hands over nothing, and names the place", async () => {
    const path = join(folder, "bad.jsonl");
    const good = { recipients: ["ada@example.com"], subject: "x", body: "x", tags: ["bad-file"] };
    writeFileSync(
      path,
      [good, { ...good, recipients: ["nobody"] }].map((one) => JSON.stringify(one)).join("\n"),
    );
    const { code, output } = await runProduct(["import", path], { dataDir });
    expect([code, output]).toEqual([1, expect.stringContaining("/recipients/0")]);
    const [fault] = (await Bun.file(`${path}.errors.jsonl`).text()).trim().split("\n");
    expect(JSON.parse(fault ?? "")).toMatchObject({ line: 2, code: "invalid_content" });
    expect(await allEmails("--tag bad-file")).toEqual([]);
  });
});

describe("every command", () => {
  test("has its help with an example, and exits 2 for an option that there is not", async () => {
    const overview = await run("--help");
    const names = Array.from(overview.matchAll(/^ {2}([a-z-]+) {2,}/gm), ([, name = ""]) => name);
    expect(names).toEqual(
      expect.arrayContaining([
        ...["serve", "migrate", "doctor", "sessions", "tokens", "token", "send", "list", "show"],
        ...["cancel", "import", "tail", "listen", "trigger", "audit", "keys", "pause", "resume"],
        "version",
      ]),
    );
    for (const name of names) {
      const help = await runProduct([name, "--help"], { dataDir });
      expect([name, help.code, help.output]).toEqual([
        ...[name, 0],
        expect.stringMatching(/^Usage: taskforce-mailer [\s\S]*\nExamples?:/),
      ]);
      const odd = await runProduct([name, "--surely-unknown"], { dataDir });
      expect([name, odd.code]).toEqual([name, 2]);
    }
  });

  test("is completed by bash, with the options of its help", async () => {
    const script = join(folder, "completion.bash");
    writeFileSync(
      script,
      `${await run("completion", "bash")}
COMP_WORDS=(taskforce-mailer send --rep); COMP_CWORD=2; _taskforce_mailer; echo "\${COMPREPLY[@]}"\n`,
    );
    const child = Bun.spawn(["bash", script], { stdout: "pipe" });
    expect((await new Response(child.stdout).text()).trim()).toBe("--reply-to");
    for (const shell of ["zsh", "fish"]) {
      expect(await run("completion", shell)).toContain("skip-faulty");
    }
  });
});
