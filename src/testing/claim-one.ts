import type { Attempts, ClaimedEmail } from "../store/attempts.ts";
import type { Database } from "../store/database.ts";
import { directSql } from "./direct-sql.ts";

/**
 * Claims this email and no other, due within `aheadMs`; null: it is not to be had, or ended for
 * being late. It stands alone in a region of its own meanwhile, since a claim is for whatever is due.
 */
export async function claimOne(
  database: Database,
  attempts: Pick<Attempts, "claimDue">,
  id: string,
  { aheadMs = 0, suspects = true }: { aheadMs?: number; suspects?: boolean } = {},
): Promise<ClaimedEmail | null> {
  const sql = await directSql(database);
  const alone = `alone-${crypto.randomUUID()}`;
  const [row] = await sql.query("select region from mailer.emails where id = $1", [id]);
  const move = (region: unknown) =>
    sql.query("update mailer.emails set region = $2 where id = $1", [id, region]);
  try {
    await move(alone);
    const asked = { region: alone, limit: 1, aheadMs, perOwner: 1, holds: {}, after: "" };
    const { emails } = await attempts.claimDue({ ...asked, suspects });
    return emails[0] ?? null;
  } finally {
    await move(row?.region ?? null).catch(() => {});
    await sql.close();
  }
}

/** As `claimOne`; fails the test when there is nothing to claim. */
export async function claimedOne(...args: Parameters<typeof claimOne>): Promise<ClaimedEmail> {
  const email = await claimOne(...args);
  if (email === null) throw new Error(`not claimed: ${args[2]}`);
  return email;
}
