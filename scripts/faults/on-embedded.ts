import { defineFault, type Fault } from "./fault.ts";

/** The same fault done to the default without any server: one process, with PostgreSQL within it. */
export function onEmbedded(fault: Fault): Fault {
  return defineFault({
    ...fault,
    name: `${fault.name}-on-embedded`,
    what: `The same as ${fault.name}, with one process and its embedded database in place of all servers. ${fault.what}`,
    isLongOnly: true,
    mails: { small: Math.min(fault.mails.small, 200), full: Math.min(fault.mails.full, 2_000) },
    parts: { ...fault.parts, database: "embedded" },
    // One process starts again from its folder, at each death.
    limits: {
      ...fault.limits,
      latenessP99Ms: 20_000,
      ...(fault.limits.othersLatenessP99Ms && { othersLatenessP99Ms: 20_000 }),
    },
  });
}
