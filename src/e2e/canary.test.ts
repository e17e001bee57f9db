import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { emailRequest, inMs, schedule, statusOf } from "../testing/product/email-requests.ts";
import { type Product, runProduct } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { dumpPostgres, dumpRedis, watchRedis } from "../testing/servers/dump.ts";
import { replyAt } from "../testing/servers/smtp-sink-rules.ts";

setDefaultTimeout(60_000);

// Words nobody else uses. None of them may be seen outside the process, in any dress.
const canaries = {
  recipient: "canary.recipient.7q2x@example.test",
  recipientName: "Canaryname Q7wz",
  subject: "canary subject 5k8p",
  body: "canary body 3m1v",
  filename: "canary-file-9t4r.txt",
  attachment: "canary attachment 6h2n",
  header: "canary-header-8d5j",
  jwtSecret: "canary-jwt-secret-4f9c",
  formerJwtSecret: "canary-former-jwt-5g8w",
  encryptionKey: "canary encryption key 2b7g and some length",
  smtpPass: "canary-smtp-pass-1y6s",
  databasePass: "canary-database-pass-0l3e",
};

/** As it is, as hex (`bytea` in a dump), and as base64 at each of the three offsets. */
function dresses(word: string): string[] {
  const bytes = Buffer.from(word);
  const shifted = [0, 1, 2].map((pad) => {
    const text = Buffer.concat([Buffer.alloc(pad, 120), bytes]).toString("base64");
    // Its first and last characters also depend on the neighbours.
    return text.slice(pad === 0 ? 0 : 4, -4);
  });
  return [word, encodeURIComponent(word), bytes.toString("hex"), ...shifted];
}

function expectNoCanary(text: string, place: string): void {
  for (const [name, word] of Object.entries(canaries)) {
    for (const dress of dresses(word)) {
      const at = text.toLowerCase().indexOf(dress.toLowerCase());
      const around = at < 0 ? null : text.slice(Math.max(0, at - 200), at + 200);
      expect({ place, name, around }).toEqual({ place, name, around: null });
    }
  }
}

describe("what must stay inside", () => {
  let stack: ProductionStack;
  let product: Product;
  let redisTraffic: Awaited<ReturnType<typeof watchRedis>>;
  const outputs: string[] = [];

  beforeAll(async () => {
    stack = await startStack({
      sink: { auth: { user: "mailer@example.test", pass: canaries.smtpPass } },
      env: {
        LOG_LEVEL: "trace",
        JWT_SECRET: canaries.jwtSecret,
        JWT_SECRETS_OLD: canaries.formerJwtSecret,
        ENCRYPTION_KEY: canaries.encryptionKey,
        SMTP_USER: "mailer@example.test",
        SMTP_PASS: canaries.smtpPass,
        SMTP_TLS: "off",
      },
    });
    // The tests' server trusts everybody, so any password will do.
    const url = new URL(stack.databaseUrl);
    url.password = canaries.databasePass;
    redisTraffic = await watchRedis(stack.redis.url);
    product = await stack.start({ DATABASE_URL: url.href });
  });
  afterAll(async () => {
    redisTraffic?.close();
    await stack?.close();
  });

  const email = {
    recipients: [`${canaries.recipientName} <${canaries.recipient}>`],
    subject: canaries.subject,
    body: canaries.body,
    headers: { "X-Canary": canaries.header },
    attachments: [
      {
        filename: canaries.filename,
        content: Buffer.from(canaries.attachment).toString("base64"),
        contentType: "text/plain",
      },
    ],
  };

  test("an email's whole life leaves none of its content or our secrets in logs, Redis or the database", async () => {
    const sent = await schedule(product, email);
    await statusOf(product, sent);
    stack.sink.setRules(
      replyAt("rcpt", `550 5.1.1 <${canaries.recipient}> is unknown here`, { times: 1 }),
    );
    const failed = await schedule(product, email);
    const letter = await statusOf(product, failed, ["failed"]);
    // Its owner sees the reply, quoted address and all; only the outside must not.
    expect(letter.recipients[0]?.reply).toContain(canaries.recipient);
    const pending = await schedule(product, { ...email, scheduled_at: inMs(3_600_000) });
    await product.api("DELETE", `/api/v1/cancel/${pending}`);
    await schedule(product, { ...email, scheduled_at: inMs(3_600_000) });

    // Faults in a request must not be logged with the request's words either.
    const faulty = [
      { ...email, recipients: [`${canaries.recipient}, two@example.test`] },
      { ...email, [canaries.header]: canaries.body },
      { ...email, headers: { "X-Bad": `${canaries.header}\r\nBcc: x@example.test` } },
      { ...email, scheduled_at: canaries.subject },
    ];
    for (const body of faulty) {
      const answer = await product.api("POST", "/api/v1/schedule-mail", emailRequest(body));
      expect(answer.status).toBe(422);
    }
    const search = `/api/v1/scheduled-emails?recipient=${encodeURIComponent(canaries.recipient)}`;
    await product.api("GET", search);

    const token = await product.token("ada");
    const inRedis = await dumpRedis(stack.redis.url);
    await product.stop();
    outputs.push(product.output());

    expect(outputs.join("").length).toBeGreaterThan(200);
    expectNoCanary(outputs.join(""), "output");
    expect(outputs.join("")).not.toContain(token);
    expect(redisTraffic.text().length).toBeGreaterThan(200);
    expectNoCanary(redisTraffic.text(), "Redis traffic");
    expectNoCanary(inRedis, "Redis");
    const dump = await dumpPostgres(stack.databaseUrl);
    expect(dump).toContain(sent);
    expectNoCanary(dump, "database dump");
  });

  test("neither do changes, replays, searches, keys and looks at the works, those that fail included", async () => {
    const server = await stack.start();
    const later = { scheduled_at: inMs(3_600_000) };
    const said: string[] = [];
    const call = async (method: string, path: string, body?: unknown, as = "ada") => {
      const { status, text } = await server.api(method, `/api/v1${path}`, body, as);
      said.push(`${method} ${path} ${status}`);
      return { status, text };
    };
    // What a person types into an edit, fit or not.
    const pending = await schedule(server, { ...later, recipients: ["bob@example.test"] });
    const { recipients, subject, body, headers, attachments } = email;
    const edits: [unknown, number][] = [
      [{ recipients, subject, body, headers, attachments }, 200],
      [{ html_body: canaries.body }, 200],
      [{ reply_to: canaries.recipient }, 200],
      [{ from: canaries.recipient, subject }, 200],
      [{ recipients: [`${canaries.recipient} ${canaries.recipient}`] }, 422],
      [{ [canaries.header]: canaries.body }, 422],
      [{ subject: `${canaries.subject}\r\nBcc: ${canaries.recipient}` }, 422],
      [`{"subject": "${canaries.subject}`, 422],
    ];
    for (const [edit, status] of edits) {
      const answer = await call("PATCH", `/emails/${pending}`, edit);
      expect([answer.status, answer.text]).toEqual([status, answer.text]);
    }
    for (const step of ["hold", "release"]) await call("POST", `/emails/${pending}/${step}`);
    for (const part of ["", "/raw", "/attachments/0", "/events"]) {
      expect((await call("GET", `/emails/${pending}${part}`)).status).toBe(200);
    }

    // Dead letters: grouped, searched, replayed one by one and in bulk, and shredded.
    const refusal = `550 5.1.1 <${canaries.recipient}> is unknown: ${canaries.subject}`;
    stack.sink.setRules(replyAt("rcpt", refusal, { times: 4 }));
    const failed = await Promise.all([1, 2, 3].map(() => schedule(server, email)));
    for (const id of failed) await statusOf(server, id, ["failed"]);
    const [one, two, three] = failed;
    const groups = await call("GET", "/dead-letters/groups");
    expect(groups.text).toContain(canaries.subject);
    await call("POST", `/dead-letters/${one}/replay`, { subject: canaries.subject, body });
    await statusOf(server, String(one), ["failed"]);
    const domain = canaries.recipient.slice(canaries.recipient.indexOf("@") + 1);
    const bulk = { filter: { ids: [two], domain } };
    expect((await call("POST", "/dead-letters/replay", bulk)).status).toBe(202);
    await statusOf(server, String(two));
    await call("POST", "/dead-letters/replay", { filter: { domain: canaries.recipient } });
    await call("POST", "/cancel", { tag: canaries.recipient, dry_run: true });
    expect((await call("DELETE", `/emails/${three}/content`)).status).toBe(200);
    const searches = ["scheduled-emails?recipient=", "scheduled-emails?cursor=", "dead-letters?x="];
    for (const path of searches) {
      await call("GET", `/${path}${encodeURIComponent(canaries.recipient)}`);
    }
    await call("GET", `/status/${encodeURIComponent(canaries.subject)}`);
    await call("GET", `/${encodeURIComponent(canaries.subject)}`);
    await call("POST", "/schedule-mail?dry_run=true", emailRequest(email));
    await call("POST", "/schedule-mail/batch", { emails: [email, { ...email, to: "x" }] });
    await call("POST", "/test-email", { to: canaries.recipient });

    // An API key is shown once, to whoever made it.
    const admin = await server.token("root", "admin");
    const made = await server.api<{ id: string; key: string }>("POST", "/api/v1/api-keys", {
      name: "a key",
      scopes: ["read"],
    });
    const { key } = made.body.data;
    const bearer = { headers: { authorization: `Bearer ${key}` } };
    expect((await fetch(`${server.url}/api/v1/scheduled-emails`, bearer)).status).toBe(200);
    const wrong = { headers: { authorization: `Bearer ${key}x` } };
    expect((await fetch(`${server.url}/api/v1/scheduled-emails`, wrong)).status).toBe(401);

    // What an operator looks at.
    const asAdmin = { headers: { authorization: `Bearer ${admin}` } };
    const metrics = await (await fetch(`${server.url}/metrics`, asAdmin)).text();
    const doctor = await runProduct(["doctor", "--json"], { env: stack.env });
    const keys = await runProduct(["keys", "rotate", "--json"], { env: stack.env });
    const status = await runProduct(["keys", "status"], { env: stack.env });
    const health = await (await fetch(`${server.url}/health`)).text();
    expect(metrics).toContain("# HELP");
    expect([keys.code, status.code]).toEqual([0, 0]);
    const shown = [metrics, doctor.output, keys.output, status.output, health];
    const inRedis = await dumpRedis(stack.redis.url);
    const logged = server.output();
    // SIGABRT, as a runtime that crashes ends itself.
    process.kill(server.pid, "SIGABRT");
    await server.exited;
    const lastWords = server.output();

    expect(logged.length).toBeGreaterThan(2_000);
    expect(said.length).toBeGreaterThan(25);
    const dump = await dumpPostgres(stack.databaseUrl);
    expect(dump).toContain(String(one));
    const traffic = redisTraffic.text();
    const places = { lastWords, shown: shown.join("\n"), traffic, inRedis, dump };
    for (const [place, text] of Object.entries(places)) {
      expectNoCanary(text, place);
      expect({ place, hasKey: text.includes(key) }).toEqual({ place, hasKey: false });
      expect({ place, hasToken: text.includes(admin) }).toEqual({ place, hasToken: false });
    }
  });

  test("a configuration fault names the variable and never shows a secret", async () => {
    const { code, output } = await runProduct(["serve"], {
      env: {
        ...stack.env,
        SMTP_PORT: "ninety",
        JWT_SECRET: "short-jwt",
        ENCRYPTION_KEY: "short-key",
      },
    });
    expect(code).not.toBe(0);
    for (const name of ["SMTP_PORT", "JWT_SECRET", "ENCRYPTION_KEY"])
      expect(output).toContain(name);
    expect(output).not.toContain("short-");
  });

  test("the search itself would find a canary", () => {
    const hex = Buffer.from(`before ${canaries.body} after`).toString("hex");
    const base64 = Buffer.from(`x ${canaries.subject} y`).toString("base64");
    expect(() => expectNoCanary(hex, "here")).toThrow();
    expect(() => expectNoCanary(base64, "here")).toThrow();
  });
});
