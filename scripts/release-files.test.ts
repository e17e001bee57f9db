import { expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pack, readSums, sumsOf, sumsUnder, withFolder, withUnpacked } from "./release-files.ts";

/** A small tree, written in this order of names, at this time and by this mode. */
function tree(folder: string, names: readonly string[], time: number, mode: number): void {
  for (const name of names) {
    const path = join(folder, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, `content of ${name}`);
    chmodSync(path, name.endsWith("program") ? mode | 0o100 : mode);
    utimesSync(path, time, time);
  }
}

test("the same files give the same bytes, whenever and in whatever order they were written", async () => {
  await withFolder(async (folder) => {
    // Thirty in one folder: no file system happens to list them by name.
    const many = Array.from({ length: 30 }, (_, index) => `many/${(index * 7) % 30}`);
    const names = ["one/program", "one/README.md", ...many, "LICENSE"];
    tree(join(folder, "a"), names, 1_000_000_000, 0o644);
    tree(join(folder, "b"), names.toReversed(), 1_500_000_000, 0o600);
    for (const name of ["a", "b"])
      await pack(join(folder, name), join(folder, `${name}.tar.gz`), 7);
    const [a, b] = ["a", "b"].map((name) => readFileSync(join(folder, `${name}.tar.gz`)));
    expect(a?.equals(b ?? Buffer.of())).toBe(true);
    const listed = Bun.spawnSync(["tar", "--numeric-owner", "-tvf", join(folder, "a.tar.gz")], {
      env: { ...process.env, TZ: "UTC" },
    });
    const lines = listed.stdout.toString().trimEnd().split("\n");
    expect(lines.map((line) => line.split(/\s+/).at(-1))).toEqual([
      "LICENSE",
      ...["many/", ...many.toSorted()],
      ...["one/", "one/README.md", "one/program"],
    ]);
    expect(lines.at(-1)).toMatch(/^-rwxr-xr-x 0\/0 .* 1970-01-01 00:00/);
    expect(lines[0]).toMatch(/^-rw-r--r-- 0\/0 .* 1970-01-01 00:00/);
  });
});

test("what is unpacked is what was packed", async () => {
  await withFolder(async (folder) => {
    tree(join(folder, "in"), ["x/program", "y"], 5, 0o644);
    const file = join(folder, "x.tar.gz");
    await pack(join(folder, "in"), file, 7);
    await withUnpacked(file, async (unpacked) => {
      expect([...sumsUnder(unpacked)]).toEqual([...sumsUnder(join(folder, "in"))]);
      expect([...sumsUnder(unpacked).keys()]).toEqual(["x/program", "y"]);
    });
  });
});

test("a link is refused, so that no archive writes elsewhere", async () => {
  await withFolder(async (folder) => {
    symlinkSync("/etc/passwd", join(folder, "link"));
    expect(() => sumsUnder(folder)).toThrow("link is no file");
  });
});

test("sums are those of sha256sum, which checks them", async () => {
  await withFolder(async (folder) => {
    for (const name of ["b", "a-1.0.0.tar.gz"]) writeFileSync(join(folder, name), name);
    const text = sumsOf(folder, ["b", "a-1.0.0.tar.gz"]);
    writeFileSync(join(folder, "SHA256SUMS"), text);
    const check = ["sha256sum", "--check", "--strict", "SHA256SUMS"];
    expect(Bun.spawnSync(check, { cwd: folder }).exitCode).toBe(0);
    expect([...readSums(text).keys()]).toEqual(["a-1.0.0.tar.gz", "b"]);
    writeFileSync(join(folder, "b"), "changed");
    expect(Bun.spawnSync(check, { cwd: folder, stderr: "ignore" }).exitCode).toBe(1);
  });
});

test.each(["no sum", `${"a".repeat(63)}  x`, `${"a".repeat(64)}  ../x`, `${"a".repeat(64)}  /x`])(
  "a line of sums that says %j is refused",
  (line) => {
    expect(() => readSums(`${line}\n`)).toThrow("not understood");
  },
);
