-- journal_state_at: what journal_state gave when the newest sealed entry had this position: the heads of
-- all chains there, of the seals that are kept and, for a chain without one up to there, of its anchor.
-- Not before journal_start.position. Two look-ups for each owner, however long the journal is.
create or replace function mailer.journal_state_at(p_position bigint, out chains bigint, out root text)
language sql stable set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
  select count(*), encode(sha256(coalesce(string_agg(q.owner || int8send(q.number) || q.hash,
    ''::bytea order by q.owner), ''::bytea)), 'hex')
  from (
    select sha256(convert_to(h.owner_id, 'UTF8')) as owner, coalesce(s.number, a.number) as number,
      coalesce(s.hash, a.hash) as hash
    from mailer.journal_heads h
    left join lateral (select s.number, s.hash from mailer.seals s
      where s.owner_id = h.owner_id and s.position <= p_position
      order by s.position desc limit 1) s on true
    left join mailer.journal_anchors a on a.owner_id = h.owner_id and a.position <= p_position
  ) q where q.number is not null
$$;
