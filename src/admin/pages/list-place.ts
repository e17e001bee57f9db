import type { ListCursor } from "../../store/stored-email.ts";

/** A place in a list, for an address of ours; `readPlace` is its opposite. */
export function writePlace({ createdAt, id }: ListCursor): string {
  return `${createdAt}~${id}`;
}

/** An address that somebody has changed is the first page: null. `isId`: default: a UUID. */
export function readPlace(text: string | undefined, isId = isUuid): ListCursor | null {
  const match = /^([\d: .+-]{10,40})~([\w-]{1,64})$/.exec(text ?? "");
  const [, createdAt, id] = match ?? [];
  if (createdAt === undefined || id === undefined || !isId(id)) return null;
  return Number.isNaN(Date.parse(createdAt)) ? null : { createdAt, id };
}

export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}
