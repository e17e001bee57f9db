import { expect, test } from "bun:test";
import type { Config } from "../config.ts";
import { createLogger } from "../log.ts";
import { createProxySign } from "./proxy-sign.ts";

function start(trustProxy: Config["http"]["trustProxy"]) {
  const lines: string[] = [];
  const stream = { write: (line: string) => lines.push(line) };
  const log = createLogger({ level: "info", stream, isForPeople: false });
  return { lines, sign: createProxySign({ trustProxy } as Config["http"], log) };
}

const plain = new Request("http://a/");
const forwarded = new Request("http://a/", { headers: { "X-Forwarded-For": "192.0.2.1" } });

test("X-Forwarded-For without TRUST_PROXY is warned of once, and the doctor has it", () => {
  const { lines, sign } = start({ kind: "none" });
  sign.look(plain);
  expect([lines.length, sign.findings()]).toEqual([0, []]);
  for (let times = 0; times < 3; times++) sign.look(forwarded);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("TRUST_PROXY");
  expect(sign.findings()).toMatchObject([{ check: "proxy", status: "warning" }]);
});

test("with TRUST_PROXY there is nothing to warn of", () => {
  const { lines, sign } = start({ kind: "hops", hops: 1 });
  sign.look(forwarded);
  expect([lines.length, sign.findings()]).toEqual([0, []]);
});
