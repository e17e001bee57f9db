import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeTestCertificate } from "../testing/fixtures/test-certificate.ts";
import { commands, runCommandLine } from "./commands.ts";
import { tokenVariable, urlVariable } from "./remote/connect.ts";

setDefaultTimeout(60_000);

const certificate = makeTestCertificate();
const eventId = "01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10";
const event = {
  type: "email.sent",
  timestamp: "2030-01-04T08:00:00.412Z",
  data: { email_id: eventId, sequence: 1, status: "sent", tags: [], metadata: {} },
};

let folder: string;
let here: Asked;
let elsewhere: Asked;
let secure: Asked;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "elsewhere-"));
  await Bun.write(join(folder, "mails.csv"), "to,subject,body\nada@example.com,Hello,Words\n");
  await Bun.write(join(folder, "ca.pem"), certificate.ca);
  here = serve();
  elsewhere = serve();
  secure = serve({ cert: certificate.cert, key: certificate.key });
  // What a command without an address would find.
  const found = { url: here.url, pid: process.pid };
  await Bun.write(join(folder, "server.json"), JSON.stringify(found));
});
beforeEach(() => {
  for (const server of [here, elsewhere, secure]) server.asked.length = 0;
});
afterAll(async () => {
  for (const server of [here, elsewhere, secure]) await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Asked {
  url: string;
  /** The credential of each request. */
  asked: (string | null)[];
  stop(): Promise<void>;
}

/** Has one event for `Bearer good`, and refuses everybody else. */
function serve(tls?: { cert: string; key: string }): Asked {
  const asked: (string | null)[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    ...(tls && { tls }),
    fetch(req) {
      const credential = req.headers.get("authorization");
      asked.push(credential);
      if (credential !== "Bearer good") {
        const body = { code: "unauthorized", detail: "refused for the test" };
        return Response.json(body, { status: 401 });
      }
      if (req.headers.get("accept") !== "text/event-stream") {
        const page = { limit: 1, next_cursor: null };
        return Response.json({ success: true, data: [{ id: "7", ...event }], page });
      }
      const frame = `id: 8\nevent: email.sent\ndata: ${JSON.stringify(event)}\n\n`;
      const body = new ReadableStream({ start: (stream) => stream.enqueue(frame) });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    },
  });
  const url = String(server.url);
  return { url, asked, stop: async () => await server.stop(true) };
}

async function run(args: string[], env: Record<string, string>) {
  const written = { stdout: "", stderr: "" };
  const writer = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const io = {
    stdout: writer("stdout"),
    stderr: writer("stderr"),
    isTty: false,
    env: { DATA_DIR: folder, JWT_SECRET: "a secret of enough length", ...env },
  };
  const failed = (error: unknown) => {
    written.stderr += (error as Error).message;
    return 1;
  };
  return { code: await runCommandLine(args, io).catch(failed), ...written };
}

/** Each command that can ask a server elsewhere, with what it needs to ask anything at all. */
const asking: Record<string, () => string[]> = {
  send: () => ["--to", "ada@example.com", "--subject", "Hello", "--body", "Words"],
  list: () => [],
  show: () => [eventId],
  cancel: () => ["--tag", "campaign"],
  import: () => [join(folder, "mails.csv")],
  tail: () => [],
  listen: () => [],
  trigger: () => ["email.sent"],
};

describe("every command with --url", () => {
  test("is among these", () => {
    const named = commands.filter(({ usage }) => usage.includes("--url")).map(({ name }) => name);
    expect(named.toSorted()).toEqual(Object.keys(asking).toSorted());
  });

  test.each(Object.keys(asking))("%s asks the server of the variables", async (name) => {
    const args = [name, ...(asking[name]?.() ?? [])];
    const env = { [urlVariable]: elsewhere.url, [tokenVariable]: "elsewhere" };
    const { code, stderr } = await run(args, env);
    expect([code, stderr]).toEqual([1, expect.stringContaining("refused for the test")]);
    expect(new Set(elsewhere.asked)).toEqual(new Set(["Bearer elsewhere"]));
    expect(here.asked).toEqual([]);
  });

  test.each(Object.keys(asking))("%s: --url wins over the variable", async (name) => {
    const args = [name, ...(asking[name]?.() ?? []), "--url", elsewhere.url];
    await run(args, { [urlVariable]: here.url, [tokenVariable]: "elsewhere" });
    expect(new Set(elsewhere.asked)).toEqual(new Set(["Bearer elsewhere"]));
    expect(here.asked).toEqual([]);
  });

  test.each(["listen", "trigger"])("%s: --token wins over the variable", async (name) => {
    const args = [name, ...(asking[name]?.() ?? []), "--token", "mine"];
    await run(args, { [urlVariable]: elsewhere.url, [tokenVariable]: "elsewhere" });
    expect(new Set(elsewhere.asked)).toEqual(new Set(["Bearer mine"]));
  });

  test.each(Object.keys(asking))("%s asks the server of this machine otherwise", async (name) => {
    // Empty counts as unset, and browsers' address is not the way from here.
    const env = { [urlVariable]: "", [tokenVariable]: "", PUBLIC_URL: elsewhere.url };
    await run([name, ...(asking[name]?.() ?? [])], env);
    expect(here.asked[0]).toStartWith("Bearer ey");
    expect(elsewhere.asked).toEqual([]);
  });

  test.each(Object.keys(asking))("%s sends no token of this machine elsewhere", async (name) => {
    const { code, stderr } = await run([name, ...(asking[name]?.() ?? [])], {
      [urlVariable]: elsewhere.url,
    });
    expect([code, stderr]).toEqual([2, expect.stringContaining(`${tokenVariable} must hold`)]);
    expect(elsewhere.asked).toEqual([]);
  });

  test.each(["ftp://mail.example.com", "mail.example.com", "https://"])(
    "%s is no address for any of them",
    async (url) => {
      for (const name of Object.keys(asking)) {
        const args = [name, ...(asking[name]?.() ?? []), "--url", url];
        const { code, stderr } = await run(args, { [tokenVariable]: "good" });
        expect([name, code, stderr]).toEqual([
          name,
          2,
          expect.stringContaining("--url must be an address such as https://mail.example.com"),
        ]);
      }
    },
  );

  test("public/docs/configuration.md names the variables", async () => {
    const path = join(import.meta.dirname, "../../public/docs/configuration.md");
    const page = await Bun.file(path).text();
    for (const name of [urlVariable, tokenVariable]) expect(page).toContain(`| \`${name}\` |`);
  });
});

test("whose emails: a credential says it, so that no option may say otherwise", async () => {
  const env = { [urlVariable]: elsewhere.url, [tokenVariable]: "good" };
  for (const args of [
    ["trigger", "email.sent", "--owner", "ada"],
    ["list", "--sub", "ada"],
  ]) {
    for (const given of [env, { [tokenVariable]: "good" }]) {
      const { code, stderr } = await run(args, given);
      expect([code, stderr]).toEqual([2, expect.stringMatching(/^\w+: --(owner|sub) is /)]);
    }
  }
  expect([...here.asked, ...elsewhere.asked]).toEqual([]);
});

/** The program itself: authorities are read when it starts. */
async function follow(name: string, url: string, env: Record<string, string> = {}) {
  const main = join(import.meta.dirname, "../main.ts");
  const child = Bun.spawn([process.execPath, main, name, "--json"], {
    env: {
      ...{ PATH: process.env.PATH ?? "", DATA_DIR: folder },
      ...{ [urlVariable]: url, [tokenVariable]: "good", ...env },
    },
    stdout: "pipe",
    stderr: "pipe",
  });
  return child;
}

describe.each(["listen", "tail"])("%s at an https server", (name) => {
  test("hears of what happens", async () => {
    const child = await follow(name, secure.url, { NODE_EXTRA_CA_CERTS: join(folder, "ca.pem") });
    const { value } = await child.stdout.getReader().read();
    child.kill();
    await child.exited;
    expect(JSON.parse(new TextDecoder().decode(value))).toEqual({ id: "8", ...event });
    expect(new Set(secure.asked)).toEqual(new Set(["Bearer good"]));
  });

  test("whose certificate is not trusted it ends, and says so", async () => {
    const child = await follow(name, secure.url);
    expect(await child.exited).toBe(1);
    const said = await new Response(child.stderr).text();
    expect(said).toMatch(/cannot be asked: .*certificate.*; NODE_EXTRA_CA_CERTS may name/);
    expect(said.trim().split("\n")).toHaveLength(1);
    expect(secure.asked).toEqual([]);
  });

  test("which speaks no TLS it ends, and says so", async () => {
    const child = await follow(name, here.url.replace("http:", "https:"));
    expect(await child.exited).toBe(1);
    expect(await new Response(child.stderr).text()).toContain("cannot be asked: ");
  });
});

test("listen goes on while the server is away, and waits longer each time", async () => {
  const child = await follow("listen", "http://127.0.0.1:1");
  let said = "";
  for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
    said += chunk;
    if (said.split("\n").length > 3) break;
  }
  child.kill();
  await child.exited;
  const waits = [...said.matchAll(/^listen: .* does not answer: .*again in ([\d.]+) s$/gm)];
  expect(waits.slice(0, 3).map(([, seconds]) => seconds)).toEqual(["0.25", "0.5", "1"]);
});
