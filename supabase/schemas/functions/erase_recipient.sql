-- erase_recipient: destroys the content of every email to one person that has ended: a user's own, an
-- admin's of everybody, or of one owner.
--
-- args { address_index: of the address, under each key that is in use; owner | null; after: { owner, id }
--   of the answer before, null at first; limit; dry_run; origin }
-- answer { erased: of this call, not_finished: emails that may still be sent, and were left alone;
--   after: where to go on, null: that was all }
--
-- Guarantees: what shred_email guarantees, for each of them; the whole email goes, also where it had
-- other recipients. Found by the blind index, so it costs what there is of that person, and one look
-- for each owner.
create or replace function mailer.erase_recipient(args text) returns text
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_indexes text[] := mailer.texts_of(v_args -> 'address_index');
  v_owner text := mailer.whose(v_args ->> 'owner');
  v_after_owner text := coalesce(v_args -> 'after' ->> 'owner', '');
  v_after_id uuid := coalesce((v_args -> 'after' ->> 'id')::uuid,
    '00000000-0000-0000-0000-000000000000');
  v_found jsonb;
  v_ids uuid[];
  v_rows jsonb;
  v_not_finished integer;
begin
  -- One probe of the index for each owner: the index of addresses begins with them.
  with recursive owners (owner_id) as (
    (select r.owner_id from mailer.recipients r
      where v_owner is null and r.owner_id >= v_after_owner order by r.owner_id limit 1)
    union all
    select (select r.owner_id from mailer.recipients r where r.owner_id > o.owner_id
      order by r.owner_id limit 1)
    from owners o where o.owner_id is not null
  )
  select coalesce(jsonb_agg(to_jsonb(f) order by f.owner_id, f.id), '[]') into v_found from (
    select o.owner_id, r.id from (
      select v_owner as owner_id where v_owner is not null
      union all
      select w.owner_id from owners w where w.owner_id is not null) o
    cross join lateral (
      select distinct r.email_id as id from mailer.recipients r
      where r.owner_id = o.owner_id and r.address_index = any (v_indexes)
        and (o.owner_id, r.email_id) > (v_after_owner, v_after_id)
      order by r.email_id limit v_limit) r
    where o.owner_id >= v_after_owner
    order by o.owner_id, r.id limit v_limit) f;
  v_ids := array(select e.id from mailer.emails e
    where e.id = any (array(select (f ->> 'id')::uuid from jsonb_array_elements(v_found) f))
    order by e.id for update);
  v_not_finished := (select count(*) from mailer.emails e
    where e.id = any (v_ids) and e.state in ('pending', 'sending', 'held'));
  v_ids := array(select e.id from mailer.emails e where e.id = any (v_ids)
    and e.state not in ('pending', 'sending', 'held') and e.wrapped_key is not null);
  if not coalesce((v_args ->> 'dry_run')::boolean, false) then
    perform mailer.destroy_contents(v_ids);
    with moved as (
      update mailer.emails e set version = e.version + 1, sequence = e.sequence + 1
      where e.id = any (v_ids) returning e.id, e.owner_id, e.state, e.sequence
    )
    select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
    select m.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'email.shredded', m.id, m.sequence,
      jsonb_build_object('status', m.state, 'reason', 'erased')
    from jsonb_to_recordset(v_rows) as m (id uuid, owner_id text, state text, sequence integer);
  end if;
  return jsonb_build_object('erased', cardinality(v_ids), 'not_finished', v_not_finished,
    'after', case when jsonb_array_length(v_found) = v_limit
      then jsonb_build_object('owner', v_found -> -1 -> 'owner_id', 'id', v_found -> -1 -> 'id')
      end)::text;
end
$$;

call mailer.offer('erase_recipient', 'user', 'admin');
