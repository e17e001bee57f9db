import {
  type AttemptsOptions,
  type Claim,
  type SettleAnswer,
  type SettleJson,
  toSettle,
} from "./attempts.ts";
import { type Database, partClaims } from "./database.ts";

/** What a worker knows of a claim that it fenced, and a failover may have lost. */
export interface Vouched extends Claim {
  /** Of its fence. */
  messageDate: Date;
  /** What it came to, as `settlementJson` makes it; null: the reply is awaited. */
  settlement: object | null;
}

export interface VouchAnswer {
  /** The fence was lost, and is there again. */
  isAgain: boolean;
  /** False: the database has no such email any more. */
  isThere: boolean;
  /** Null while the reply is awaited. */
  settled: SettleAnswer | null;
}

/** Writes again what a failover may have lost. */
export interface Vouches {
  /** What the database knows stays as it is. An answer for each, in their order. */
  write(vouched: readonly Vouched[]): Promise<VouchAnswer[]>;
}

export function createVouches(
  database: Database,
  { workerId, region, transport }: AttemptsOptions,
): Vouches {
  const as = partClaims("worker", region);
  return {
    async write(vouched) {
      const items = vouched.map(({ id, token, messageDate, settlement }) => ({
        ...{ transport, region, ...settlement },
        ...{ id, token, message_date: messageDate },
      }));
      const args = { worker_id: workerId, items };
      const answers = (await database.rpc("vouch_attempts", args, as)) as VouchJson[];
      return answers.map(({ is_again: isAgain, is_there: isThere, settled }) => {
        return { isAgain, isThere, settled: settled && toSettle(settled) };
      });
    },
  };
}

interface VouchJson {
  is_again: boolean;
  is_there: boolean;
  settled: SettleJson | null;
}
