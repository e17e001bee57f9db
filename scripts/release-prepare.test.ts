import { expect, test } from "bun:test";
import { readText } from "./release-checkout.ts";
import { withReleased, withVersion } from "./release-prepare.ts";
import { RELEASED } from "./schema.ts";

const digest = "ab".repeat(32);

test("package.json gets the version, and no other byte of it changes", async () => {
  const before = await readText("package.json");
  const after = withVersion(before, "9.8.7-rc.1");
  const { version } = JSON.parse(before);
  expect(JSON.parse(after)).toEqual({ ...JSON.parse(before), version: "9.8.7-rc.1" });
  expect(after.replace("9.8.7-rc.1", version)).toBe(before);
});

test("scripts/schema.ts gets the list of released migrations, as biome formats it", async () => {
  const before = await readText("scripts/schema.ts");
  const digests = { "20260101000000": digest, "20260202000000": digest };
  const after = withReleased(before, digests);
  expect(after).toContain(
    `RELEASED: Readonly<Record<string, string>> = {\n  "20260101000000": "${digest}",\n  "20260202000000": "${digest}",\n};\n`,
  );
  expect(withReleased(after, RELEASED)).toBe(before);
  const path = "scripts/schema.ts";
  const biome = [process.execPath, "x", "--bun", "--no-install", "biome"];
  const command = [...biome, "format", `--stdin-file-path=${path}`];
  const formatted = Bun.spawnSync(command, { stdin: new TextEncoder().encode(after) });
  expect(formatted.stdout.toString()).toBe(after);
});

test("a list that is not to be found is an error, and nothing is lost silently", () => {
  expect(() => withReleased("export const OTHER = {};\n", {})).toThrow("RELEASED");
});
