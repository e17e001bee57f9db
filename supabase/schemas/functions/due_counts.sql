-- due_counts: how many emails of the caller's, or for an admin of everybody's, go out when, and what
-- the last hour came to.
-- args: { edges: [timestamptz, ...] at most 81, rising; past_edges: the same, of the last hour;
--         bucket_max, past_max }
-- answer: { planned: [n, ...], past: { sent: [n, ...], deferred: [...], failed: [...] },
--           past_since, sent, deferred, failed, late_p50_ms | null, late_p99_ms | null }
-- One number for each space between two edges; none is above bucket_max. `past` is of the newest
-- past_max entries of the journal within the past edges: past_since is where they begin. Lateness is
-- of at most 500 of the emails that were sent then.
--
-- Guarantees: reads at most (edges * regions * bucket_max) entries of an index on pending emails and
-- past_max entries of the journal, whatever there is.
create or replace function mailer.due_counts(args text) returns text
language plpgsql stable
set search_path = '' set jit = off
as $$
declare
  v_args jsonb := args;
  v_sub text := mailer.whose(null);
  v_edges timestamptz[] := array(
    select value::timestamptz from jsonb_array_elements_text(v_args -> 'edges') limit 81);
  v_past_edges timestamptz[] := array(
    select value::timestamptz from jsonb_array_elements_text(v_args -> 'past_edges') limit 81);
  v_bucket_max integer := least((v_args ->> 'bucket_max')::integer, 5000);
  v_past_max integer := least((v_args ->> 'past_max')::integer, 20000);
  v_regions text[] := array(select mailer.pending_regions());
  v_planned integer[] := '{}';
  v_count integer;
  v_past jsonb;
  v_late jsonb;
begin
  for v_bucket in 1 .. coalesce(array_length(v_edges, 1), 0) - 1 loop
    if v_sub is null then
      select coalesce(sum(q.count), 0) into v_count
      from unnest(v_regions) as r (region)
      cross join lateral (select count(*) from (
        select from mailer.emails e where e.state = 'pending' and e.region = r.region
          and e.next_attempt_at >= v_edges[v_bucket] and e.next_attempt_at < v_edges[v_bucket + 1]
        limit v_bucket_max) s) q;
    else
      select coalesce(sum(q.count), 0) into v_count
      from unnest(v_regions) as r (region)
      cross join lateral (select count(*) from (
        select from mailer.emails e where e.state = 'pending' and e.crashes < 2
          and e.region = r.region and e.owner_id = v_sub
          and e.next_attempt_at >= v_edges[v_bucket] and e.next_attempt_at < v_edges[v_bucket + 1]
        limit v_bucket_max) s) q;
    end if;
    v_planned := v_planned || least(v_count, v_bucket_max);
  end loop;

  with entries as (
    select j.at, j.action, j.email_id
    from mailer.seals s join mailer.journal j on j.id = s.entry_id
    where v_sub is null or s.owner_id = v_sub
    order by s.position desc limit v_past_max
  ), within as (
    select e.at, e.email_id, case e.action when 'email.sent' then 'sent'
      when 'email.deferred' then 'deferred' when 'email.failed' then 'failed' end as outcome,
      width_bucket(e.at, v_past_edges) as bucket
    from entries e
    where e.action in ('email.sent', 'email.deferred', 'email.failed')
      and e.at >= v_past_edges[1] and e.at < v_past_edges[array_length(v_past_edges, 1)]
  ), counts as (
    select o.outcome, jsonb_agg(coalesce(c.count, 0) order by b.bucket) as by_bucket
    from unnest(array['sent', 'deferred', 'failed']) as o (outcome)
    cross join generate_series(1, array_length(v_past_edges, 1) - 1) as b (bucket)
    left join (select w.outcome, w.bucket, count(*) from within w group by 1, 2) c
      on c.outcome = o.outcome and c.bucket = b.bucket
    group by o.outcome
  ), lateness as (
    select extract(epoch from e.sent_at - e.scheduled_at) * 1000 as ms
    from (select w.email_id from within w where w.outcome = 'sent' limit 500) s
    join mailer.emails e on e.id = s.email_id
    where e.sent_at is not null
  )
  select (select jsonb_object_agg(c.outcome, c.by_bucket) from counts c),
    jsonb_build_object(
      'past_since', case when (select count(*) from entries) < v_past_max then v_past_edges[1]
        else greatest(v_past_edges[1], (select min(e.at) from entries e)) end,
      'sent', (select count(*) from within w where w.outcome = 'sent'),
      'deferred', (select count(*) from within w where w.outcome = 'deferred'),
      'failed', (select count(*) from within w where w.outcome = 'failed'),
      'late_p50_ms', (select percentile_cont(0.5) within group (order by l.ms) from lateness l),
      'late_p99_ms', (select percentile_cont(0.99) within group (order by l.ms) from lateness l))
  into v_past, v_late;
  return (jsonb_build_object('planned', to_jsonb(v_planned), 'past', v_past) || v_late)::text;
end
$$;

call mailer.offer('due_counts', 'user', 'admin');
