import { expect, test } from "bun:test";
import { settleMemory } from "./memory.ts";

/** A program that was started so, and what it was replaced by. */
function started(argv: string[], env: Record<string, string>, failure?: Error) {
  const calls: unknown[][] = [];
  const execve = (...call: unknown[]) => {
    if (failure) throw failure;
    calls.push(call);
  };
  settleMemory({ argv, env, execPath: "/usr/bin/taskforce-mailer", execve });
  return calls;
}

const settings = {
  MIMALLOC_PURGE_DELAY: "2000",
  MIMALLOC_PURGE_HOLES: "0",
  BUN_JSC_forceRAMSize: "402653184",
};
const compiled = ["bun", "/$bunfs/root/taskforce-mailer", "serve"];

test("the compiled program starts anew with the settings of its memory, its arguments and its own", () => {
  const [call, ...more] = started(compiled, { PORT: "3000" });
  expect(more).toEqual([]);
  expect(call).toEqual([
    "/usr/bin/taskforce-mailer",
    ["/usr/bin/taskforce-mailer", "serve"],
    { PORT: "3000", ...settings },
  ]);
});

test("it does so once, and never against what the environment says", () => {
  expect(started(compiled, settings)).toEqual([]);
  expect(started(compiled, { MIMALLOC_PURGE_HOLES: "1" })).toEqual([]);
});

test("what runs from source goes on as it is", () => {
  expect(started(["bun", "/work/src/main.ts", "serve"], {})).toEqual([]);
});

test("a program that cannot be started again goes on", () => {
  expect(started(compiled, {}, new Error("ENOENT"))).toEqual([]);
});
