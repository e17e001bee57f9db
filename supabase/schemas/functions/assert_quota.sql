-- assert_quota: raises quota_exceeded when so many more emails that wait would take their owner over
-- QUOTA_PENDING (null: none). One change of an owner at a time, with what over_quota counts. An admin
-- who replays for somebody decides so.
create or replace function mailer.assert_quota(p_owner text, p_new bigint, p_quota bigint)
returns void
language plpgsql set search_path = ''
as $$
declare
  v_waiting bigint;
begin
  if p_quota is null or p_new = 0 or mailer.claim_role() <> 'user' then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended(p_owner, 7382640003));
  v_waiting := mailer.count_waiting(p_owner);
  if v_waiting + p_new > p_quota then
    raise exception using errcode = 'TM001', message = 'quota_exceeded',
      detail = format('The quota of %s emails that wait to be sent is used up: %s wait already.',
        p_quota, v_waiting);
  end if;
end
$$;

grant execute on function mailer.assert_quota(text, bigint, bigint) to mailer_owner;
