export interface Walls {
  /** SQL that takes the other one down, in a database that is thrown away afterwards. */
  down: string[];
  stillUp: "both" | "rows" | "checks";
}

/**
 * Between two owners stand two walls: the functions check the claims, and row-level security
 * stands beneath. Each must keep bob out of ada's rows alone, with the other one taken down.
 */
export const walls: Record<string, Walls> = {
  "with both walls": { down: [], stillUp: "both" },
  "by row-level security alone": {
    // To every function the caller looks like an admin, so that none of them checks anything.
    down: [
      `create or replace function mailer.claim_role() returns text
         language sql stable as $$ select 'admin' $$`,
    ],
    stillUp: "rows",
  },
  "by the functions' own checks alone": {
    down: [
      `do $$ declare t regclass; begin
         for t in select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where n.nspname = 'mailer' and c.relkind in ('r', 'p')
         loop execute format('alter table %s disable row level security', t); end loop;
       end $$`,
    ],
    stillUp: "checks",
  },
};
