import { cancelRace } from "./cancel-faults.ts";
import { changeRace } from "./change-faults.ts";
import { claimsForgotten, commitAfterDeadline, settleRefused } from "./claim-faults.ts";
import { clocksOff, databaseClockSet } from "./clock-faults.ts";
import {
  commitLost,
  standbyPromoted,
  standbyPromotedAndWorkerKilled,
} from "./durability-faults.ts";
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
import { straggler } from "./journal-faults.ts";
import { ddlBesideTraffic, rowsLocked, slowDatabase } from "./lock-faults.ts";
import { onEmbedded } from "./on-embedded.ts";
import { onPostgresAlone } from "./on-postgres-alone.ts";
import { throughAPooler } from "./pooler-faults.ts";
import { postgresHung, postgresKilled, postgresReadOnly, replyLost } from "./postgres-faults.ts";
import {
  redisDowns,
  redisFailovers,
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
import { threeRegions } from "./three-region-faults.ts";
import { webhookKilled, webhookReceiverDown, webhookRedisEmptied } from "./webhook-faults.ts";
import {
  webhookDeadBesideOthers,
  webhookHostileReceivers,
  webhookKilledAtEveryStep,
  webhookSecretsRotated,
} from "./webhook-receiver-faults.ts";
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
  ...redisFailovers,
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
  standbyPromoted,
  standbyPromotedAndWorkerKilled,
  rowsLocked,
  ddlBesideTraffic,
  slowDatabase,
  straggler,
  throughAPooler,
  regionsRace,
  regionDead,
  ...threeRegions,
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
  databaseClockSet,
  // One of each kind: claims nobody holds, what concerns one, replies of the hop, changes.
  ...[workersKilled, replyLost, functionsRefused, poisonAlone, refusedAlone, changeRace].map(
    onPostgresAlone,
  ),
  ...[workersKilled, floodBesideOwners, refusedAlone].map(onEmbedded),
  webhookKilled,
  webhookRedisEmptied,
  webhookReceiverDown,
  webhookKilledAtEveryStep,
  webhookDeadBesideOthers,
  webhookHostileReceivers,
  webhookSecretsRotated,
];
