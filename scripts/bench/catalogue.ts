import { accept, batch } from "./accept.ts";
import { attachments } from "./attachments.ts";
import { backlog } from "./backlog.ts";
import { burst } from "./burst.ts";
import { filled } from "./filled.ts";
import { flow } from "./flow.ts";
import { growth } from "./growth.ts";
import { killedBurst } from "./killed-burst.ts";
import { lateness, rateLimit } from "./lateness.ts";
import type { Measurement } from "./measurement.ts";
import { embedded, start } from "./start.ts";
import { webhooks } from "./webhooks.ts";

/** In the order of the table. */
export const measurements: Measurement[] = [
  burst,
  killedBurst,
  flow,
  accept,
  batch,
  lateness,
  start,
  embedded,
  rateLimit,
  attachments,
  backlog,
  growth,
  filled,
  webhooks,
];
