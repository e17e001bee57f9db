import { createApiKeys, type StoredApiKey } from "../store/api-keys.ts";
import { type Finding, ok, type Patient, warning } from "./finding.ts";

/** Names beyond this are counted only. */
const shownMax = 10;

/**
 * API keys that act as an admin. What an admin's token says is looked at each time; a key goes on
 * when its owner is no admin any more, until it ends or somebody revokes it.
 */
export async function checkApiKeys({ database }: Patient): Promise<Finding[]> {
  if (database === null) return [];
  const keys = await createApiKeys(database).listAdmins();
  if (keys.length === 0) return [ok("admin keys", "no API key acts as an admin")];
  const rest = keys.length - shownMax;
  const names = [...keys.slice(0, shownMax).map(wordsOf), ...(rest > 0 ? [`${rest} more`] : [])];
  const saw = `${keys.length} act as an admin: ${names.join("; ")}`;
  if (keys.every(({ expiresAt }) => expiresAt !== null)) return [ok("admin keys", saw)];
  const advice =
    "A key that never expires outlasts its owner's role: revoke it (api-keys revoke) and make one " +
    "that does.";
  return [warning("admin keys", saw, advice)];
}

function wordsOf({ name, prefix, ownerId, expiresAt }: StoredApiKey): string {
  const end =
    expiresAt === null ? "never expires" : `expires ${expiresAt.toISOString().slice(0, 10)}`;
  return `${name} (${prefix}…) of ${ownerId}, ${end}`;
}
