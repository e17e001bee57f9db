-- drop_old: deletes emails that ended more than `days` ago (RETENTION_METADATA_DAYS), with their
-- recipients, attempts and content. Their entries of the journal stay: the chains are verified as ever.
--
-- args { days; after: the answer before, null at first; limit: emails looked at }
-- answer { dropped, after: where to go on, null: the end was reached; is_busy: the sealer is at work,
--   and nothing was done }
--
-- Guarantees: as shred_old. The counts of email_counts go down with the emails, under the sealer's lock,
-- which alone writes them otherwise; only emails whose entries are all sealed, and so counted, go.
create or replace function mailer.drop_old(args text) returns text
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_before timestamptz := clock_timestamp() - (v_args ->> 'days')::integer * interval '1 day';
  v_looked uuid[];
  v_ids uuid[];
  v_states jsonb;
begin
  if not pg_try_advisory_xact_lock(7382640002) then
    return jsonb_build_object('dropped', 0, 'after', v_args -> 'after', 'is_busy', true)::text;
  end if;
  v_looked := array(
    select e.id from mailer.emails e
    where e.id > coalesce((v_args ->> 'after')::uuid, '00000000-0000-0000-0000-000000000000')
      and e.id < mailer.first_id_after(v_before)
    order by e.id limit v_limit);
  v_ids := array(select i from unnest(mailer.ended_before(v_looked, v_before)) i
    where not exists (select from mailer.journal j left join mailer.seals s on s.entry_id = j.id
      where j.email_id = i and s.entry_id is null));
  delete from mailer.contents c where c.email_id = any (v_ids);
  delete from mailer.recipients r where r.email_id = any (v_ids);
  delete from mailer.attempts a where a.email_id = any (v_ids);
  with gone as (
    delete from mailer.emails e where e.id = any (v_ids) returning e.id, e.owner_id, e.state
  )
  select jsonb_agg(to_jsonb(g)) into v_states from (
    select gone.owner_id, gone.state, count(*) as count, min(gone.id::text) as first_id,
      max(gone.id::text) as last_id
    from gone group by gone.owner_id, gone.state order by gone.owner_id, gone.state) g;
  if v_states is not null then
    update mailer.email_counts c set n = c.n - g.count
    from jsonb_to_recordset(v_states) as g (owner_id text, state text, count bigint)
    where c.owner_id = g.owner_id and c.counted = g.state and c.day = '-infinity';
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, action, detail)
    select g ->> 'owner_id', mailer.claim_sub(), 'retention.dropped', g - 'owner_id'
    from jsonb_array_elements(v_states) g;
  end if;
  return jsonb_build_object('is_busy', false,
    'dropped', coalesce((select sum((g ->> 'count')::integer)
      from jsonb_array_elements(v_states) g), 0),
    'after', case when cardinality(v_looked) = v_limit then v_looked[v_limit] end)::text;
end
$$;

call mailer.offer('drop_old', 'maintenance');
