import { describe, expect, test } from "bun:test";
import { isPrerelease, tagOf, versionFaults } from "./release-version.ts";

const never = { current: "0.1.0", tags: [], sections: [] };
const once = { current: "0.1.0", tags: ["v0.1.0", "nightly"], sections: ["0.1.0"] };

describe("a version is taken", () => {
  test.each(["0.1.1", "0.2.0", "0.10.0", "1.0.0", "1.0.0-rc.1", "0.2.0-alpha-1.x7"])(
    "%s after 0.1.0",
    (version) => {
      expect(versionFaults(version, once)).toEqual([]);
    },
  );

  test("1.0.0 after its own release candidate, and the next candidate after that", () => {
    const candidate = { current: "1.0.0-rc.9", tags: ["v1.0.0-rc.9"], sections: ["1.0.0-rc.9"] };
    expect(versionFaults("1.0.0", candidate)).toEqual([]);
    expect(versionFaults("1.0.0-rc.10", candidate)).toEqual([]);
    expect(versionFaults("1.0.0-rc.8", candidate)).toHaveLength(1);
  });

  test("that of package.json for the first release, and for no other", () => {
    expect(versionFaults("0.1.0", never)).toEqual([]);
    expect(versionFaults("0.1.0", { ...never, tags: ["nightly"] })).toEqual([]);
    for (const earlier of [
      { ...never, tags: ["v0.0.9"] },
      { ...never, sections: ["0.0.9"] },
    ]) {
      expect(versionFaults("0.1.0", earlier)).toEqual([
        "0.1.0 is not newer than 0.1.0 of package.json",
      ]);
    }
  });
});

describe("a version is refused by name", () => {
  test.each([
    "",
    "1",
    "1.2",
    "v1.2.3",
    "01.2.3",
    "1.2.3-",
    "1.2.3-01",
    "1.2.3+a",
    "1.2.3.4",
    "1.2.x",
    "1.2.3\n",
  ])("%j is none", (version) => {
    expect(versionFaults(version, once)).toEqual([
      expect.stringContaining(`"${version}" is no version`),
    ]);
  });

  test("one that is older", () => {
    expect(versionFaults("0.0.9", never)).toEqual([
      "0.0.9 is not newer than 0.1.0 of package.json",
    ]);
    expect(versionFaults("0.1.0-rc.1", never)).toHaveLength(1);
  });

  test("one that has a tag", () => {
    const tagged = { ...once, tags: ["v0.2.0"] };
    expect(versionFaults("0.2.0", tagged)).toEqual([expect.stringContaining("the tag v0.2.0")]);
  });
});

test("a tag is the version after a v, and what has a dash is a prerelease", () => {
  expect(tagOf("1.2.3")).toBe("v1.2.3");
  expect([isPrerelease("1.2.3"), isPrerelease("1.2.3-rc.1")]).toEqual([false, true]);
});
