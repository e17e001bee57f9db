import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";

/**
 * The deployment files as the programs that take them understand them: the Dockerfile as far as
 * ours goes, the compose file with its variables filled in, fly.toml. A key that is misspelt or not
 * expected there is an error here.
 */

export const checkout = resolve(import.meta.dir, "../../..");

export type Settings = Record<string, string>;

const command = z.array(z.string());
const dependencies = z.record(
  z.string(),
  z.strictObject({
    condition: z.enum(["service_started", "service_healthy", "service_completed_successfully"]),
  }),
);
const healthcheck = z.union([
  z.strictObject({ disable: z.literal(true) }),
  z.strictObject({
    test: command,
    interval: z.string(),
    timeout: z.string(),
    retries: z.number(),
    start_period: z.string().optional(),
  }),
]);

const composeService = z.strictObject({
  image: z.string(),
  build: z.string().optional(),
  command,
  env_file: z.literal(".env.production"),
  environment: z.record(z.string(), z.string()).default({}),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()),
  depends_on: dependencies.default({}),
  healthcheck: healthcheck.optional(),
  restart: z.enum(["no", "unless-stopped"]),
  stop_grace_period: z.string(),
  read_only: z.boolean().default(false),
  tmpfs: z.string().optional(),
  cap_drop: z.array(z.string()).default([]),
  security_opt: z.array(z.string()).default([]),
  shm_size: z.string().optional(),
  mem_limit: z.string(),
  pids_limit: z.number(),
  logging: z.strictObject({ driver: z.string() }),
});
export type ComposeService = z.infer<typeof composeService>;

const composeFile = z.object({
  services: z.record(z.string(), composeService),
  volumes: z.record(z.string(), z.null()),
});

/** In Coolify's own form, a list: a name alone in it is for Coolify and has no value. */
const environmentList = z
  .array(z.string().regex(/^[A-Z]\w*(=.*)?$/))
  .default([])
  .transform((lines): Settings => {
    const pairs = lines.filter((line) => line.includes("="));
    return Object.fromEntries(
      pairs.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
  });

const coolifyFile = z.strictObject({
  "x-logging": z.unknown(),
  services: z.record(
    z.string(),
    composeService.omit({ env_file: true }).extend({
      image: z.string().optional(),
      build: z.literal(".").optional(),
      command: command.default([]),
      environment: environmentList,
      healthcheck,
    }),
  ),
  volumes: z.record(z.string(), z.null()),
});

const flyFile = z.strictObject({
  app: z.string(),
  primary_region: z.string(),
  kill_signal: z.string(),
  kill_timeout: z.string(),
  build: z.strictObject({ dockerfile: z.string() }),
  deploy: z.strictObject({ release_command: z.string(), strategy: z.string() }),
  env: z.record(z.string(), z.string()),
  http_service: z.strictObject({
    internal_port: z.number(),
    force_https: z.boolean(),
    auto_stop_machines: z.enum(["off", "stop", "suspend"]),
    auto_start_machines: z.boolean(),
    min_machines_running: z.number(),
    concurrency: z.strictObject({
      type: z.enum(["requests", "connections"]),
      soft_limit: z.number(),
      hard_limit: z.number(),
    }),
    checks: z.array(
      z.strictObject({
        method: z.string(),
        path: z.string(),
        interval: z.string(),
        timeout: z.string(),
        grace_period: z.string(),
      }),
    ),
  }),
  restart: z.array(z.strictObject({ policy: z.enum(["always", "on-failure", "never"]) })),
  vm: z.array(z.strictObject({ size: z.string(), memory: z.string() })),
});

export function readText(name: string): string {
  return readFileSync(join(checkout, name), "utf8");
}

/** The compose file as `docker compose` reads it where its own environment has these variables. */
export function readCompose(variables: Settings) {
  const text = readText("docker-compose.production.yml");
  return composeFile.parse(interpolated(Bun.YAML.parse(text), variables));
}

export const coolifyPath = "scripts/coolify/compose.yml";

/** Coolify's file as `docker compose` reads it where Coolify has these variables. */
export function readCoolify(variables: Settings) {
  return coolifyFile.parse(interpolated(Bun.YAML.parse(readText(coolifyPath)), variables));
}

export function readFly() {
  return flyFile.parse(Bun.TOML.parse(readText("fly.toml")));
}

/** The lines `NAME=value` of an env file; single quotes around a value are dropped. */
export function readEnvFile(name: string): Settings {
  const lines = readText(name).matchAll(/^([A-Z_]+)=(.*)$/gm);
  return Object.fromEntries(
    Array.from(lines, ([, key = "", value = ""]) => [key, value.replace(/^'(.*)'$/, "$1")]),
  );
}

function interpolated(value: unknown, variables: Settings): unknown {
  if (typeof value === "string") return filledIn(value, variables);
  if (Array.isArray(value)) return value.map((part) => interpolated(part, variables));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, interpolated(part, variables)]),
  );
}

/**
 * `${NAME}`, `${NAME:-default}` and `${NAME:?}`, where empty counts as unset, and `$$` for a `$`;
 * nothing else.
 */
function filledIn(text: string, variables: Settings): string {
  const pattern = /\$\$|\$\{([A-Z0-9_]+)(?:(:-|:\?)([^}]*))?\}|\$/g;
  return text.replace(pattern, (whole, name?: string, operator?: string, rest?: string) => {
    if (whole === "$$") return "$";
    if (name === undefined) throw new Error(`not understood: ${whole} in ${text}`);
    const value = variables[name] || (operator === ":-" ? rest : "");
    if (operator === ":?" && !value) throw new Error(`${name} is required`);
    return value ?? "";
  });
}

/** `90s`, `5m`, `1500ms` as milliseconds. */
export function durationMs(text: string): number {
  const [, amount, unit = ""] = /^(\d+)(ms|s|m)$/.exec(text) ?? [];
  const factor = { ms: 1, s: 1_000, m: 60_000 }[unit];
  if (factor === undefined) throw new Error(`no duration: ${text}`);
  return Number(amount) * factor;
}
