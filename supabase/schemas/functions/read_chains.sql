-- read_chains: a part of the sealed journal, with what its chains follow on and end in.
--
-- args { after: a position; null: where note_verified says that the last part ended; limit }
-- answer { after: not before the newest entry that was dropped;
--   newest: the position of the newest sealed entry,
--   entries: [entry_json], in order of position,
--   before: [{ owner_id, number, hash (hex) }]: the seal before an owner's first of these entries, or its
--     anchor; none when that is the first of its chain,
--   heads: [{ owner_id, number, hash (hex) }]: where the chains of these owners end now,
--   start | null: where the part begins behind what was dropped, { position, drop_to,
--     checkpoint: the stored one of drop_to | null, chains and root: what the seals and anchors come to
--     there, is_announced: a sealed entry of the journal says so, has_rest: seals are left of what was
--     dropped } }
--
-- Guarantees: one moment. It costs the entries that it reads, and two look-ups for each of their owners;
-- with `start` three for each owner of the journal.
create or replace function mailer.read_chains(args text) returns text
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  v_begin mailer.journal_start;
  v_after bigint := coalesce((v_args ->> 'after')::bigint,
    (select s.value::bigint from mailer.settings s where s.name = 'journal_verified_to'), 0);
  v_entries jsonb;
  v_owners jsonb;
  v_start jsonb;
begin
  select * into v_begin from mailer.journal_start s where s.is_only_row;
  v_after := greatest(v_after, v_begin.position);
  if v_after = v_begin.position and v_begin.position > 0 then
    select jsonb_build_object('position', v_begin.position, 'drop_to', v_begin.drop_to,
      'checkpoint', (select c.checkpoint from mailer.checkpoints c where c.position = v_begin.drop_to),
      'chains', a.chains, 'root', a.root,
      'is_announced', exists (select from mailer.seals s join mailer.journal j on j.id = s.entry_id
        where s.entry_id = v_begin.entry_id and s.position > v_begin.drop_to
          and j.owner_id = 'taskforce-mailer:system' and j.action = 'retention.journal_dropped'
          and (j.detail ->> 'position')::bigint = v_begin.drop_to
          and j.detail -> 'checkpoint' ->> 'root' = a.root),
      'has_rest', exists (select from mailer.seals s where s.position <= v_begin.position))
    into v_start from mailer.journal_state_at(v_begin.drop_to) a;
  end if;
  with part as materialized (
    select j, s from mailer.seals s join mailer.journal j on j.id = s.entry_id
    where s.position > v_after order by s.position limit (v_args ->> 'limit')::integer
  )
  select coalesce(jsonb_agg(mailer.entry_json(p.j, p.s) order by (p.s).position), '[]')
  into v_entries from part p;
  select jsonb_build_object(
    'before', coalesce(jsonb_agg(jsonb_build_object('owner_id', o.id,
      'number', coalesce(b.number, a.number), 'hash', encode(coalesce(b.hash, a.hash), 'hex')))
      filter (where b.number is not null or a.number is not null), '[]'),
    'heads', coalesce(jsonb_agg(jsonb_build_object('owner_id', o.id, 'number', h.number,
      'hash', encode(h.hash, 'hex'))) filter (where h.number is not null), '[]'))
  into v_owners from (
    select e ->> 'owner_id' as id, min((e ->> 'position')::bigint) as position
    from jsonb_array_elements(v_entries) e group by 1) o
  left join lateral (select s.number, s.hash from mailer.seals s
    where s.owner_id = o.id and s.position < o.position order by s.position desc limit 1) b on true
  left join mailer.journal_anchors a on a.owner_id = o.id
  left join mailer.journal_heads h on h.owner_id = o.id;
  return (v_owners || jsonb_build_object('after', v_after, 'entries', v_entries, 'start', v_start,
    'newest', (select s.position from mailer.sealer s where s.is_only_row)))::text;
end
$$;

call mailer.offer('read_chains', 'maintenance');
