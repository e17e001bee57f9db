import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadOrCreateSecrets } from "../crypto/secrets.ts";
import { emailRequest, inMs, subjectOf } from "../testing/product/email-requests.ts";
import { type Fleet, type Sending, sendSteadily, startFleet } from "../testing/product/fleet.ts";
import { guardedFolder, runProduct, startProduct } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { until } from "../testing/servers/child-server.ts";

setDefaultTimeout(120_000);

// The steps of public/docs/security.md, "Rotating secrets", beside requests that do not cease.
const secretNamed = (name: string) => new Bun.CryptoHasher("sha256").update(name).digest("hex");
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const list = "/api/v1/scheduled-emails";

/** Runs a command that must succeed; answers what it printed. */
async function run(env: Record<string, string>, ...args: string[]): Promise<string> {
  const { code, output } = await runProduct(args, { env });
  expect({ args, code, output: code === 0 ? "" : output }).toEqual({ args, code: 0, output: "" });
  return output.trim();
}

/** Each came to this, and there were enough of them to prove something. */
async function expectAll<T extends string | number>(sending: Sending<T>, wanted: T) {
  const answers = await sending.stop();
  expect([...new Set(answers)]).toEqual([wanted]);
  expect(answers.length).toBeGreaterThan(20);
}

describe("two processes, restarted one after the other beside steady requests", () => {
  let stack: ProductionStack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack?.close());

  describe("JWT_SECRET", () => {
    const [former, next] = [secretNamed("former secret"), secretNamed("next secret")];
    const tokenOf = (secret: string, ...role: string[]) =>
      run({ JWT_SECRET: secret }, "token", "--sub", "ada", ...role);

    async function signIn({ products }: Fleet, index: number, token: string): Promise<string> {
      const url = products[index]?.url ?? "";
      const answer = await fetch(`${url}/sign-in`, {
        ...{ method: "POST", redirect: "manual", headers: { origin: url } },
        body: new URLSearchParams({ token }),
      });
      expect(answer.status).toBe(303);
      return answer.headers.get("set-cookie")?.split(";")[0] ?? "";
    }

    test("no token or session of the former is refused before the last step, and each is after it", async () => {
      const [fleet, old, fresh, oldAdmin, freshAdmin] = await Promise.all([
        startFleet(stack, { JWT_SECRET: former }),
        ...[tokenOf(former), tokenOf(next)],
        ...[tokenOf(former, "--role", "admin"), tokenOf(next, "--role", "admin")],
      ] as const);
      const statuses = async (headers: Record<string, string>, path = list) =>
        (await fleet.askAll(path, { headers })).map(({ status }) => status);
      const signedIn = (cookie: string) => statuses({ cookie }, "/admin/queues");
      const send = (token: string) =>
        sendSteadily(async () => (await fleet.ask(list, { headers: bearer(token) })).status);
      const cookies = [await signIn(fleet, 0, oldAdmin)];
      expect(await statuses(bearer(fresh))).toEqual([401, 401]);

      const byFormer = send(old);
      await fleet.restart({ JWT_SECRET: former, JWT_SECRETS_OLD: next }, byFormer);
      const byNext = send(fresh);
      await fleet.restart({ JWT_SECRET: next, JWT_SECRETS_OLD: former }, byNext);
      // Begun with a token of the former secret, this session must not outlast that one.
      cookies.push(await signIn(fleet, 1, oldAdmin));
      const lasting = await signIn(fleet, 0, freshAdmin);
      for (const each of [...cookies, lasting]) expect(await signedIn(each)).toEqual([200, 200]);
      await expectAll(byFormer, 200);

      await fleet.restart({ JWT_SECRET: next }, byNext);
      await expectAll(byNext, 200);
      for (const token of [old, oldAdmin]) {
        expect(await statuses(bearer(token))).toEqual([401, 401]);
      }
      for (const each of cookies) expect(await signedIn(each)).toEqual([401, 401]);
      expect(await signedIn(lasting)).toEqual([200, 200]);
      await fleet.stop();
    });
  });

  describe("an API key", () => {
    interface Made {
      id: string;
      key: string;
    }

    test("is replaced by a second one without a refused request, and ends when it is revoked", async () => {
      const fleet = await startFleet(stack, {});
      const headers = bearer(await run(stack.env, "token", "--sub", "ada"));
      const make = async (name: string): Promise<Made> => {
        const body = { name, scopes: ["send", "read"] };
        const question = { method: "POST", headers, body };
        const { status, text } = await fleet.ask("/api/v1/api-keys", question);
        expect(status).toBe(201);
        return JSON.parse(text).data;
      };
      const first = await make("first");
      let inUse = first.key;
      const send = (keyOf: () => string) =>
        sendSteadily(async () => (await fleet.ask(list, { headers: bearer(keyOf()) })).status);
      const program = send(() => inUse);
      const second = await make("second");
      const another = send(() => second.key);
      await until("both keys are used", () => program.count() > 20 && another.count() > 20, 10_000);
      inUse = second.key;
      const seen = program.count();
      await until("only the second is used", () => program.count() > seen + 1, 10_000);
      const path = `/api/v1/api-keys/${first.id}`;
      expect((await fleet.ask(path, { method: "DELETE", headers })).status).toBe(200);
      await until(
        "the first is refused everywhere",
        async () =>
          (await fleet.askAll(list, { headers: bearer(first.key) })).every(
            ({ status }) => status === 401,
          ),
        5_000,
      );
      await expectAll(program, 200);
      await expectAll(another, 200);
      await fleet.stop();
    });
  });

  describe("ENCRYPTION_KEY", () => {
    const next = secretNamed("next key");

    /** Schedules an email at one process and reads it at both; every other one is due at once. */
    function createWriter(fleet: Fleet, token: string) {
      const ids: string[] = [];
      const headers = bearer(token);
      return {
        ids,
        async writeAndRead(): Promise<string> {
          const subject = `subject ${ids.length}`;
          const isDue = ids.length % 2 === 1;
          const time = isDue ? {} : { scheduled_at: inMs(3_600_000) };
          const body = emailRequest({ subject, ...time });
          const key = { "idempotency-key": crypto.randomUUID() };
          const question = { method: "POST", headers: { ...headers, ...key }, body };
          const posted = await fleet.ask("/api/v1/schedule-mail", question);
          if (posted.status !== 201) return `POST ${posted.status} ${posted.text}`;
          const { id } = JSON.parse(posted.text).data;
          ids.push(id);
          for (const _ of fleet.products) {
            const { status, text } = await fleet.ask(`/api/v1/status/${id}`, { headers });
            const isRead = status === 200 && JSON.parse(text).data.subject === subject;
            if (!isRead) return `GET ${status} ${text}`;
          }
          return "accepted and read";
        },
      };
    }

    const sent = () =>
      stack.sink.acceptances.map(subjectOf).filter((subject) => subject.startsWith("subject "));

    // The longest of the three: with --long, beside keys-command.test.ts, which turns keys each time.
    test.skipIf(!process.env.TEST_LONG)(
      "is replaced without any pause: all is accepted, read at once by each process, and sent once",
      async () => {
        const { ENCRYPTION_KEY: former = "" } = stack.env;
        const fleet = await startFleet(stack, {});
        const token = await run(stack.env, "token", "--sub", "ada");
        const { ids, writeAndRead } = createWriter(fleet, token);
        const writing = sendSteadily(writeAndRead);
        const witness = await run(stack.env, "audit", "checkpoint");

        await fleet.restart({ ENCRYPTION_KEYS_OLD: next }, writing);
        const both = { ENCRYPTION_KEY: next, ENCRYPTION_KEYS_OLD: former };
        await fleet.restart(both, writing);
        await run({ ...stack.env, ...both }, "keys", "rotate");
        const alone = { ENCRYPTION_KEY: next };
        await fleet.restart(alone, writing);
        await expectAll(writing, "accepted and read");

        const due = ids.flatMap((_, n) => (n % 2 === 1 ? [`subject ${n}`] : []));
        await until("what was due is sent", () => sent().length >= due.length, 10_000);
        expect(sent().sort()).toEqual(due.sort());
        const env = { ...stack.env, ...alone };
        const { keys } = JSON.parse(await run(env, "keys", "status", "--json"));
        expect(keys).toMatchObject([{ role: "current", emails: ids.length }]);
        const email = await fleet.ask(`/api/v1/status/${ids[0]}`, { headers: bearer(token) });
        expect(JSON.parse(email.text).data.subject).toBe("subject 0");
        await expectWitnessed(env, witness);
        await fleet.stop();
      },
    );

    /** A checkpoint made with the former key still proves the journal; the next has another key. */
    async function expectWitnessed(env: Record<string, string>, witness: string): Promise<void> {
      const file = join(guardedFolder("checkpoint"), "checkpoint.json");
      writeFileSync(file, witness);
      const { key } = JSON.parse(witness);
      const verify = ["audit", "verify", "--checkpoint", file, "--public-key", key];
      expect(await run(env, ...verify)).toStartWith("ok:");
      expect(JSON.parse(await run(env, "audit", "checkpoint")).key).not.toBe(key);
    }
  });
});

describe("the generated secret of tokens", () => {
  const dataDir = guardedFolder("rotate-tokens");
  const secrets = () => JSON.parse(readFileSync(join(dataDir, "secrets.json"), "utf8"));
  const rotate = (...more: string[]) => runProduct(["tokens", "rotate", ...more], { dataDir });
  const newToken = async (...more: string[]) =>
    (await runProduct(["token", "--sub", "ada", ...more], { dataDir })).output.trim();

  /** The status each token gets of a server that is started and stopped, with what more is asked. */
  async function served(tokens: string[], ask: (url: string) => Promise<void>) {
    const server = await startProduct({ dataDir });
    const ways = tokens.map((token) => server.api("GET", list, undefined, token));
    const statuses = (await Promise.all(ways)).map(({ status }) => status);
    await ask(server.url);
    await server.stop();
    return statuses;
  }

  test("is rotated while the server is stopped, and the former counts until it is forgotten", async () => {
    const early = await rotate();
    expect([early.code, early.output]).toEqual([1, expect.stringContaining("no secret in")]);
    // As a server does at its first start.
    loadOrCreateSecrets(dataDir, { encryptionKey: null, jwtSecret: null });
    const { jwt_secret: first, encryption_key } = secrets();
    const old = await newToken();
    const rotated = await rotate("--json");
    expect(JSON.parse(rotated.output)).toEqual({ rotated: true, former: 1, forgotten: 0 });
    const { jwt_secret: second } = secrets();
    expect(secrets()).toEqual({ encryption_key, jwt_secret: second, jwt_secrets_old: [first] });
    const fresh = await newToken();
    const told = await served([old, fresh], async () => {
      const { output } = await runProduct(["doctor"], { dataDir });
      expect(output).toContain("1 former secret still verifies tokens");
      const busy = await rotate("--forget");
      expect([busy.code, busy.output]).toEqual([1, expect.stringContaining("stop it first")]);
    });
    expect(told).toEqual([200, 200]);

    expect(JSON.parse((await rotate("--forget", "--json")).output)).toMatchObject({ forgotten: 1 });
    expect(secrets()).toEqual({ encryption_key, jwt_secret: second });
    const after = await served([old, fresh], async (url) => {
      const admin = await newToken("--role", "admin");
      const answer = await fetch(`${url}/api/v1/audit?limit=100`, { headers: bearer(admin) });
      const text = await answer.text();
      for (const verb of ["rotated", "forgotten"]) expect(text).toContain(`token.secret_${verb}`);
      for (const secret of [first, second]) expect(text).not.toContain(secret);
    });
    expect(after).toEqual([401, 200]);
  });
});
