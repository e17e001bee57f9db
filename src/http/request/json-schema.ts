import { z } from "zod";

/** A JSON Schema of draft 2020-12, which is what OpenAPI 3.1 uses. */
export type JsonSchema = { [keyword: string]: unknown };

/**
 * What a schema takes (`input`) or gives (`output`), as JSON Schema. A field is required when the
 * schema refuses its absence: zod alone says so of every field that reads `unknown`. Answers may
 * gain fields, so objects of an output are open.
 */
export function jsonSchemaOf(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    io,
    override: ({ zodSchema, jsonSchema }) => {
      if (!(zodSchema instanceof z.ZodObject)) return;
      if (io === "output") {
        if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
        return;
      }
      const names = Object.entries<z.ZodType>(zodSchema.shape)
        .filter(([, part]) => !part.safeParse(undefined).success)
        .map(([name]) => name);
      if (names.length > 0) jsonSchema.required = names;
      else delete jsonSchema.required;
    },
  });
  return json as JsonSchema;
}
