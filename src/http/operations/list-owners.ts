import { isOwnerId } from "../../auth/principal.ts";
import type { Parsed } from "../../email/parsed.ts";
import type { FieldFault } from "../../errors.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import {
  createReader,
  limitDefault,
  limitMax,
  offsetMax,
  parseWhole,
} from "../request/list-query.ts";
import { invalidQuery } from "../request/query.ts";

/** GET /api/v1/owners: whose emails there are, by name, with what each uses of its quotas. */
export function createListOwners({ owners, config }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const page = readOwnersPage(c);
    const { perDay = null, pending: pendingMax = null } = config.quota ?? {};
    const quotas = { emails_per_day: perDay, pending: pendingMax };
    const { owners: found, total, next } = await owners.list(page, claimsOf(c));
    const data = found.map(({ owner, acceptedToday, pending, lastActivityAt }) => ({
      owner,
      usage: { accepted_today: acceptedToday, pending },
      quotas,
      last_activity_at: lastActivityAt,
    }));
    const { limit, offset } = page;
    const place = offset === null ? {} : { offset, total };
    return answer(c, data, {
      page: { limit, ...place, next_cursor: next === null ? null : writeNameCursor(next) },
    });
  };
}

function readOwnersPage(c: ApiContext) {
  const faults: FieldFault[] = [];
  const read = createReader(c, faults);
  const limit = read("limit", (text) => parseWhole(text, 1, limitMax)) ?? limitDefault;
  const offset = read("offset", (text) => parseWhole(text, 0, offsetMax));
  const after = read("cursor", readNameCursor);
  const isByCursor = c.req.query("cursor") !== undefined;
  if (c.req.query("offset") !== undefined && isByCursor) {
    faults.push({ pointer: "/cursor", detail: "expected offset or cursor, got both" });
  }
  if (faults.length > 0) throw invalidQuery(faults);
  return { limit, offset: isByCursor ? null : (offset ?? 0), after };
}

function writeNameCursor(name: string): string {
  return Buffer.from(JSON.stringify({ after: name })).toString("base64url");
}

function readNameCursor(text: string): Parsed<string> {
  const fault = { fault: "expected a next_cursor of an earlier answer, got another text" };
  if (!/^[\w-]{1,2000}$/.test(text)) return fault;
  try {
    const { after } = Object(JSON.parse(Buffer.from(text, "base64url").toString()));
    return isOwnerId(after) ? { value: after } : fault;
  } catch {
    // Not JSON: not ours.
    return fault;
  }
}
