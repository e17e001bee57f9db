import { getMimeType } from "hono/utils/mime";
import { quoteInput } from "../../email/quote-input.ts";
import { isPlainObject } from "../request/field-schemas.ts";
import { resendRefusal } from "./failure.ts";

/**
 * Attachments as the native field takes them; what is in them is judged there. A `path` is refused
 * by its name: this server fetches nothing that a caller points it at.
 */
export function attachmentsOf(given: unknown, pointer: string): unknown {
  if (given == null) return [];
  if (!Array.isArray(given)) {
    const message = `Invalid \`attachments\` field: expected a list, got ${quoteInput(given)}`;
    throw resendRefusal("invalid_attachment", message);
  }
  return given.map((one, index) => attachmentOf(one, `${pointer}/attachments/${index}`));
}

function attachmentOf(given: unknown, place: string): unknown {
  if (!isPlainObject(given)) return given;
  const { path, content, filename, content_type: contentType, content_id: id, ...rest } = given;
  const field = place.slice(1).replaceAll("/", ".");
  if (path != null) {
    throw resendRefusal(
      "invalid_attachment",
      `Invalid \`${field}.path\` field: files are not fetched from URLs; send \`content\` in base64 instead.`,
    );
  }
  if (content == null) {
    throw resendRefusal("invalid_attachment", `Attachment must have a \`content\` (\`${field}\`).`);
  }
  const name = typeof filename === "string" && filename !== "" ? filename : "attachment";
  return {
    ...rest,
    filename: filename == null || filename === false ? name : filename,
    content: contentOf(content),
    content_type: contentType ?? getMimeType(name) ?? "application/octet-stream",
    ...(id == null ? {} : { content_id: id }),
  };
}

/** Earlier SDKs send a Buffer as JSON writes it. */
function contentOf(content: unknown): unknown {
  if (!isPlainObject(content) || content.type !== "Buffer" || !Array.isArray(content.data)) {
    return content;
  }
  const areBytes = content.data.every((byte) => Number.isInteger(byte) && byte >= 0 && byte < 256);
  return areBytes ? Buffer.from(content.data).toString("base64") : content;
}
