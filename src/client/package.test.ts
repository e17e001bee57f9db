import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../../package.json";
import { createApp } from "../http/app.ts";
import { startTestApi, type TestApi } from "../testing/product/test-api.ts";

setDefaultTimeout(120_000);

const root = join(import.meta.dirname, "../..");
let api: TestApi;
let folder: string;
let server: ReturnType<typeof Bun.serve>;
let env: Record<string, string>;

const program = `
import { createClient, MailerError } from "taskforce-mailer-client";
const mailer = createClient({ url: process.env.URL, token: process.env.TOKEN });
const body = { recipients: ["ada@example.com"], subject: "Packed", body: "A few words." };
const { data } = await mailer.scheduleMail({ body });
let count = 0;
for await (const email of mailer.each("listEmails", { query: { limit: 1 } })) count += 1;
const code = await mailer.getStatus({ path: { id: "none" } }).catch((error) => error instanceof MailerError && error.code);
console.log(JSON.stringify({ status: data.status, hasMany: count > 0, code }));
`;

beforeAll(async () => {
  api = await startTestApi();
  const app = createApp(api.deps);
  server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: (req) => app.fetch(req) });
  const body = { name: "package", scopes: ["send", "read"] };
  const made = await api.request<{ key: string }>("POST", "/api/v1/api-keys", { body });
  env = { PATH: process.env.PATH ?? "", URL: String(server.url), TOKEN: made.json.data.key };
  folder = await mkdtemp(join(tmpdir(), "client-"));
  await run(["scripts/release", "client"], root, { PATH: env.PATH ?? "", HOME: folder });
  await Bun.write(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  await Bun.write(join(folder, "program.mjs"), program);
  const tarball = join(root, `dist/taskforce-mailer-client-${version}.tgz`);
  const npm = ["npm", "install", "--offline", "--no-audit", "--no-fund", tarball];
  await run(npm, folder, { PATH: env.PATH ?? "", HOME: folder });
});
afterAll(async () => {
  await server?.stop(true);
  await api?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

async function run(cmd: string[], cwd: string, variables: Record<string, string>): Promise<string> {
  const child = Bun.spawn(cmd, { cwd, env: variables, stdin: "ignore", stderr: "pipe" });
  const [text, fault, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${cmd.join(" ")}: ${code}\n${text}${fault}`);
  return text;
}

test.each([["node"], [process.execPath]])(
  "installed from the tarball it works in %s",
  async (runtime) => {
    const told = await run([runtime, "program.mjs"], folder, env);
    expect(JSON.parse(told)).toEqual({ status: "pending", hasMany: true, code: "not_found" });
  },
);

test("installed from the tarball its types hold, and refuse what the API would refuse", async () => {
  await Bun.write(
    join(folder, "typed.ts"),
    [
      'import { createClient, type Schemas } from "taskforce-mailer-client";',
      'const mailer = createClient({ url: "http://localhost" });',
      'const email: Schemas["Email"] = { subject: "x", recipients: ["ada@example.com"] };',
      "const { data } = await mailer.scheduleMail({ body: email });",
      'if ("id" in data) console.log(data.id.toUpperCase());',
      "// @ts-expect-error a misspelt field",
      'await mailer.scheduleMail({ body: { subject: "x", schedule_at: "2030-01-04T09:00:00Z" } });',
      "// @ts-expect-error the path needs its id",
      "await mailer.getStatus({});",
      "",
    ].join("\n"),
  );
  const tsc = join(root, "node_modules/typescript/lib/tsc.js");
  const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"];
  await run([process.execPath, tsc, ...options, "typed.ts"], folder, env);
});

test("it has no dependencies", async () => {
  const text = await Bun.file(
    join(folder, "node_modules/taskforce-mailer-client/package.json"),
  ).text();
  expect(Object.keys(JSON.parse(text)).filter((name) => /dependencies/i.test(name))).toEqual([]);
});
