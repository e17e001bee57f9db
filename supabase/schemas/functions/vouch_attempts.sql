-- vouch_attempts: writes again what a worker fenced, and what came of it, where a failover lost it.
--
-- args { worker_id, items: [{ id, token, message_date, transport, region, and, unless the reply is
--   still awaited, the rest of an item of settle_attempts }] }
-- answer, in their order: [{ is_again: the fence was lost, and is there again; is_there: the email
--   is; settled: as settle_attempts answers, null while the reply is awaited }]
--
-- Guarantees: what the database knows stays as it is. An email that is pending or not fenced here,
-- under this token or an older one, is fenced under this token, and ended like any other; its entry
-- email.sending says that a failover is the reason.
create or replace function mailer.vouch_attempts(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  v_items jsonb := v_args -> 'items';
  v_asked uuid[] := array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i);
  v_now timestamptz;
  v_there uuid[];
  v_again jsonb;
  v_ended jsonb;
  v_settled jsonb := '[]';
begin
  v_there := array(select e.id from mailer.emails e where e.id = any (v_asked)
    order by e.id for update);
  v_now := date_trunc('milliseconds', clock_timestamp());

  with item as (
    select i.*, row_number() over (partition by i.id order by i.token desc) as turn
    from jsonb_to_recordset(v_items) as i (id uuid, token bigint, message_date timestamptz,
      transport text, region text)
  ),
  fenced as (
    update mailer.emails e set state = 'sending', worker_id = (v_args ->> 'worker_id')::uuid,
      claimed_at = case when e.claim_token = i.token then e.claimed_at else v_now end,
      claim_token = i.token, fenced_at = v_now, message_date = i.message_date,
      sequence = e.sequence + 1
    from item i
    where e.id = any (v_asked) and e.id = i.id and i.turn = 1 and e.claim_token <= i.token
      and (e.state is not distinct from 'pending'
        or (e.state is not distinct from 'sending' and e.fenced_at is null))
      and 0 = (select count(*) from mailer.attempts a
        where a.email_id = i.id and a.claim_token = i.token)
    returning e.id, e.owner_id, e.sequence, e.attempts + 1 as attempt, i.transport, i.region
  )
  select coalesce(jsonb_agg(to_jsonb(f)), '[]') into v_again from fenced f;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select f.owner_id, mailer.claim_sub(), 'email.sending', f.id, f.sequence,
    jsonb_build_object('status', 'sending', 'attempt', f.attempt, 'transport', f.transport,
      'region', f.region, 'reason', 'failover')
  from jsonb_to_recordset(v_again) as f (id uuid, owner_id text, sequence integer,
    attempt integer, transport text, region text);

  select jsonb_agg(i order by n) into v_ended
  from jsonb_array_elements(v_items) with ordinality as q (i, n) where i ->> 'outcome' is not null;
  if v_ended is not null then
    v_settled := mailer.settle_attempts(v_ended::text);
  end if;
  return (
    select json_agg(json_build_object(
      'is_again', exists (select from jsonb_array_elements(v_again) f where f ->> 'id' = i ->> 'id'),
      'is_there', (i ->> 'id')::uuid = any (v_there),
      'settled', case when i ->> 'outcome' is not null
        then v_settled -> (place::integer - 1) end) order by n)
    from (select i, n, count(*) filter (where i ->> 'outcome' is not null) over (order by n) as place
      from jsonb_array_elements(v_items) with ordinality as q (i, n)) p)::text;
end
$$;

call mailer.offer('vouch_attempts', 'worker');
