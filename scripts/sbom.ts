#!/usr/bin/env bun
/**
 * What the program is made of, as a CycloneDX 1.6 document: every package that bun.lock holds for
 * the runtime dependencies, with the hash that it was installed by, and the runtime itself.
 * `bun scripts/sbom.ts <file.json>` writes it; on one platform the same sources give the same bytes.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

/** One entry of `packages` in bun.lock: name@version, registry, what it needs, hash. */
type LockedPackage = [string, string, Needs?, string?];

interface Needs {
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  optionalPeers?: string[];
}

interface Lock {
  workspaces: { "": Needs };
  packages: Record<string, LockedPackage>;
}

interface Component {
  type: "library" | "platform";
  "bom-ref": string;
  group?: string;
  name: string;
  version: string;
  purl: string;
  hashes?: { alg: "SHA-512"; content: string }[];
  licenses?: ({ license: { id: string } } | { expression: string })[];
}

export function createSbom() {
  const { name, version, license } = readJson(join(root, "package.json"));
  const lock = Bun.JSONC.parse(readFileSync(join(root, "bun.lock"), "utf8")) as Lock;
  const direct = keysOf(lock, "", lock.workspaces[""]);
  const keys = closureOf(lock, direct);
  const own = `pkg:generic/${name}@${version}`;
  const runtime = runtimeComponent();
  const needs = (ref: string, on: string[]) => ({ ref, dependsOn: [...new Set(on)].sort() });
  const refs = (found: string[]) => found.map((key) => purlOf(lock, key));
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": own,
        name,
        version,
        purl: own,
        licenses: [{ license: { id: license } }],
      },
    },
    components: unique([runtime, ...keys.map((key) => componentOf(lock, key))]),
    dependencies: unique([
      needs(own, [runtime["bom-ref"], ...refs(direct)]),
      needs(runtime["bom-ref"], []),
      ...keys.map((key) => needs(purlOf(lock, key), refs(keysOf(lock, key, needsOf(lock, key))))),
    ]),
  };
}

/** One package may lie in several places; it is one component all the same. */
function unique<T extends { "bom-ref": string } | { ref: string }>(parts: T[]): T[] {
  const refOf = (part: T) => ("ref" in part ? part.ref : part["bom-ref"]);
  const byRef = new Map(parts.map((part) => [refOf(part), part]));
  return [...byRef.values()].sort((a, b) => (refOf(a) < refOf(b) ? -1 : 1));
}

/** Every place in the lockfile that can be reached from these. */
function closureOf(lock: Lock, from: string[]): string[] {
  const found = new Set<string>();
  const waiting = [...from];
  for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
    if (found.has(key)) continue;
    found.add(key);
    waiting.push(...keysOf(lock, key, needsOf(lock, key)));
  }
  return [...found];
}

function needsOf(lock: Lock, key: string): Needs {
  return lock.packages[key]?.[2] ?? {};
}

/** Where the lockfile keeps what a package needs: nearest first, as in node_modules. */
function keysOf(lock: Lock, from: string, needs: Needs): string[] {
  const { dependencies, optionalDependencies, peerDependencies, optionalPeers = [] } = needs;
  const peers = Object.keys(peerDependencies ?? {}).filter((name) => !optionalPeers.includes(name));
  const names = [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers];
  return names.flatMap((name) => {
    for (let place = from; ; place = place.replace(/\/?(@[^/]+\/)?[^/]+$/, "")) {
      const key = place === "" ? name : `${place}/${name}`;
      if (lock.packages[key] !== undefined) return [key];
      if (place === "") return [];
    }
  });
}

function identityOf(lock: Lock, key: string): { group?: string; name: string; version: string } {
  const [, group, name = "", version = ""] =
    /^(?:(@[^/]+)\/)?([^@/]+)@(.+)$/.exec(lock.packages[key]?.[0] ?? "") ?? [];
  return { ...(group === undefined ? {} : { group }), name, version };
}

function purlOf(lock: Lock, key: string): string {
  const { group, name, version } = identityOf(lock, key);
  const scope = group === undefined ? "" : `${group.replace("@", "%40")}/`;
  return `pkg:npm/${scope}${name}@${version}`;
}

function componentOf(lock: Lock, key: string): Component {
  const purl = purlOf(lock, key);
  const hash = lock.packages[key]?.[3]?.replace(/^sha512-/, "");
  const content = hash === undefined ? null : Buffer.from(hash, "base64").toString("hex");
  const licence = licenceOf(key);
  return {
    type: "library",
    "bom-ref": purl,
    ...identityOf(lock, key),
    purl,
    ...(content === null ? {} : { hashes: [{ alg: "SHA-512", content }] }),
    ...(licence === null ? {} : { licenses: [licence] }),
  };
}

/** As its package.json says; null: a package for another platform, which is not installed here. */
function licenceOf(key: string): { license: { id: string } } | { expression: string } | null {
  const parts = key.match(/(@[^/]+\/)?[^/]+/g) ?? [];
  const path = join(root, "node_modules", parts.join("/node_modules/"), "package.json");
  const { license } = existsSync(path) ? readJson(path) : { license: undefined };
  if (license === undefined) return null;
  return /[ ()]/.test(license) ? { expression: license } : { license: { id: license } };
}

/** The compiled binary carries it. */
function runtimeComponent(): Component {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const version = String(engines.bun).replace(">=", "");
  const purl = `pkg:github/oven-sh/bun@bun-v${version}`;
  const licenses = [{ license: { id: "MIT" } }];
  return { type: "platform", "bom-ref": purl, name: "bun", version, purl, licenses };
}

function readJson(path: string): Record<string, string | undefined> {
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, string | undefined>;
}

if (import.meta.main) {
  const [target] = process.argv.slice(2);
  if (target === undefined) {
    console.error("usage: bun scripts/sbom.ts <file.json>");
    process.exit(2);
  }
  const sbom = createSbom();
  await Bun.write(target, `${JSON.stringify(sbom, null, 2)}\n`);
  console.log(`${target}: ${sbom.components.length} components`);
}
