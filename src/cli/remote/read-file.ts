import { basename } from "node:path";
import { UsageError } from "../command.ts";

/** The text of a file in UTF-8; `-` is the standard input. */
export async function readText(path: string, option?: string): Promise<string> {
  if (path === "-") return await Bun.stdin.text();
  const file = Bun.file(path);
  if (await file.exists()) return await file.text();
  const said = `there is no file ${path}`;
  throw new UsageError(option === undefined ? said : `${option}: ${said}`);
}

/** A file as an attachment, its media type by its name. */
export async function readAttachment(path: string) {
  const file = Bun.file(path);
  if (!(await file.exists())) throw new UsageError(`--attach: there is no file ${path}`);
  const content = Buffer.from(await file.arrayBuffer()).toString("base64");
  const contentType = file.type.split(";")[0] ?? "application/octet-stream";
  return { filename: basename(path), content, contentType };
}
