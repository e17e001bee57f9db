import { afterAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { loadConfig } from "../config.ts";
import { readFly, type Settings } from "../testing/product/deployment-files.ts";
import { readImage } from "../testing/product/dockerfile.ts";
import { privateFolder } from "../testing/servers/child-server.ts";

setDefaultTimeout(60_000);

const root = resolve(import.meta.dir, "../..");
const folder = privateFolder("fly");
const file = join(folder, ".env.fly");
const log = join(folder, "calls");
const apps = join(folder, "apps");
const redises = join(folder, "redises");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Stands in for flyctl: keeps apps and Redises in files, and writes down what it was asked. */
const standIn = `#!/bin/bash
cd ${folder}
printf '%s\\n' "$*" >> calls
[ -n "$FLY_FAILS" ] && [ "$1 $2" = "$FLY_FAILS" ] && exit 1
case "$1 $2" in
  "apps list") printf '['; sed 's/.*/{"Name":"&"}/' apps | paste -sd,; printf ']' ;;
  "apps create") echo "$3" >> apps ;;
  "apps destroy") sed -i "/^$3$/d" apps ;;
  "redis list") sed 's/^/ id\\t/; s/$/\\torg\\tPay-as-you-go/' redises ;;
  "redis create") echo "$4" >> redises ;;
  "redis status") printf 'Redis\\n  Private URL    = redis://default:secret@fly-%s.upstash.io:6379\\n' "$3" ;;
  "redis destroy") sed -i "/^$3$/d" redises ;;
  "secrets import") cat > "secrets-$4" ;;
esac
`;

beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "flyctl"), standIn, { mode: 0o755 });
  for (const path of [log, apps, redises]) writeFileSync(path, "someone-elses\n");
});

async function fly(args: string[], env: Settings = {}) {
  const child = Bun.spawn(["bash", join(root, "scripts/fly"), ...args], {
    cwd: folder,
    env: { PATH: `${folder}:${process.env.PATH}`, HOME: process.env.HOME ?? "", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out, output: out + err };
}

/** What flyctl was asked since the last time, but for questions. */
function calls(): string[] {
  const lines = readFileSync(log, "utf8").trim().split("\n").slice(1);
  writeFileSync(log, "someone-elses\n");
  return lines.filter((line) => !/^(apps list|redis list|redis status)/.test(line));
}

const awkward = 'p@ss "word" $x#y\\';

/** As somebody fills it in. */
async function fillIn(): Promise<void> {
  expect((await fly(["init"])).code).toBe(0);
  const given: Settings = {
    DATABASE_URL: "postgresql://mailer:secret@mailer-db.flycast:5432/mailer",
    SMTP_HOST: "smtp.example.com",
    SMTP_USER: "mailer@example.com",
    SMTP_PASS: `'${awkward}'`,
    SMTP_FROM: "no-reply@example.com",
  };
  const text = readFileSync(file, "utf8").replaceAll(/^(\w+)=$/gm, (line, name) => {
    return given[name] === undefined ? line : `${name}=${given[name]}`;
  });
  writeFileSync(file, text);
}

/** As `flyctl secrets import` reads its input. */
function secretsOf(app: string): Settings {
  const text = readFileSync(join(folder, `secrets-${app}`), "utf8");
  return Object.fromEntries(
    text
      .trim()
      .split("\n")
      .map((line) => {
        const at = line.indexOf("=");
        return [line.slice(0, at), line.slice(at + 1).replace(/^"(.*)"$/, "$1")];
      }),
  );
}

describe("scripts/fly", () => {
  test("writes a settings file with fresh keys, for its owner alone, and none over another", async () => {
    expect((await fly(["init"])).code).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const first = readFileSync(file, "utf8");
    expect(first).toMatch(/^ENCRYPTION_KEY=[0-9a-f]{64}$/m);
    const again = await fly(["init"]);
    expect([again.code, again.output]).toEqual([2, expect.stringContaining("there already")]);
    expect(readFileSync(file, "utf8")).toBe(first);
  });

  test("makes nothing while a setting is missing or wrong, and names it", async () => {
    expect((await fly(["add", "fra"])).output).toContain("run `scripts/fly init`");
    await fly(["init"]);
    const empty = await fly(["add", "fra"]);
    expect([empty.code, empty.output]).toEqual([1, expect.stringContaining("SMTP_HOST")]);
    await fillIn().catch(() => undefined);
    writeFileSync(file, `${readFileSync(file, "utf8")}REDIS_URL=redis://x:6379\n`);
    expect((await fly(["add", "fra"])).output).toContain("REDIS_URL is set for each region");
    expect(calls()).toEqual([]);
  });

  test("adds the first region and another one, each with its Redis, and starts as fly.toml says", async () => {
    await fillIn();
    for (const region of ["fra", "ams"]) {
      const { code, output } = await fly(["add", region, "--org", "acme"]);
      const app = `taskforce-mailer-${region}`;
      expect([output, code]).toEqual([expect.stringContaining(`${app}.fly.dev/health`), 0]);
      const where = `--name ${app} --region ${region} --org acme`;
      expect(calls()).toEqual([
        `apps create ${app} --org acme`,
        `redis create ${where} --no-replicas --disable-eviction`,
        `secrets import --app ${app} --stage`,
        `deploy --app ${app} --primary-region ${region} --ha=false`,
      ]);
      const secrets = secretsOf(app);
      const env = { ...readImage().env, ...readFly().env, ...secrets, FLY_REGION: region };
      const config = loadConfig(env);
      expect(config.warnings).toEqual([]);
      expect(config).toMatchObject({
        region,
        http: { publicUrl: `https://${app}.fly.dev`, trustProxy: { kind: "fly" } },
        transport: { pass: awkward },
        queue: { place: { url: `redis://default:secret@fly-${app}.upstash.io:6379` } },
      });
    }
    const [fra, ams] = ["fra", "ams"].map((region) => secretsOf(`taskforce-mailer-${region}`));
    expect(fra?.ENCRYPTION_KEY).toBe(ams?.ENCRYPTION_KEY ?? "");
    expect((await fly(["regions"])).out).toBe("ams\nfra\n");
  });

  test("goes on where it stopped", async () => {
    await fillIn();
    const failed = await fly(["add", "fra"], { FLY_FAILS: "secrets import" });
    expect([failed.code, failed.output]).toEqual([1, expect.stringContaining("ended with 1")]);
    calls();
    expect((await fly(["add", "fra"])).code).toBe(0);
    expect(calls().map((line) => line.split(" ", 2).join(" "))).toEqual([
      "secrets import",
      "deploy --app",
    ]);
  });

  test("deploys and gives secrets to every region in turn, and stops at a fault", async () => {
    await fillIn();
    for (const region of ["fra", "ams"]) await fly(["add", region]);
    calls();
    expect((await fly(["deploy"])).code).toBe(0);
    expect(calls()).toEqual([
      "deploy --app taskforce-mailer-ams --primary-region ams --ha=false",
      "deploy --app taskforce-mailer-fra --primary-region fra --ha=false",
    ]);
    writeFileSync(file, readFileSync(file, "utf8").replace("smtp.example", "smtp2.example"));
    expect((await fly(["secrets"])).code).toBe(0);
    expect(calls()).toEqual([
      "secrets import --app taskforce-mailer-ams --stage",
      "secrets deploy --app taskforce-mailer-ams",
      "secrets import --app taskforce-mailer-fra --stage",
      "secrets deploy --app taskforce-mailer-fra",
    ]);
    expect(secretsOf("taskforce-mailer-fra").SMTP_HOST).toBe("smtp2.example.com");
    expect((await fly(["deploy"], { FLY_FAILS: "deploy --app" })).code).toBe(1);
    expect(calls()).toHaveLength(1);
  });

  test("removes a region once it is drained, only when it is meant, and no other app", async () => {
    await fillIn();
    for (const region of ["fra", "ams"]) await fly(["add", region]);
    calls();
    expect((await fly(["remove", "ams"])).code).toBe(2);
    expect((await fly(["remove", "lhr", "--yes"])).output).toContain("no app");
    expect(calls()).toEqual([]);
    const { code, output } = await fly(["remove", "ams", "--yes", "--wait", "0"]);
    expect([output, code]).toEqual([expect.stringContaining("until the other regions send"), 0]);
    expect(calls()).toEqual([
      "scale count 0 --app taskforce-mailer-ams --yes",
      "apps destroy taskforce-mailer-ams --yes",
      "redis destroy taskforce-mailer-ams --yes",
    ]);
    expect((await fly(["regions"])).out).toBe("fra\n");
    expect((await fly(["remove", "fra", "--yes"])).output).toContain("the last region");
    expect(readFileSync(apps, "utf8")).toBe("someone-elses\n");
  });

  test("shows no secret to the list of processes, and says what it is for", async () => {
    await fillIn();
    await fly(["add", "fra"]);
    expect(readFileSync(log, "utf8")).not.toContain(awkward);
    expect(readFileSync(log, "utf8")).not.toMatch(/[0-9a-f]{64}/);
    expect(await fly(["--help"])).toMatchObject({ code: 0 });
    for (const wrong of [[], ["fly"], ["add"], ["add", "Frankfurt"], ["--what"]]) {
      expect((await fly(wrong)).code).toBe(2);
    }
    expect(existsSync(file)).toBe(true);
  });
});
