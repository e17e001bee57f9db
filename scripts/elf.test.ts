import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { elfFile } from "../src/testing/fixtures/elf-file.ts";
import { readElf } from "./elf.ts";

test("machine, interpreter and libraries are told, wherever the segment is loaded", () => {
  const interpreter = "/lib/ld-musl-aarch64.so.1";
  const libraries = ["libc.musl-aarch64.so.1", "libstdc++.so.6"];
  for (const address of [0, 0x40_0000]) {
    const told = readElf(elfFile({ machine: 183, interpreter, libraries, address }));
    expect(told).toEqual({ machine: "aarch64", interpreter, libraries });
  }
});

test("a static program has neither interpreter nor libraries", () => {
  expect(readElf(elfFile({}))).toEqual({ machine: "x86-64", interpreter: null, libraries: [] });
  expect(readElf(elfFile({ machine: 243 })).machine).toBe("243");
});

test("what runs these tests is a program for this machine", () => {
  const own = readElf(readFileSync(process.execPath));
  expect(own.machine).toBe(process.arch === "arm64" ? "aarch64" : "x86-64");
  expect(own.interpreter).toMatch(/^\/lib.*\/ld-(linux|musl)-/);
  expect(own.libraries.length).toBeGreaterThan(0);
});

describe("refused", () => {
  test("what is no ELF file, or one of 32 bits or of another byte order", () => {
    expect(() => readElf(new TextEncoder().encode("#!/bin/sh\n".repeat(20)))).toThrow("no ELF");
    expect(() => readElf(new Uint8Array())).toThrow("no ELF");
    for (const [at, value] of [
      [4, 1],
      [5, 2],
    ] as const) {
      expect(() => readElf(elfFile({}).map((byte, i) => (i === at ? value : byte)))).toThrow(
        "64-bit",
      );
    }
  });

  test("a file that ends before what its header names", () => {
    const whole = elfFile({ interpreter: "/lib64/ld-linux-x86-64.so.2", libraries: ["libc.so.6"] });
    for (const length of [64, 100, 310, 450, 605]) {
      expect(() => readElf(whole.slice(0, length))).toThrow();
    }
  });
});
