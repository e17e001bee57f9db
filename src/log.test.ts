import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AppError } from "./errors.ts";
import type { LogFields } from "./log.ts";
import { createLogger } from "./log.ts";
import { scrubbedPhrase, scrubbedText } from "./log-scrub.ts";

function logged(write: (log: ReturnType<typeof createLogger>) => void, isForPeople = false) {
  const lines: string[] = [];
  const stream = { write: (line: string) => void lines.push(line) };
  write(createLogger({ level: "info", stream, isForPeople }));
  return lines.join("");
}

describe("a line", () => {
  test("is one JSON object with time, level, event and the fields", () => {
    const line = logged((log) => log.info("email sent", { email_id: "e1", duration_ms: 12 }));
    expect(JSON.parse(line)).toEqual({
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      level: "info",
      event: "email sent",
      email_id: "e1",
      duration_ms: 12,
    });
  });

  test("below the level is not written", () => {
    expect(logged((log) => log.debug("quiet"))).toBe("");
  });

  test("carries the fields of `with`", () => {
    const line = logged((log) => log.with({ region: "fra" }).with({ attempt: 2 }).warn("late"));
    expect(JSON.parse(line)).toMatchObject({ level: "warn", region: "fra", attempt: 2 });
  });

  test("for people is short and has no JSON", () => {
    const line = logged((log) => log.info("email sent", { email_id: "e1", count: 2 }), true);
    expect(line).toMatch(/^\d\d:\d\d:\d\d\.\d{3} info {2}email sent email_id=e1 count=2\n$/);
  });
});

test("a text that is let through at once is one in which nothing would be found", () => {
  const short = fc.stringMatching(/^[a-z0-9./:-]{0,31}$/);
  const check = (text: string) => expect(scrubbedPhrase(`x ${text}`)).toBe(`x ${text}`);
  fc.assert(fc.property(fc.oneof(short, fc.uuid()), check), { numRuns: 2_000 });
  for (const text of ["bearer canary", "a@b", "tfm_x", "eyJx", "/a?b", "ab".repeat(16)]) {
    expect(scrubbedText(text)).not.toBe(text);
  }
});

describe("canaries never appear", () => {
  const canaries = {
    address: "canary.o'hara+tag@example.com",
    quotedAddress: '"canary person"@example.com',
    foreignAddress: "canäry@exämple.com",
    token: "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.canarycanary",
    apiKey: "tfm_canary1234567890",
    hexKey: "ca0a".repeat(16),
    base64Key: "canaryAq3+Z/kP9vR2xT7mB1nC5dF8gH0jL4wE6yU+canary=",
    url: "redis://:canary@host:6379 and postgresql://u:c@nary@db/x?password=canary",
    link: "https://mailer.example.com/sign-in?code=canary",
    path: "/sign-in?code=canary",
    bearer: "Authorization: Bearer canary",
  };

  test.each(Object.entries(canaries))(
    "%s in an error, its cause, an event or a field",
    (_, text) => {
      const cause = Object.assign(new Error(`said ${text}`), { detail: text, response: text });
      const error = new AppError("internal_error", { publicDetail: `about ${text}`, cause });
      const line = logged((log) =>
        log.error(`failed for ${text}`, {
          err: error,
          owner: text,
          reason: `because ${text}`,
          host: text,
        }),
      );
      expect(line).not.toMatch(/can[aä]ry|c@nary|ca0aca0a|eyJ/);
      expect(JSON.parse(line).err.cause.name).toBe("Error");
    },
  );

  test("in fields of names that are not on the list, or of another kind", () => {
    const smuggled = {
      subject: "canary",
      to: ["canary"],
      email_id: { deep: "canary" },
      count: "canary",
    };
    const line = logged((log) => log.info("x", smuggled as unknown as LogFields));
    expect(Object.keys(JSON.parse(line)).sort()).toEqual(["event", "level", "time"]);
  });

  test("in what a parser says of the text it failed on", () => {
    const line = logged((log) => {
      try {
        JSON.parse("canary");
      } catch (err) {
        log.error("bad json", { err });
      }
    });
    expect(line).toContain("SyntaxError");
    expect(line).not.toContain("canary");
  });

  test("in a thrown string, or behind line breaks made to look like frames or lines", () => {
    const thrown = logged((log) => log.error("x", { err: "canary" }));
    expect(thrown).not.toContain("canary");
    const forged = logged((log) =>
      log.error("x", { err: new Error("a\n    at canary@b.example:1") }),
    );
    expect(forged).not.toContain("canary");
    expect(forged.trim().split("\n")).toHaveLength(1);
  });

  test("at the cut of a very long text", () => {
    // What goes before it shrinks, so that the cut comes into the part that is shown.
    const text = `/p?${"q".repeat(1980)} canary.canary.canary.canary@example.com`;
    expect(scrubbedText(text)).not.toContain("canary");
  });
});

test("what an operator needs is kept", () => {
  const kept = [
    "connect ECONNREFUSED 127.0.0.1:6379",
    "0193a5c2-7c1e-7bb1-9c3a-1f2e3d4c5b6a-12",
    "ENOENT: no such file, open '/var/lib/taskforce-mailer/captured/0193a5c2.eml'",
    "550 5.1.1 user unknown",
    "https://mailer.example.com/status",
  ];
  for (const text of kept) expect(scrubbedText(text)).toBe(text);
});

test("an error keeps its name, code and frames", () => {
  const error = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
  const { err } = JSON.parse(logged((log) => log.error("redis gone", { err: error })));
  expect(err).toMatchObject({ name: "Error", code: "ECONNREFUSED", message: "refused" });
  expect(err.stack).toContain("log.test.ts");
});
