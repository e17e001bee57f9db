-- recent_writers: where the log of this server is, and which owners something was written for lately,
-- so that a read replica answers those it is new enough for.
-- args { owners: [..], within_ms }; answer { lsn, writers: [..], is_anybody, system | null }.
--
-- lsn: what is flushed to the log by now; every transaction that was answered before this call lies
-- below it. writers: those of `owners` with an entry of the journal that is younger than within_ms or
-- not sealed yet; every change of what an owner sees writes one. is_anybody: there is such an entry of
-- any owner. More than 1000 unsealed entries count as everybody's. system: of the cluster, for telling
-- its replicas from others; null where the server does not say.
--
-- Reads two indexes, and as many rows as are unsealed: those of about the last 200 ms.
create or replace function mailer.recent_writers(args text) returns text
language plpgsql volatile set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_since timestamptz := clock_timestamp()
    - make_interval(secs => (v_args ->> 'within_ms')::float8 / 1000);
  v_most constant integer := 1000;
  v_unsealed text[];
  v_writers jsonb;
  v_newest timestamptz;
begin
  v_unsealed := array(
    (select j.owner_id from mailer.journal j
      where j.id > (select s.sealed_to from mailer.sealer s where s.is_only_row)
      order by j.id limit v_most)
    union all
    (select j.owner_id from mailer.journal_gaps g
      join mailer.journal j on j.id between g.from_id and g.to_id limit v_most));
  select coalesce(jsonb_agg(o.owner), '[]') into v_writers
  from jsonb_array_elements_text(v_args -> 'owners') o (owner)
  where cardinality(v_unsealed) >= v_most or o.owner = any (v_unsealed)
    or v_since <= (select j.at from mailer.journal j where j.id = (
      select s.entry_id from mailer.seals s where s.owner_id = o.owner
      order by s.position desc limit 1));
  select j.at into v_newest from mailer.journal j where j.id = (
    select s.entry_id from mailer.seals s order by s.position desc limit 1);
  return json_build_object('lsn', pg_catalog.pg_current_wal_flush_lsn()::text,
    'writers', v_writers,
    'is_anybody', cardinality(v_unsealed) > 0 or coalesce(v_newest >= v_since, false),
    'system', mailer.system_mark())::text;
end
$$;

call mailer.offer('recent_writers', 'reader');
