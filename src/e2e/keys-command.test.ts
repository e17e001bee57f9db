import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decryptEmail } from "../content/decrypt-email.ts";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import { createEmails } from "../store/emails.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { adminClaims } from "../testing/fixtures/new-email.ts";
import { inMs, schedule } from "../testing/product/email-requests.ts";
import {
  guardedFolder,
  type Product,
  productBinary,
  runProduct,
  spawnProduct,
  startProduct,
} from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";

setDefaultTimeout(240_000);

const keyNamed = (name: string) => new Bun.CryptoHasher("sha256").update(name).digest("hex");
const [former, next] = [keyNamed("former"), keyNamed("next")];
const later = () => ({ scheduled_at: inMs(3_600_000) });

interface Step {
  done: boolean;
  emails: number;
  answers: number;
  unreadable?: number;
}

const stepsOf = (output: string): Step[] =>
  output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));

describe("keys rotate on PostgreSQL", () => {
  let stack: ProductionStack;
  beforeAll(async () => {
    stack = await startStack({ env: { ENCRYPTION_KEY: former } });
  });
  afterAll(() => stack?.close());

  const emailCount = 120;
  const settings = () => ({ ...stack.env, ENCRYPTION_KEY: next, ENCRYPTION_KEYS_OLD: former });

  test("killed twenty times and run to its end beside a server, it leaves everything to the new key alone", async () => {
    const old = await stack.start();
    const ids: string[] = [];
    for (let n = 0; n < emailCount / 40; n++) {
      const emails = Array.from({ length: 40 }, (_, i) => ({
        recipients: [`user-${n * 40 + i}@example.test`],
        subject: `subject ${n * 40 + i}`,
        body: "words",
        ...later(),
      }));
      const body = { emails, mode: "strict" };
      const answer = await old.api<{ id: string }[]>("POST", "/api/v1/schedule-mail/batch", body);
      ids.push(...(answer.body.data ?? []).map(({ id }) => id));
    }
    expect(ids).toHaveLength(emailCount);

    // A server that has only the former key must not be left behind with emails it cannot read.
    const early = await runProduct(["keys", "rotate"], { env: settings() });
    expect(early.code).toBe(1);
    expect(early.output).toContain("1 running process writes with another key");
    await old.stop();
    const server = await stack.start(settings());

    // One row a transaction, and each run is killed after another number of them.
    for (let kill = 1; kill <= 20; kill++) {
      const run = spawnProduct(["keys", "rotate", "--json", "--batch", "1"], { env: settings() });
      await untilSteps(run, 1 + (kill % 5));
      run.child.kill("SIGKILL");
      await run.exited;
      expect(run.child.signalCode).toBe("SIGKILL");
      expect(stepsOf(run.output()).some(({ done }) => done)).toBe(false);
    }
    const status = await runProduct(["keys", "status", "--json"], { env: settings() });
    const { keys } = JSON.parse(status.output);
    expect(keys).toMatchObject([{ role: "current" }, { role: "old" }]);
    for (const { emails } of keys) expect(emails).toBeGreaterThan(0);

    // Accepting, finding and reading go on meanwhile.
    const accepted = await schedule(server, { ...later(), recipients: ["late@example.test"] });
    const find = (address: string) =>
      server.api<{ id: string }[]>("GET", `/api/v1/scheduled-emails?recipient=${address}`);
    for (const n of [0, emailCount - 1]) {
      expect((await find(`user-${n}@example.test`)).body.data).toMatchObject([{ id: ids[n] }]);
    }
    const [one, two] = await Promise.all(
      [1, 2].map(() => runProduct(["keys", "rotate", "--batch", "7"], { env: settings() })),
    );
    expect([one?.code, two?.code]).toEqual([0, 0]);
    expect(one?.output).toContain("You can remove it from ENCRYPTION_KEYS_OLD");

    const alone = { ...stack.env, ENCRYPTION_KEY: next };
    const after = await runProduct(["keys", "status", "--json"], { env: alone });
    expect(after.code).toBe(0);
    expect(JSON.parse(after.output).keys).toMatchObject([
      { role: "current", emails: emailCount + 1 },
    ]);
    const database = createPostgresDatabase({ url: stack.databaseUrl });
    const emails = createEmails(database);
    const keyRing = createKeyRing({ current: next, old: [] });
    for (const [n, id] of ids.entries()) {
      const email = await emails.get(id, adminClaims);
      const opened = email && decryptEmail(email, keyRing);
      expect(opened?.fault).toBeUndefined();
      expect(opened).toMatchObject({
        subject: `subject ${n}`,
        recipients: [{ address: `user-${n}@example.test` }],
      });
    }
    await database.close();
    expect(accepted).toBeString();
    await server.stop();

    const fresh = await stack.start(alone);
    const found = await fresh.api("GET", "/api/v1/scheduled-emails?recipient=user-7@example.test");
    expect(found.body.data).toMatchObject([{ id: ids[7], subject: "subject 7" }]);
    await fresh.stop();
  });

  test("a server with another key, or with the former alone, ends and names the setting", async () => {
    for (const key of [keyNamed("third"), former]) {
      const env = { ...stack.env, ENCRYPTION_KEY: key };
      const { code, output } = await runProduct(["serve"], { env });
      expect(code).toBe(1);
      expect(output).toContain("ENCRYPTION_KEY is not the one this database is used with");
      expect(output).toContain("ENCRYPTION_KEYS_OLD");
      expect(output).not.toContain(key);
    }
    const { code, output } = await runProduct(["keys", "rotate"], {
      env: { ...stack.env, ENCRYPTION_KEY: keyNamed("third") },
    });
    expect([code, output]).toEqual([1, expect.stringContaining("ENCRYPTION_KEY is not the one")]);
  });

  test("without ENCRYPTION_KEY nothing starts, and it is named", async () => {
    const env = { ...stack.env, ENCRYPTION_KEY: "" };
    for (const command of [["serve"], ["keys", "rotate"], ["keys", "status"]]) {
      const { code, output } = await runProduct(command, { env });
      expect([command, code]).toEqual([command, 1]);
      expect(output).toContain("ENCRYPTION_KEY");
    }
  });
});

/** Until it has told of so many steps, however fast it is. */
async function untilSteps(run: ReturnType<typeof spawnProduct>, count: number): Promise<void> {
  let hasEnded = false;
  void run.exited.then(() => {
    hasEnded = true;
  });
  while (!hasEnded && stepsOf(wholeLines(run.output())).length < count) await Bun.sleep(1);
}

function wholeLines(output: string): string {
  return output.slice(0, output.lastIndexOf("\n") + 1);
}

describe("keys rotate on the embedded database", () => {
  const dataDir = guardedFolder("keys");
  const secrets = () => JSON.parse(readFileSync(join(dataDir, "secrets.json"), "utf8"));
  const start = () => startProduct({ dataDir });
  const rotate = (...args: string[]) => runProduct(["keys", "rotate", ...args], { dataDir });

  test("makes a key of its own, killed or not, and forgets the former one at the end", async () => {
    let server: Product = await start();
    const first = secrets().encryption_key;
    const ids: string[] = [];
    for (const n of [1, 2, 3, 4, 5]) {
      ids.push(await schedule(server, { ...later(), subject: `subject ${n}` }));
    }
    const busy = await rotate();
    expect(busy.code).not.toBe(0);
    expect(busy.output).toContain("stop it first");
    expect(secrets().encryption_key).toBe(first);
    await server.stop();

    const run = spawnProduct(["keys", "rotate", "--json", "--batch", "1"], { dataDir });
    await untilSteps(run, 2);
    run.child.kill("SIGKILL");
    await run.exited;
    const second = secrets().encryption_key;
    expect(secrets()).toMatchObject({ encryption_keys_old: [first] });
    expect(second).not.toBe(first);
    // Between two keys the server starts and reads both.
    server = await start();
    const read = async () => {
      const answers = ids.map((id) => server.api("GET", `/api/v1/status/${id}`));
      return (await Promise.all(answers)).map(({ body }) => body.data?.subject);
    };
    const subjects = [1, 2, 3, 4, 5].map((n) => `subject ${n}`);
    expect(await read()).toEqual(subjects);
    await server.stop();

    const { code, output } = await rotate("--json");
    expect([code, stepsOf(output).at(-1)]).toMatchObject([0, { done: true, unreadable: 0 }]);
    expect(secrets()).toEqual({ encryption_key: second, jwt_secret: secrets().jwt_secret });
    server = await start();
    expect(await read()).toEqual(subjects);
    await server.stop();
  });

  test("a folder whose secrets.json is another one's is refused by name", async () => {
    const env = { ENCRYPTION_KEY: keyNamed("fourth") };
    const { code, output } = await runProduct(["serve"], { dataDir, env });
    expect([code, output]).toEqual([
      1,
      expect.stringContaining("restore secrets.json in DATA_DIR"),
    ]);
  });
});

test("a command line that makes no sense exits 2", async () => {
  for (const args of [
    [],
    ["turn"],
    ["rotate", "now"],
    ["rotate", "--batch", "0"],
    ["status", "--batch", "2"],
  ]) {
    const { code, output } = await runProduct(["keys", ...args], { bin: productBinary() });
    expect([args, code]).toEqual([args, 2]);
    expect(output).toContain("Usage: taskforce-mailer keys rotate");
  }
});
