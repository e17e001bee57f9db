-- drop_signing_key: args { kid, origin }; answer {}. Once and for good; again is no change. Sessions
-- that rest on it are found no more.
create or replace function mailer.drop_signing_key(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  insert into mailer.dropped_signing_keys (kid, dropped_at, dropped_by)
  values (v_args ->> 'kid', date_trunc('milliseconds', clock_timestamp()), mailer.claim_sub())
  on conflict (kid) do nothing;
  if not found then
    return '{}';
  end if;
  perform mailer.write_entry(mailer.claim_sub(), 'signing_key.dropped',
    jsonb_build_object('kid', v_args ->> 'kid'), v_args ->> 'origin');
  return '{}';
end
$$;

call mailer.offer('drop_signing_key', 'admin');
