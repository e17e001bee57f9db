import { z } from "zod";

/** An instant as answers write it: UTC with milliseconds. */
export function instant(description: string) {
  return z.string().meta({ description, format: "date-time" });
}

export function instantOrNull(description: string) {
  return z.string().meta({ format: "date-time" }).nullable().meta({ description });
}

export function text(description: string) {
  return z.string().meta({ description });
}

export function whole(description: string) {
  return z.int().min(0).meta({ description });
}

export function uuid(description: string) {
  return z.string().meta({ description, format: "uuid" });
}

/** The whole body of a success. */
export function dataOf<Data extends z.ZodType>(data: Data) {
  return z.object({
    success: z.literal(true).meta({ description: "Always true here." }),
    data,
  });
}

export const page = z.object({
  limit: whole("How many entries a page has."),
  offset: whole("How many were skipped; absent when asked by cursor.").optional(),
  total: whole(
    "How many there are in all; absent above 5,000, and when asked by cursor.",
  ).optional(),
  next_cursor: z.string().nullable().meta({
    description: "Give it as `cursor` for the next page; null: this was the last.",
  }),
});

/** The whole body of a list. */
export function listOf<Entry extends z.ZodType>(entry: Entry) {
  return z.object({
    success: z.literal(true).meta({ description: "Always true here." }),
    data: z.array(entry),
    page,
  });
}

export const lastPage = { limit: 20, offset: 0, total: 1, next_cursor: null };
