import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import { createSbom } from "../../scripts/sbom.ts";

// The schema of CycloneDX takes a while to compile.
setDefaultTimeout(60_000);

const root = join(import.meta.dir, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const { dependencies, devDependencies } = JSON.parse(read("package.json")) as Record<
  "dependencies" | "devDependencies",
  Record<string, string>
>;
const names = Object.keys(dependencies).sort();

describe("the bill of materials", () => {
  let sbom: ReturnType<typeof createSbom>;
  beforeAll(() => {
    sbom = createSbom();
  });
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
  const purlOf = (name: string, version: string) =>
    `pkg:npm/${name.replace("@", "%40")}@${version}`;

  test("is CycloneDX 1.6 by its own schema, which refuses one that is not", async () => {
    expect(await validator.validate(JSON.stringify(sbom))).toBeNull();
    const broken = JSON.stringify({ ...sbom, components: [{ name: "x" }] });
    expect(await validator.validate(broken)).not.toBeNull();
  });

  test("names every runtime dependency in its version, and no tool of development", () => {
    const purls = sbom.components.map(({ purl }) => purl);
    for (const name of names) expect(purls).toContain(purlOf(name, dependencies[name] ?? ""));
    for (const name of ["typescript", "oxlint", "playwright-core"]) {
      expect(purls).not.toContain(purlOf(name, devDependencies[name] ?? ""));
    }
    expect(purls).toContain(`pkg:github/oven-sh/bun@bun-v${Bun.version}`);
  });

  test("follows them to what they need, each with the hash it was installed by", () => {
    const libraries = sbom.components.filter(({ type }) => type === "library");
    expect(libraries.length).toBeGreaterThan(names.length * 2);
    for (const { purl, hashes } of libraries) {
      expect([purl, hashes?.[0]?.content.length]).toEqual([purl, 128]);
    }
    const known = new Set(sbom.dependencies.map(({ ref }) => ref));
    for (const { dependsOn } of sbom.dependencies) {
      for (const ref of dependsOn) expect(known).toContain(ref);
    }
    const pool = sbom.dependencies.find(({ ref }) => ref.startsWith("pkg:npm/pg@"));
    expect(pool?.dependsOn.join()).toContain("pkg:npm/pg-protocol@");
  });

  test("says of every installed package under which licence it comes, none of them unexpected", () => {
    const expected = [
      ...["MIT", "MIT-0", "Apache-2.0", "ISC", "BSD-2-Clause", "BSD-3-Clause", "0BSD"],
      // Into the public domain: fast-sha256, of standardwebhooks.
      "Unlicense",
    ];
    for (const { purl, licenses } of sbom.components) {
      // Built for another platform, and so not installed here.
      if (licenses === undefined) expect(purl).toContain("msgpackr-extract-");
      for (const licence of licenses ?? []) {
        expect(expected).toContain("license" in licence ? licence.license.id : licence.expression);
      }
    }
  });
});

describe("SECURITY.md", () => {
  test("gives the reason for every runtime dependency, and for nothing else", () => {
    const [, list = ""] = read("SECURITY.md").split("## What it is made of");
    const section = list.split("\n## ")[0] ?? "";
    const reasons = [...section.matchAll(/^- `([^`]+)`: .{20,}/gm)].map(([, name]) => name);
    expect(reasons.sort() as string[]).toEqual(names);
  });
});

test("every runtime dependency is imported by the program itself", async () => {
  const imported = new Set<string>();
  for await (const path of new Bun.Glob("src/**/*.{ts,tsx}").scan(root)) {
    if (/\.(test|long)\.ts$|^src\/testing\//.test(path)) continue;
    for (const [, name = ""] of read(path).matchAll(
      /(?:from|import\(|resolveSync\() ?"([^"]+)"/g,
    )) {
      const found = names.find((each) => name === each || name.startsWith(`${each}/`));
      if (found !== undefined) imported.add(found);
    }
  }
  expect([...imported].sort()).toEqual(names);
});
