import { z } from "zod";
import type { Attachment } from "../../email/email.ts";
import { parseMediaType } from "../../email/media-type.ts";
import { quoteInput } from "../../email/quote-input.ts";
import { type RawMessage, readRawMessage } from "../../mail/raw-message.ts";
import { addFault, boundedList, expecting } from "./field-schemas.ts";

const attachmentsMax = 20;
/** A name to save under: no path, nothing unseen, and nothing that turns `gpj.exe` around. */
const unsafeInFilename = /[/\\\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/u;
const ownParts = /^(?:message|multipart)\//i;

const filename = z.string(expecting("a file name")).refine((name) => {
  const isNamed = name.length <= 255 && name.trim() !== "" && name !== "." && name !== "..";
  // Mail programs decode an encoded-word, and whatever it hides would be the name.
  return isNamed && !unsafeInFilename.test(name) && !/=\?[^?]*\?[bq]\?/i.test(name);
}, expecting("a file name of 1 to 255 characters in UTF-8 without slashes and control characters"));

const contentType = z
  .string(expecting("a media type such as application/pdf"))
  .transform((input, ctx): string => {
    const parsed = parseMediaType(input);
    const { error } = expecting("a media type other than message/* and multipart/*");
    const isOwn = "value" in parsed && ownParts.test(parsed.value);
    if ("value" in parsed && !isOwn) return parsed.value;
    addFault(ctx, { message: "fault" in parsed ? parsed.fault : error({ input }), input });
    return z.NEVER;
  })
  .nullish();

/** Standard alphabet, padded, one line; anything a lenient decoder would repair is refused. */
const base64 = z
  .string(expecting("the file in base64"))
  .transform((text, ctx): Uint8Array => {
    const bytes = Buffer.from(text, "base64");
    if (text.length % 4 === 0 && bytes.toString("base64") === text) return bytes;
    const message = `expected base64 (standard alphabet, padded, without line breaks), got ${quoteInput(text)}`;
    addFault(ctx, { message, input: text });
    return z.NEVER;
  })
  .meta({ contentEncoding: "base64" });

/** A finished message in base64, checked for what SMTP forbids. */
export const rawField = z
  .unknown()
  .transform((input, ctx): RawMessage | null => {
    if (input === null || input === undefined) return null;
    const read = base64.safeParse(input);
    if (!read.success) {
      addFault(ctx, { message: read.error.issues[0]?.message ?? "expected base64", input });
      return z.NEVER;
    }
    const message = readRawMessage(read.data);
    if ("value" in message) return message.value;
    addFault(ctx, { message: message.fault, input });
    return z.NEVER;
  })
  .meta({ type: ["string", "null"], contentEncoding: "base64" });

const attachment = z
  .strictObject(
    {
      filename,
      content: base64,
      /** The product's documentation spells it like this, alone among all fields. */
      contentType,
      content_type: contentType,
      content_id: z
        .string(expecting("a content id"))
        .regex(
          /^[\w!#$%&'*+/=?^`{|}~.@-]{1,200}$/,
          expecting("a content id of ASCII letters, digits and .@-_, without angle brackets"),
        )
        .nullish(),
    },
    { error: objectFault },
  )
  .superRefine((fields, ctx) => {
    if (fields.contentType == null || fields.content_type == null) return;
    const message = "expected one of contentType and content_type, got both";
    addFault(ctx, { path: ["content_type"], message, input: fields.content_type });
  })
  .transform(
    (fields): Attachment => ({
      filename: fields.filename,
      contentType: fields.contentType ?? fields.content_type ?? "application/octet-stream",
      contentId: fields.content_id ?? null,
      content: fields.content,
    }),
  );

export const attachmentsField = boundedList(attachment, {
  max: attachmentsMax,
  list: "a list of attachments",
  tooMany: `at most ${attachmentsMax} attachments`,
}).nullish();

/** Unknown fields are named by whoever turns issues into faults. */
function objectFault({ code, input }: { code: string; input?: unknown }): string | undefined {
  if (code === "unrecognized_keys") return undefined;
  return `expected { filename, content, contentType, content_id }, got ${quoteInput(input)}`;
}
