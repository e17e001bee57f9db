import type { Fault } from "./fault.ts";
import { redisFlushed } from "./redis-faults.ts";

/** Every fault, in the order of the table. */
export const faults: Fault[] = [redisFlushed];
