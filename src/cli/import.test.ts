import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServedApi, startServedApi } from "../testing/product/served-api.ts";
import { importCommand } from "./import.ts";

setDefaultTimeout(60_000);

let folder: string;
let served: ServedApi;
/** Batches whose answer is lost after they were stored. */
let lose: (batch: number) => boolean;
let batches: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "import-"));
  lose = () => false;
  batches = 0;
  served = await startServedApi(async (req, next) => {
    const answer = await next();
    if (!req.url.endsWith("/batch")) return answer;
    batches += 1;
    // Not one that the client repeats: as if it had been killed then.
    return lose(batches) ? new Response("gone", { status: 500 }) : answer;
  });
});
afterEach(async () => {
  await served.close();
  await rm(folder, { recursive: true, force: true });
});

async function write(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await Bun.write(path, text);
  return path;
}

const jsonl = (count: number) =>
  Array.from({ length: count }, (_, n) =>
    JSON.stringify({ recipients: [`r${n}@example.com`], subject: `Mail ${n}`, body: "x" }),
  ).join("\n");

async function subjects(): Promise<string[]> {
  const found: string[] = [];
  for (let offset = 0; ; offset += 100) {
    const path = `/api/v1/scheduled-emails?limit=100&offset=${offset}`;
    const { json } = await served.api.request<{ subject: string }[]>("GET", path);
    if (json.data.length === 0) return found;
    found.push(...json.data.map(({ subject }) => subject));
  }
}

async function lines(path: string): Promise<Record<string, unknown>[]> {
  return (await Bun.file(path).text())
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("a file that is not there is named once", async () => {
  const absent = join(folder, "absent.csv");
  const { code, stderr } = await served.run(importCommand, [absent]);
  expect(code).toBe(2);
  expect(stderr).toStartWith(`import: there is no file ${absent}\n`);
});

test("a CSV file as people export it: names, zones, lists, quotes, metadata, a BOM", async () => {
  const path = await write(
    "guests.csv",
    "\ufeffto,subject,body,at,zone,tags,metadata.seat,max_retries\r\n" +
      "ada@example.com;Bob <bob@example.com>,Hi," +
      '"two\r\nlines",2027-01-04 09:00,Europe/Berlin,a;b,12,5\r\n' +
      "grace@example.com,Hello,plain,2027-07-04T09:00:00Z,,,,\r\n",
  );
  const { code, stdout, stderr } = await served.run(importCommand, [path]);
  expect([code, stdout, stderr]).toEqual([0, "2 emails accepted\n", ""]);
  const list = await served.api.request<{ id: string }[]>("GET", "/api/v1/scheduled-emails");
  const [second, first] = await Promise.all(
    list.json.data.map(({ id }) => served.api.request("GET", `/api/v1/emails/${id}`)),
  );
  expect(first?.json.data).toMatchObject({
    scheduled_at: "2027-01-04T08:00:00.000Z",
    tags: ["a", "b"],
    metadata: { seat: "12" },
    max_retries: 5,
    recipients: [{ address: "ada@example.com" }, { address: "bob@example.com" }],
  });
  expect(second?.json.data).toMatchObject({ scheduled_at: "2027-07-04T09:00:00.000Z", tags: [] });
});

describe("a file with faults", () => {
  test("hands over nothing, and says of every row what is wrong, with its line", async () => {
    const path = await write(
      "bad.csv",
      'to,subject,body,at\nada@example.com,Hi,"a\nb",2027-01-04 09:00\nnobody,Hi,x,2027-01-04T09:00:00Z\n' +
        "bob@example.com,,x,\ngrace@example.com,Hi,x,2020-01-04T09:00:00Z\n",
    );
    const { code, stderr } = await served.run(importCommand, [path, "--zone", "Europe/Berlin"]);
    expect(code).toBe(1);
    expect(stderr).toContain(
      "3 of 4 rows are at fault, nothing was handed over; the first on line 4",
    );
    expect((await lines(`${path}.errors.jsonl`)).map(({ line, errors }) => [line, errors])).toEqual(
      [
        [4, [{ pointer: "/recipients/0", detail: expect.stringContaining("nobody") }]],
        [5, [{ pointer: "/at", detail: "expected a time, got an empty cell" }]],
        [6, [{ pointer: "/scheduled_at", detail: expect.stringContaining("2020-01-04") }]],
      ],
    );
    expect(await subjects()).toEqual([]);
  });

  test("with --skip-faulty hands over the others", async () => {
    const path = await write("bad.jsonl", `${jsonl(2)}\n{"subject": 1}\nno json\n`);
    const { code, stdout } = await served.run(importCommand, [path, "--skip-faulty"]);
    expect([code, stdout]).toEqual([1, "2 emails accepted\n"]);
    expect((await lines(`${path}.errors.jsonl`)).map(({ line }) => line)).toEqual([3, 4]);
    expect((await subjects()).toSorted()).toEqual(["Mail 0", "Mail 1"]);
  });

  test("what the server alone refuses stands in the same file", async () => {
    const path = await write(
      "sender.jsonl",
      `${jsonl(1)}\n{"recipients":["a@example.com"],"subject":"x","body":"x","from":"x@evil.example"}\n`,
    );
    const { code, stdout } = await served.run(importCommand, [path]);
    expect([code, stdout]).toEqual([1, "1 emails accepted\n"]);
    expect(await lines(`${path}.errors.jsonl`)).toMatchObject([
      { line: 2, code: "invalid_content", errors: [{ pointer: expect.stringContaining("/from") }] },
    ]);
  });

  test.each([
    ["x.csv", "to,surely_unknown\na@b.c,1\n", "expected columns that are fields"],
    ["x.csv", "to,to\na@b.c,1\n", "is there twice"],
    ["x.csv", 'to,subject\n"a@b.c,1\n', "the file is no CSV"],
    ["x.csv", "to,subject\na@b.c,1,2\n", "the file is no CSV"],
  ])("%s %p", async (name, text, words) => {
    const { code, stderr } = await served.run(importCommand, [await write(name, text)]);
    expect([code, stderr]).toEqual([1, expect.stringContaining(words)]);
  });
});

describe("killed", () => {
  test("goes on where it was, and doubles nothing of a batch whose answer was lost", async () => {
    const path = await write("many.jsonl", jsonl(250));
    lose = (batch) => batch === 2;
    const first = await served.run(importCommand, [path]);
    expect(first).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("stopped behind 100 of 250"),
    });
    expect((await subjects()).length).toBe(200);
    lose = () => false;
    const second = await served.run(importCommand, [path]);
    expect([second.code, second.stdout]).toEqual([
      0,
      "150 emails accepted, 100 rows were handed over before\n",
    ]);
    const all = await subjects();
    expect([all.length, new Set(all).size]).toEqual([250, 250]);
    // The batch that had been answered for was not sent again.
    expect(batches).toBe(4);
  });

  test("by SIGKILL between an answer and its note, it has each row once in the end", async () => {
    const path = await write("many.jsonl", jsonl(250));
    const main = join(import.meta.dirname, "../main.ts");
    const env = { PATH: process.env.PATH ?? "", ...served.env };
    const child = Bun.spawn([process.execPath, main, "import", path], { env, stdout: "ignore" });
    // The batch is stored, and its answer never read.
    lose = (batch) => {
      if (batch === 2) child.kill("SIGKILL");
      return false;
    };
    await child.exited;
    expect([child.signalCode, (await subjects()).length]).toEqual(["SIGKILL", 200]);
    lose = () => false;
    expect((await served.run(importCommand, [path])).code).toBe(0);
    const all = await subjects();
    expect([all.length, new Set(all).size]).toEqual([250, 250]);
  });

  test("a file that has changed meanwhile is refused, since its rows would go out twice", async () => {
    const path = await write("many.jsonl", jsonl(150));
    lose = (batch) => batch === 2;
    await served.run(importCommand, [path]);
    await write("many.jsonl", jsonl(151));
    const changed = await served.run(importCommand, [path]);
    expect(changed).toMatchObject({ code: 1, stderr: expect.stringContaining("100 of 150 rows") });
    expect((await subjects()).length).toBe(150);
  });

  test("a progress file that was cut off in its last line counts for what it says", async () => {
    const path = await write("many.jsonl", jsonl(150));
    await served.run(importCommand, [path]);
    const progress = `${path}.progress.jsonl`;
    const text = await Bun.file(progress).text();
    await Bun.write(progress, text.slice(0, -5));
    expect((await served.run(importCommand, [path])).code).toBe(0);
    expect((await subjects()).length).toBe(150);
  });
});

test("a file that was imported is not imported again, unless it is another run", async () => {
  const path = await write("few.jsonl", jsonl(3));
  await served.run(importCommand, [path]);
  const again = await served.run(importCommand, [path]);
  expect(again.stdout).toBe("all 3 rows were handed over before; --run <name> does it again\n");
  expect((await subjects()).length).toBe(3);
  expect((await served.run(importCommand, [path, "--run", "may"])).stdout).toBe(
    "3 emails accepted\n",
  );
  expect((await subjects()).length).toBe(6);
});

test("--dry-run checks and leaves nothing behind; --json tells programs", async () => {
  const path = await write("few.jsonl", jsonl(3));
  const dry = await served.run(importCommand, [path, "--dry-run"]);
  expect([dry.code, dry.stdout, existsSync(`${path}.progress.jsonl`)]).toEqual([
    0,
    "3 emails are fit\n",
    false,
  ]);
  const { stdout } = await served.run(importCommand, [path, "--json"]);
  expect(JSON.parse(stdout)).toEqual({ rows: 3, accepted: 3, refused: 0, earlier: 0 });
});

test("a bar on a terminal, and none elsewhere", async () => {
  const path = await write("few.jsonl", jsonl(3));
  const shown = await served.run(importCommand, [path], { isTty: true });
  expect(shown.stderr).toContain("0 of 3");
  const other = await served.run(importCommand, [path, "--run", "x"]);
  expect(other.stderr).toBe("");
});

test.each([[[]], [["a.csv", "b.csv"]], [["a.txt"]], [["/no/such.csv"]]])(
  "exit 2: %p",
  async (args) => {
    expect((await served.run(importCommand, args)).code).toBe(2);
  },
);
