-- is_unvouched: whether nothing may be claimed yet: the caller has not heard of the failover, or a
-- worker has not written again what it sent before it, and is not found dead either.
create or replace function mailer.is_unvouched(p_timeline text, p_callers text, p_now timestamptz)
returns boolean
language plpgsql stable set search_path = ''
as $$
declare
  -- A worker whose row the standby lacks has beaten again by then.
  c_grace constant interval := '2 seconds';
begin
  return coalesce(p_timeline <> p_callers, false)
    or exists (select from mailer.timelines t
      where t.timeline = p_timeline and p_now between t.since and t.since + c_grace)
    or exists (select from mailer.workers w
      where w.timeline <> p_timeline and w.role <> 'api' and w.reaped_at is null
        and w.stopped_at is null);
end
$$;
