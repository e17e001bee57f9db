import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fillEnvironment, loadConfig } from "./config.ts";
import { readDotenv, readDotenvFile } from "./config-dotenv.ts";

const namesOf = (text: string) => readDotenv(text).doubts.map(({ name }) => name);

describe("a value of .env", () => {
  test("in single quotes is literal, and nothing is expanded anywhere", () => {
    const text = [
      "A='ab#c$HOME$$g!\"h'",
      'B="ab#c$HOME\\nnext"',
      `C=ab$HOME\${HOME}`,
      "D=plain words # a comment",
      "export E = 'x' # a comment",
      "F=",
    ].join("\n");
    expect(readDotenv(text).values).toEqual({
      ...{ A: 'ab#c$HOME$$g!"h', B: "ab#c$HOME\nnext", C: `ab$HOME\${HOME}` },
      ...{ D: "plain words", E: "x", F: "" },
    });
  });

  test("is read through a byte order mark and CRLF", () => {
    expect(readDotenv("\ufeffA=1\r\nB='2'\r\n").values).toEqual({ A: "1", B: "2" });
  });
});

describe("a line that may not mean what it seems to is named, never its value", () => {
  test("cut at a #, holding a $, or ending in another line", () => {
    expect(namesOf(`A=ab#c\nB=#c\nC=a$b\nD="a$b"\nE=$$x\nF=\${X}\nG=$(date)`)).toEqual([
      ...["A", "B", "C", "D", "E", "F", "G"],
    ]);
    expect(namesOf("A='one\nB=two'\nC=3")).toEqual(["A"]);
    for (const { sentence } of readDotenv("S=hunter2#$x").doubts) {
      expect(sentence).toContain("S in .env is cut at a #");
      expect(sentence).not.toContain("hunter2");
    }
  });

  test("and no other is", () => {
    const text = "A=a # b\nB='a#b$c'\nC=\"a#b\"\nD=5$\nE=a $ b\n# F=a#b\nG= # none\n\nH='x'#c";
    expect(namesOf(text)).toEqual([]);
  });
});

describe("the file", () => {
  const folder = mkdtempSync(join(tmpdir(), "dotenv-test-"));
  const path = join(folder, ".env");

  test("fills up the environment, which wins, and its doubts become warnings of our variables", () => {
    const own = "DOTENV_TEST_OWN";
    process.env[own] = "set";
    writeFileSync(path, `${own}=file\nDOTENV_TEST_NEW=a#b\nSMTP_FROM_NAME=Example#1\n`);
    try {
      const env = fillEnvironment(path);
      expect(env).toMatchObject({ [own]: "set", DOTENV_TEST_NEW: "a", SMTP_FROM_NAME: "Example" });
      expect(process.env.DOTENV_TEST_NEW).toBe("a");
      const { warnings } = loadConfig({ ...env, LOG_LEVEL: "silent" });
      expect(warnings.filter((one) => one.includes(".env"))).toEqual([
        expect.stringContaining("SMTP_FROM_NAME in .env is cut at a #"),
      ]);
    } finally {
      for (const name of [own, "DOTENV_TEST_NEW", "SMTP_FROM_NAME"]) delete process.env[name];
    }
  });

  test("may be missing; one that cannot be read is named", () => {
    expect(readDotenvFile(join(folder, "none"))).toBeNull();
    expect(readDotenvFile(folder)?.doubts).toEqual([
      { name: "", sentence: ".env cannot be read (EISDIR)" },
    ]);
    rmSync(folder, { recursive: true });
  });
});
