import { expect, test } from "bun:test";
import { isNewerZoneData, zoneData } from "./zone-data.ts";

test("names ICU and a fingerprint, the same each time", () => {
  const { version } = zoneData();
  expect(version).toMatch(/^\d+(\.\d+)*-[0-9a-f]{8}$/);
  expect(version).toStartWith(`${process.versions.icu}-`);
  expect(zoneData().version).toBe(version);
});

test.each([
  ["78.3-aaaaaaaa", "78.2-bbbbbbbb", true],
  ["78.10-aaaaaaaa", "78.9-bbbbbbbb", true],
  ["79-aaaaaaaa", "78.9-bbbbbbbb", true],
  ["78.3-aaaaaaaa", "78.3-bbbbbbbb", false],
  ["78.2-aaaaaaaa", "78.3-bbbbbbbb", false],
  ["78.3-aaaaaaaa", "", true],
  ["", "78.3-aaaaaaaa", false],
])("%p is newer than %p: %p", (one, other, isNewer) => {
  expect(isNewerZoneData(one, other)).toBe(isNewer);
});
