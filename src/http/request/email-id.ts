import { AppError } from "../../errors.ts";
import type { ApiContext } from "../api-env.ts";

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function isUuid(text: string): boolean {
  return uuid.test(text);
}

/** The id in the path; a malformed one belongs to nobody, like an unknown one. */
export function emailIdOf(c: ApiContext): string {
  const id = c.req.param("id") ?? "";
  if (!isUuid(id)) throw noSuchEmail();
  c.set("emailId", id.toLowerCase());
  return id.toLowerCase();
}

export function noSuchEmail(): AppError {
  return new AppError("not_found", { publicDetail: "There is no email with this id." });
}
