import { cancelRace } from "./cancel-faults.ts";
import { changeRace } from "./change-faults.ts";
import { claimsForgotten, commitAfterDeadline, settleRefused } from "./claim-faults.ts";
import { clocksOff } from "./clock-faults.ts";
import { commitLost } from "./durability-faults.ts";
import { killedAtEveryStep } from "./fail-point-faults.ts";
import type { Fault } from "./fault.ts";
import {
  floodBesideOwners,
  floodShared,
  manyOwners,
  pausedWithoutRedis,
  redisAbsent,
} from "./flood-faults.ts";
import { functionsRefused } from "./function-faults.ts";
import { hopDown } from "./hop-faults.ts";
import { ddlBesideTraffic, rowsLocked, slowDatabase } from "./lock-faults.ts";
import { onPostgresAlone } from "./on-postgres-alone.ts";
import { throughAPooler } from "./pooler-faults.ts";
import { postgresHung, postgresKilled, postgresReadOnly, replyLost } from "./postgres-faults.ts";
import {
  redisDowns,
  redisFlushed,
  redisHalfOpen,
  redisInPart,
  redisOutOfMemory,
  workerCutOff,
} from "./redis-faults.ts";
import { regionDead, regionsRace } from "./region-faults.ts";
import {
  greylistingHop,
  hopSickInWords,
  refusedAlone,
  tooManyRecipients,
} from "./sick-hop-faults.ts";
import { dotReplyLost, everySmtpReply, partialAcceptance } from "./smtp-faults.ts";
import { killedFiveTimes, killedTwice, poisonAlone, poisonInFlood } from "./suspicion-faults.ts";
import {
  apiKilled,
  stoppedUnderLoad,
  stoppedWithoutRedis,
  workerFrozen,
  workersKilled,
} from "./worker-faults.ts";

/** Every fault, in the order of the table. */
export const faults: Fault[] = [
  workersKilled,
  killedAtEveryStep,
  workerFrozen,
  apiKilled,
  stoppedUnderLoad,
  stoppedWithoutRedis,
  poisonAlone,
  poisonInFlood,
  killedTwice,
  killedFiveTimes,
  floodBesideOwners,
  manyOwners,
  floodShared,
  redisAbsent,
  pausedWithoutRedis,
  redisFlushed,
  ...redisDowns,
  redisHalfOpen,
  redisOutOfMemory,
  redisInPart,
  workerCutOff,
  postgresKilled,
  postgresHung,
  postgresReadOnly,
  replyLost,
  settleRefused,
  commitAfterDeadline,
  claimsForgotten,
  functionsRefused,
  commitLost,
  rowsLocked,
  ddlBesideTraffic,
  slowDatabase,
  throughAPooler,
  regionsRace,
  regionDead,
  everySmtpReply,
  dotReplyLost,
  partialAcceptance,
  hopDown,
  hopSickInWords,
  refusedAlone,
  greylistingHop,
  tooManyRecipients,
  cancelRace,
  changeRace,
  clocksOff,
  ...[workersKilled, replyLost, functionsRefused].map(onPostgresAlone),
];
