-- list_claims: claims of a worker that its memory should hold by now. A worker audits itself: what
-- the database says that it has claimed and its memory does not hold is found within seconds,
-- whatever lost it: an answer that never came, a commit that came after its deadline, a fault of
-- the program.
--
-- args { worker_id, lost: [id], is_all: list every claim }; answer [{ id, token, is_fenced }], at
--   most 10,000
--
-- Named are fenced claims; of the others those claimed over a second ago, and those of `lost`, the
-- emails whose claim had no answer. An email claimed ahead of its time says that time as the moment
-- of its claim, and is not looked at before; 10 s are more than the furthest ahead, so a claim
-- that seems later than that was made before the clock was set back.
create or replace function mailer.list_claims(args text) returns text
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off
as $$
declare
  v_args jsonb := args;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_lost uuid[] := array(select l::uuid from jsonb_array_elements_text(v_args -> 'lost') l);
  v_now timestamptz := clock_timestamp();
  v_is_all boolean := coalesce((v_args ->> 'is_all')::boolean, false);
begin
  return (
    select coalesce(json_agg(json_build_object('id', c.id, 'token', c.claim_token,
      'is_fenced', c.fenced_at is not null)), '[]')::text
    from (
      select e.id, e.claim_token, e.fenced_at from mailer.emails e
      where e.worker_id = v_worker and e.state = 'sending'
        and (v_is_all or e.fenced_at is not null or e.id = any (v_lost)
          or e.claimed_at not between v_now - interval '1 second' and v_now + interval '10 seconds')
      limit 10000
    ) c
  );
end
$$;

call mailer.offer('list_claims', 'worker');
