-- shred_old: destroys the content of emails that ended more than `days` ago (RETENTION_DAYS).
--
-- args { days; after: the answer before, null at first; limit: emails looked at }
-- answer { shredded, after: where to go on; null: the end was reached }
--
-- Guarantees: an email that may still be sent is left alone, however old; what somebody else has
-- locked is left for the next time. The rows of contents are the list of what is left to do, in the
-- order of ids: so it costs what there is to destroy, and the emails that wait for a far day. Entries
-- say how many of each owner, and between which ids: `retention.shredded`.
create or replace function mailer.shred_old(args text) returns text
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_before timestamptz := clock_timestamp() - (v_args ->> 'days')::integer * interval '1 day';
  v_looked uuid[];
  v_ids uuid[];
  v_owners jsonb;
begin
  v_looked := array(
    select c.email_id from mailer.contents c
    where c.email_id > coalesce((v_args ->> 'after')::uuid, '00000000-0000-0000-0000-000000000000')
      and c.email_id < mailer.first_id_after(v_before)
    order by c.email_id limit v_limit);
  v_ids := mailer.ended_before(v_looked, v_before);
  select jsonb_agg(to_jsonb(o)) into v_owners from (
    select e.owner_id, count(*) as count, min(e.id::text) as first_id, max(e.id::text) as last_id
    from mailer.emails e where e.id = any (v_ids) and e.wrapped_key is not null
    group by e.owner_id order by e.owner_id) o;
  perform mailer.destroy_contents(v_ids);
  delete from mailer.contents c where c.email_id = any (v_ids);
  if v_owners is not null then
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, action, detail)
    select o ->> 'owner_id', mailer.claim_sub(), 'retention.shredded', o - 'owner_id'
    from jsonb_array_elements(v_owners) o;
  end if;
  return jsonb_build_object(
    'shredded', coalesce((select sum((o ->> 'count')::integer)
      from jsonb_array_elements(v_owners) o), 0),
    'after', case when cardinality(v_looked) = v_limit then v_looked[v_limit] end)::text;
end
$$;

call mailer.offer('shred_old', 'maintenance');
