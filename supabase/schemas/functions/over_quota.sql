-- over_quota: which of accept_emails' requests would take their owner over a quota, as
-- { <place from 1>: answer }. Only where a request names a quota anything is locked or counted:
-- then one commit of that owner at a time, so that what is counted stays true until it is stored.
-- A claimed email is pending still, a fenced one is not; held ones count as well, or hold and
-- release would get around it (count_waiting).
create or replace function mailer.over_quota(requests json, now_at timestamptz) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_today timestamptz := date_trunc('day', now_at, 'UTC');
  v_over jsonb := '{}';
  v_owner text;
  v_request record;
  v_today_count bigint;
  v_pending_count bigint;
  v_new integer;
begin
  for v_owner in
    select distinct r ->> 'owner_id' from json_array_elements(requests) r
    where json_typeof(r -> 'quota') = 'object' order by 1
  loop
    perform pg_advisory_xact_lock(hashtextextended(v_owner, 7382640003));
    v_today_count := null;
    v_pending_count := null;
    for v_request in
      select n, r, (r -> 'quota' ->> 'per_day')::bigint as per_day,
        (r -> 'quota' ->> 'pending')::bigint as pending
      from json_array_elements(requests) with ordinality as q (r, n)
      where r ->> 'owner_id' = v_owner order by n
    loop
      -- One that was answered before is answered again, whatever the quota.
      continue when exists (select from mailer.idempotency_keys k where k.owner_id = v_owner
        and k.path = v_request.r -> 'idempotency' ->> 'path'
        and k.key = v_request.r -> 'idempotency' ->> 'key')
        or exists (select from mailer.emails e
          where e.id = (v_request.r -> 'emails' -> 0 ->> 'id')::uuid);
      v_new := json_array_length(v_request.r -> 'emails');
      if v_request.per_day is not null then
        v_today_count := coalesce(v_today_count,
          (mailer.email_counts_of(v_owner) ->> 'accepted')::bigint, 0);
        if v_today_count + v_new > v_request.per_day then
          v_over := v_over || jsonb_build_object(v_request.n::text, jsonb_build_object(
            'kind', 'quota_exceeded', 'quota', 'per_day', 'used', v_today_count,
            'resets_in_seconds', ceil(extract(epoch from v_today + interval '1 day' - now_at))));
          continue;
        end if;
      end if;
      if v_request.pending is not null then
        v_pending_count := coalesce(v_pending_count, mailer.count_waiting(v_owner));
        if v_pending_count + v_new > v_request.pending then
          v_over := v_over || jsonb_build_object(v_request.n::text, jsonb_build_object(
            'kind', 'quota_exceeded', 'quota', 'pending', 'used', v_pending_count,
            'resets_in_seconds', null));
          continue;
        end if;
      end if;
      v_today_count := v_today_count + v_new;
      v_pending_count := v_pending_count + v_new;
    end loop;
  end loop;
  return v_over;
end
$$;
