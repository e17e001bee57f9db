import { defineFault, type Fault } from "./fault.ts";

/** The same fault done to processes that know no Redis: BullMQ's queue is in the database. */
export function onPostgresAlone(fault: Fault): Fault {
  return defineFault({
    ...fault,
    name: `${fault.name}-on-postgres-alone`,
    what: `The same as ${fault.name}, with the queue in PostgreSQL and no Redis. ${fault.what}`,
    isLongOnly: true,
    parts: { ...fault.parts, queue: "postgres" },
  });
}
