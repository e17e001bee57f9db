import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { changelogFaults, releasedChangelog, sectionOf, sectionsOf } from "./changelog.ts";

const before = `# Changelog

What changed. It quotes $& and $1, which a replacement would expand.

## [Unreleased]

### Added

- One thing, \`a $& b\`.

### Fixed

- Another, see [Unreleased] above.

## [0.1.0] - 2026-01-02

### Added

- Everything.
`;

describe("a release", () => {
  const after = releasedChangelog(before, "0.2.0", "2026-11-30");

  test("turns [Unreleased] into its own section, below a new and empty one", () => {
    expect(sectionsOf(after).map(({ name }) => name)).toEqual(["Unreleased", "0.2.0", "0.1.0"]);
    expect(after).toContain("\n## [Unreleased]\n\n## [0.2.0] - 2026-11-30\n\n### Added\n");
    expect(sectionOf(after, "Unreleased")).toBe("");
  });

  test("changes no word of what is written there", () => {
    expect(sectionOf(after, "0.2.0")).toBe(sectionOf(before, "Unreleased"));
    expect(sectionOf(after, "0.1.0")).toBe("### Added\n\n- Everything.");
    expect(after.replace("\n## [0.2.0] - 2026-11-30\n", "")).toBe(before);
  });

  test("is refused a second time: nothing is left to release", () => {
    expect(changelogFaults(before, "0.2.0")).toEqual([]);
    expect(changelogFaults(after, "0.2.0")).toEqual([
      expect.stringContaining("[Unreleased] is empty"),
      expect.stringContaining("section [0.2.0] already"),
    ]);
  });
});

test("headings alone are an empty section, and a missing section is named", () => {
  const bare = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n### Fixed\n";
  expect(changelogFaults(bare, "1.0.0")).toEqual([expect.stringContaining("is empty")]);
  expect(changelogFaults("# Changelog\n", "1.0.0")).toEqual([
    expect.stringContaining("no section [Unreleased]"),
  ]);
  expect(sectionOf(bare, "1.0.0")).toBeNull();
});

test("the project's own changelog has an [Unreleased] section, and each section once", async () => {
  const own = await Bun.file(join(import.meta.dir, "../CHANGELOG.md")).text();
  const names = sectionsOf(own).map(({ name }) => name);
  expect(names[0]).toBe("Unreleased");
  expect(names).toEqual([...new Set(names)]);
});
