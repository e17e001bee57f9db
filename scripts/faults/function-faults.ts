import fc from "fast-check";
import { inMs } from "../../src/testing/product/email-requests.ts";
import { defineFault } from "./fault.ts";
import { nowAndSoon } from "./load.ts";
import type { World } from "./world.ts";

/** Longer than the beat's second, so that what is called rarely is refused as well. */
const refusedMs = 1_100;
/** Functions refused at a time. */
const lanes = { small: 12, full: 2 };

/** Roles of those who accept, deliver and change emails; a person's sign-in is no part of that. */
const roles = ["accept", "service", "worker", "user"];

interface Refusable {
  name: string;
  /** Roles that may execute it, apart from its owner. */
  grantees: string[];
}

/** Every function that one of the roles may call: a new one is in without being named here. */
function refusable(world: World): Promise<Refusable[]> {
  return world.sql<Refusable>(
    `select f.name, array_agg(g.grantee::text order by g.grantee) as grantees
     from mailer.functions f
     join information_schema.routine_privileges g
       on g.routine_schema = 'mailer' and g.routine_name = f.name and g.privilege_type = 'EXECUTE'
     join pg_catalog.pg_proc p
       on p.pronamespace = 'mailer'::regnamespace and p.proname = f.name
     where f.roles && $1::text[]
     group by f.name order by f.name`,
    [roles],
  );
}

/** 42501 for every call of it, then as before. A database's owner can do that by mistake. */
async function refuse(world: World, { name, grantees }: Refusable): Promise<void> {
  const whom = grantees.join(", ");
  await world.sql(`revoke execute on function mailer.${name}(text) from ${whom}`);
  world.count();
  await Bun.sleep(refusedMs);
  await world.sql(`grant execute on function mailer.${name}(text) to ${whom}`);
}

/** Asks for every kind of change of emails that are due within the next seconds. */
async function changeSome(world: World): Promise<void> {
  const ids = await world.load.burst(60, (index) => ({ scheduled_at: inMs(2_000 + index * 100) }));
  for (const [index, id] of ids.entries()) {
    await Bun.sleep(100);
    if (index % 3 === 0) await world.load.cancel(id);
    else if (index % 3 === 1) await world.load.hold(id);
    else await world.load.release(ids[index - 1] ?? id);
  }
}

export const functionsRefused = defineFault({
  name: "functions-refused",
  what: "Each function of the database that accepts, delivers or changes emails raises 42501 for 1.1 s, at small scale twelve at a time, under load and while emails are cancelled, held and released.",
  mails: { small: 300, full: 5_000 },
  limits: { latenessP99Ms: 10_000 },
  async run(world) {
    await Promise.all([world.start(), world.start({ role: "worker" })]);
    const functions = await refusable(world);
    const [order = functions] = world.draw(
      fc.shuffledSubarray(functions, { minLength: functions.length }),
      1,
    );
    const waiting = [...order];
    const lane = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) await refuse(world, next);
    };
    const count = lanes[world.scale];
    const seconds = (Math.ceil(order.length / count) * refusedMs) / 1_000;
    const perSecond = world.mails / seconds;
    const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
    const changed = changeSome(world);
    await world.outage(() => Promise.all(Array.from({ length: count }, lane)));
    await Promise.all([load, changed]);
  },
});
