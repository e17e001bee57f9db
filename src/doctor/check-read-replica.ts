import type { Database } from "../store/database.ts";
import { createRecentWriters, type WriteMark } from "../store/recent-writers.ts";
import { connectReplica, type ReplicaConnection } from "../store/replica-connection.ts";
import { type Finding, failed, ok, type Patient, reasonOf, warning } from "./finding.ts";

const check = "read replica";
/** A replica that needs longer than this is behind, by whatever READ_LAG_MAX_MS allows. */
const waitMsMax = 3_000;
const lookEveryMs = 50;
const stillServed = "Until then the primary answers everything, and nothing fails.";

/** Whether the replica answers, is one, is this database's, and how far it is behind. */
export async function checkReadReplica({ config, database }: Patient): Promise<Finding[]> {
  if (config.readReplica === null || database === null) return [];
  const replica = connectReplica(config.readReplica.url);
  try {
    return [await judge(replica, database, config.readReplica.lagMaxMs)];
  } catch (error) {
    const advice = `Check the address and the password in DATABASE_READ_URL. ${stillServed}`;
    return [failed(check, `cannot ask the read replica: ${reasonOf(error)}`, advice)];
  } finally {
    await replica.close();
  }
}

async function judge(
  replica: ReplicaConnection,
  database: Database,
  lagMaxMs: number,
): Promise<Finding> {
  const mark = await createRecentWriters(database, { lagMaxMs }).mark(null);
  const facts = await replica.look();
  if (!facts.isReplica) {
    return failed(
      check,
      "DATABASE_READ_URL leads to a server that is no replica (any more)",
      `Point it to a streaming replica of the database. ${stillServed}`,
    );
  }
  if (facts.system !== null && mark.system !== null && facts.system !== mark.system) {
    return failed(
      check,
      "DATABASE_READ_URL leads to a replica of another database cluster",
      `Point it to a streaming replica of the database. ${stillServed}`,
    );
  }
  const lagMs = await waitFor(replica, mark);
  if (lagMs < lagMaxMs && lagMs < waitMsMax) {
    return ok(check, `it follows the primary, at most ${Math.ceil(lagMs)} ms behind`);
  }
  return warning(
    check,
    `the read replica is more than ${(lagMs / 1000).toFixed(1)} s behind`,
    `See what holds it up: a long query there, the network, or a paused replay. ${stillServed}`,
  );
}

/** How long it takes to have what the primary had when it was asked. */
async function waitFor(replica: ReplicaConnection, { lsn, askedAtMs }: WriteMark): Promise<number> {
  for (;;) {
    const facts = await replica.look();
    const tookMs = performance.now() - askedAtMs;
    if ((facts.lsn ?? 0n) >= lsn || tookMs > waitMsMax) return tookMs;
    await Bun.sleep(lookEveryMs);
  }
}
