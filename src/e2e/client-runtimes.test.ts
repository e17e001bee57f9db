import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { version } from "../../package.json";
import { launchBrowser, visit } from "../testing/product/browser.ts";
import { guardedFolder, type Product, startProduct } from "../testing/product/product.ts";

setDefaultTimeout(180_000);

const root = join(import.meta.dirname, "../..");
const folder = guardedFolder("client-runtimes");
const packed = join(folder, "node_modules/taskforce-mailer-client");

/** `scripts/test` brings it into .cache; `npm install` of ours does not, since it has 92 MB. */
const deno = [`${root}/.cache/deno/deno`, Bun.which("deno") ?? ""].find((one) => existsSync(one));

let product: Product;
let token: string;
beforeAll(async () => {
  product = await startProduct();
  token = await product.token("ada");
  const env = { PATH: process.env.PATH ?? "", HOME: folder };
  await run(["scripts/release", "client"], root, env);
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  const tarball = join(root, `dist/taskforce-mailer-client-${version}.tgz`);
  await run(["npm", "install", "--offline", "--no-audit", "--no-fund", tarball], folder, env);
  const main = `import { exercise } from "./exercise.mjs";
console.log(JSON.stringify(await exercise(process.env.URL, process.env.TOKEN)));\n`;
  writeFileSync(join(folder, "main.mjs"), main);
  writeFileSync(join(folder, "exercise.mjs"), exercise("taskforce-mailer-client"));
});
afterAll(() => product?.kill());

async function run(cmd: string[], cwd: string, env: Record<string, string>): Promise<string> {
  const child = Bun.spawn(cmd, { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [text, fault, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${cmd.join(" ")}: ${code}\n${text}${fault}`);
  return text;
}

/** Every kind of call that the client has, as a module of whatever runs it. */
const exercise = (specifier: string) => `
import { createClient, MailerError } from ${JSON.stringify(specifier)};

export async function exercise(url, token) {
  const mailer = createClient({ url, token });
  const tag = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  const body = {
    recipients: ["Ada <ada@example.com>"],
    subject: "Grüße",
    body: "A few words.",
    scheduled_at: "2035-01-01T00:00:00Z",
    tags: [tag],
  };
  const { data } = await mailer.scheduleMail({ body });
  const twice = { body, idempotencyKey: tag };
  const first = await mailer.scheduleMail(twice);
  const again = await mailer.scheduleMail(twice);
  const subjects = [];
  for await (const email of mailer.each("listEmails", { query: { limit: 1, tag } })) {
    subjects.push(email.subject);
  }
  const raw = new TextDecoder().decode(await mailer.getRawMessage({ path: { id: data.id } }));
  const types = [];
  for await (const event of mailer.follow({ tag, after: "0" })) {
    types.push(event.type);
    if (types.length === 2) break;
  }
  const patched = await mailer.updateEmail({ path: { id: data.id }, body: { subject: "x" }, ifMatch: '"1"' });
  const conflict = await mailer
    .updateEmail({ path: { id: data.id }, body: { subject: "y" }, ifMatch: '"1"' })
    .catch((error) => error);
  const { data: cancelled } = await mailer.cancelEmail({ path: { id: data.id } });
  return {
    status: data.status,
    isOnce: first.data.id === again.data.id,
    subjects,
    isMessage: raw.includes("To: Ada <ada@example.com>"),
    types,
    version: patched.data.version,
    conflict: conflict instanceof MailerError && [conflict.code, conflict.status],
    cancelled: cancelled.status,
  };
}
`;

const expected = {
  status: "pending",
  isOnce: true,
  subjects: ["Grüße", "Grüße"],
  isMessage: true,
  types: ["email.scheduled", "email.scheduled"],
  version: 2,
  conflict: ["version_mismatch", 412],
  cancelled: "cancelled",
};

const given = () => ({
  PATH: process.env.PATH ?? "",
  HOME: folder,
  URL: product.url,
  TOKEN: token,
});

test.each([["node"], [process.execPath]])("the packed client works in %s", async (runtime) => {
  expect(JSON.parse(await run([runtime, "main.mjs"], folder, given()))).toEqual(expected);
});

test.skipIf(deno === undefined)(
  "the packed client works in Deno, which may use the net alone",
  async () => {
    const { host } = new URL(product.url);
    const allowed = [`--allow-net=${host}`, "--allow-env=URL,TOKEN", "--no-prompt"];
    const command = [deno ?? "", "run", ...allowed, "--node-modules-dir=manual", "main.mjs"];
    const env = { ...given(), DENO_DIR: join(folder, "deno"), NO_COLOR: "1" };
    expect(JSON.parse(await run(command, folder, env))).toEqual(expected);
  },
);

test("the packed client works in a browser, as modules that nobody has bundled", async () => {
  const browser = await launchBrowser();
  const { page, faults, close } = await visit(browser);
  // A program's own pages, at the address that the API has for them.
  const module = exercise("./client/index.js");
  await page.route(`${product.url}/program/**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    const name = basename(pathname);
    const contentType = name.endsWith(".js") ? "text/javascript" : "text/html";
    const sources: Record<string, string> = {
      "index.html": "<!doctype html>",
      "exercise.js": module,
    };
    const body = sources[name] ?? readFileSync(join(packed, name), "utf8");
    await route.fulfill({ contentType, body });
  });
  await page.goto(`${product.url}/program/index.html`);
  const told = await page.evaluate(
    async ([url, credential]) => {
      const path = "/program/exercise.js";
      const { exercise } = await import(path);
      return await exercise(url, credential);
    },
    [product.url, token],
  );
  expect(told).toEqual(expected);
  // The one failure that was asked for.
  expect(faults.filter((fault) => !/412/.test(fault))).toEqual([]);
  await close();
  await browser.close();
});
