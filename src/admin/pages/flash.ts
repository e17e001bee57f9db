import type { Context } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { isUuid } from "./list-place.ts";

/** One line about what an action came to, shown by the page that follows it. */
export interface Flash {
  kind: "done" | "fault";
  words: string;
  /** How to take it back; absent: it can't be. */
  undo?: Undo;
}

/** The opposite of a change of many, for those that nothing else has happened to since. */
export interface Undo {
  change: (typeof undoChanges)[number];
  /** The bulk change that is taken back. */
  bulk: string;
  /** For `reschedule`: by how much. */
  seconds: number;
  /** Of the search box, to come back to it. */
  text: string;
}

export const undoChanges = ["hold", "release", "reschedule"] as const;

const name = "tfm_flash";
const wordsMax = 300;
/** Bytes of a text in the cookie, which holds 4,096 in all. */
const encodedMax = 1_500;

/** Leads on to `path`, whose page says `words`. */
export function redirectWith(
  c: Context,
  path: string,
  words: string,
  { kind = "done", undo }: Partial<Omit<Flash, "words">> = {},
): Response {
  const flash: Flash = { kind, words: words.slice(0, wordsMax) };
  const value = JSON.stringify(undo === undefined ? flash : { ...flash, undo: shortened(undo) });
  setCookie(c, name, value, { path: "/", httpOnly: true, sameSite: "Strict", maxAge: 60 });
  return c.redirect(path, 303);
}

function shortened(undo: Undo): Undo {
  const isShort = encodeURIComponent(undo.text.toWellFormed()).length <= encodedMax;
  return isShort ? undo : { ...undo, text: "" };
}

/** Once: what was said is not said again. */
export function takeFlash(c: Context): Flash | null {
  const value = getCookie(c, name);
  if (value === undefined) return null;
  setCookie(c, name, "", { path: "/", httpOnly: true, sameSite: "Strict", maxAge: 0 });
  try {
    const { kind, words, undo } = JSON.parse(value);
    const isOurs = (kind === "done" || kind === "fault") && typeof words === "string";
    if (!isOurs) return null;
    const flash: Flash = { kind, words: words.slice(0, wordsMax) };
    const known = readUndo(undo);
    return known === null ? flash : { ...flash, undo: known };
  } catch {
    // Not JSON: not ours.
    return null;
  }
}

/** Of the cookie, or of the form that was made of it; null: it is none. */
export function readUndo(given: unknown): Undo | null {
  if (typeof given !== "object" || given === null) return null;
  const { change, bulk, seconds, text } = given as Record<string, unknown>;
  const known = undoChanges.find((one) => one === change);
  const length = Number(seconds);
  if (known === undefined || typeof bulk !== "string" || !isUuid(bulk)) return null;
  if (!Number.isSafeInteger(length) || typeof text !== "string") return null;
  return { change: known, bulk, seconds: length, text };
}
