-- end_tokens: args { sub, origin }; answer { not_before, wait_ms, sessions }.
-- Guarantees: no token of this owner counts that was issued before not_before, the next whole second,
-- which is wait_ms away; their sessions end as well (how many). API keys are no tokens and stay.
create or replace function mailer.end_tokens(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_sub text := v_args ->> 'sub';
  v_now timestamptz := clock_timestamp();
  v_not_before timestamptz := date_trunc('second', v_now) + interval '1 second';
  v_ended integer;
begin
  insert into mailer.ended_tokens (owner_id, not_before) values (v_sub, v_not_before)
  on conflict (owner_id) do update set
    not_before = greatest(ended_tokens.not_before, excluded.not_before)
  returning not_before into v_not_before;
  delete from mailer.sessions s where s.owner_id = v_sub;
  get diagnostics v_ended = row_count;
  perform mailer.write_entry(v_sub, 'token.ended',
    jsonb_build_object('not_before', v_not_before, 'sessions', v_ended), v_args ->> 'origin');
  return jsonb_build_object('not_before', v_not_before,
    'wait_ms', greatest(mailer.ms_until(v_not_before, v_now), 0), 'sessions', v_ended)::text;
end
$$;

call mailer.offer('end_tokens', 'admin');
