-- lost_claims: which of the emails that a worker holds are not its own any more: cancelled, or taken
-- over. A flood that was cancelled would otherwise cost the next hop a conversation for each.
-- args: [{ id, token }]; answer: [id, …].
create or replace function mailer.lost_claims(args text) returns text
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_items jsonb := args;
begin
  return (select coalesce(json_agg(i.id), '[]')::text
    from jsonb_to_recordset(v_items) as i (id uuid, token bigint)
    left join lateral (select e.state, e.claim_token from mailer.emails e where e.id = i.id limit 1) e
      on true
    where e.state is distinct from 'sending' or e.claim_token <> i.token);
end
$$;

call mailer.offer('lost_claims', 'worker');
