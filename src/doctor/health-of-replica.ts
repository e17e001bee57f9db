import type { ReadReplica } from "../store/read-replica.ts";
import type { HealthComponent } from "./health-of-work.ts";

/** The primary answers everything meanwhile: nothing fails, and its load is that of both. */
export function checkReadReplica(
  replica: Pick<ReadReplica, "status" | "lagMaxMs">,
): HealthComponent {
  const status = replica.status();
  switch (status.kind) {
    case "down":
      return degraded("the read replica does not answer, so the primary answers lists");
    case "promoted":
      return degraded("DATABASE_READ_URL leads to a server that is no replica (any more)");
    case "foreign":
      return degraded("DATABASE_READ_URL leads to a replica of another database cluster");
    case "follows": {
      if (status.lagMs < replica.lagMaxMs) return { status: "ok" };
      const seconds = (status.lagMs / 1000).toFixed(1);
      return degraded(`the read replica is ${seconds} s behind, so the primary answers lists`);
    }
  }
}

function degraded(detail: string): HealthComponent {
  return { status: "degraded", detail };
}
