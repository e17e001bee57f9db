-- replay_emails: a person sends many dead letters again, to those who have not got them.
--
-- args { ids, start | null, first, rate_per_minute | null, scheduled_at | null, bulk, origin, quota_pending | null }
-- answer { replayed, start }
--
-- To each the same happens as in replay_rows, under its own lock and in id order. Left alone are ids that
-- are no dead letter by now, or not the caller's, or whose content was destroyed, or whose recipients have
-- all got it. The n-th that is replayed, counted from first, is due at start (now, by the database's clock,
-- or scheduled_at) + n * 60 s / rate_per_minute; one that is held not before its own time, unless
-- scheduled_at names another.
create or replace function mailer.replay_emails(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_is_asked boolean := v_args ->> 'scheduled_at' is not null;
  v_ids uuid[];
  v_start timestamptz := coalesce((v_args ->> 'start')::timestamptz,
    mailer.ceil_ms((v_args ->> 'scheduled_at')::timestamptz),
    date_trunc('milliseconds', clock_timestamp()));
  v_gap interval := coalesce(
    interval '60 s' / (v_args ->> 'rate_per_minute')::double precision, interval '0');
  v_first bigint := (v_args ->> 'first')::bigint;
  v_due timestamptz[];
  v_count integer;
begin
  v_ids := array(
    select e.id from mailer.emails e
    where e.id = any (array(select jsonb_array_elements_text(v_args -> 'ids')::uuid))
      and e.state in ('failed', 'uncertain', 'held', 'partially_sent')
      and e.wrapped_key is not null
      and mailer.may_see(e.owner_id)
      and mailer.is_sendable(e)
    order by e.id for update);

  perform mailer.assert_quota(mailer.claim_sub(), (select count(*) from mailer.emails e
    where e.id = any (v_ids) and e.state <> 'held'), (v_args ->> 'quota_pending')::bigint);

  v_due := array(
    select case when q.state = 'held' and not v_is_asked then greatest(q.paced_at, q.next_attempt_at)
      else q.paced_at end
    from (select e.id, e.state, e.next_attempt_at, mailer.ceil_ms(v_start
        + v_gap * (v_first + row_number() over (order by e.id) - 1)) as paced_at
      from mailer.emails e where e.id = any (v_ids)) q
    order by q.id);
  v_count := mailer.replay_rows(v_ids, v_due, v_is_asked, false, v_args);
  return jsonb_build_object('replayed', v_count, 'start', v_start)::text;
end
$$;

call mailer.offer('replay_emails', 'user', 'admin');
