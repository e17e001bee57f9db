-- read_chains: a part of the sealed journal, with what its chains follow on and end in.
--
-- args { after: a position; null: where note_verified says that the last part ended; limit }
-- answer { after, newest: the position of the newest sealed entry,
--   entries: [as read_journal gives them, with canonical and hash], in order of position,
--   before: [{ owner_id, number, hash (hex) }]: the seal before an owner's first of these entries, none
--     when that is the first of its chain,
--   heads: [{ owner_id, number, hash (hex) }]: where the chains of these owners end now }
--
-- Guarantees: one moment. It costs the entries that it reads, and two look-ups for each of their owners.
create or replace function mailer.read_chains(args text) returns text
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  v_after bigint := coalesce((v_args ->> 'after')::bigint,
    (select s.value::bigint from mailer.settings s where s.name = 'journal_verified_to'), 0);
  v_entries jsonb;
  v_owners jsonb;
begin
  with part as materialized (
    select j, s from mailer.seals s join mailer.journal j on j.id = s.entry_id
    where s.position > v_after order by s.position limit (v_args ->> 'limit')::integer
  )
  select coalesce(jsonb_agg(mailer.entry_json(p.j, p.s, true) order by (p.s).position), '[]')
  into v_entries from part p;
  select jsonb_build_object(
    'before', coalesce(jsonb_agg(jsonb_build_object('owner_id', o.id, 'number', b.number,
      'hash', encode(b.hash, 'hex'))) filter (where b.number is not null), '[]'),
    'heads', coalesce(jsonb_agg(jsonb_build_object('owner_id', o.id, 'number', h.number,
      'hash', encode(h.hash, 'hex'))) filter (where h.number is not null), '[]'))
  into v_owners from (
    select e ->> 'owner_id' as id, min((e ->> 'position')::bigint) as position
    from jsonb_array_elements(v_entries) e group by 1) o
  left join lateral (select s.number, s.hash from mailer.seals s
    where s.owner_id = o.id and s.position < o.position order by s.position desc limit 1) b on true
  left join mailer.journal_heads h on h.owner_id = o.id;
  return (v_owners || jsonb_build_object('after', v_after, 'entries', v_entries,
    'newest', (select s.position from mailer.sealer s where s.is_only_row)))::text;
end
$$;

call mailer.offer('read_chains', 'maintenance');
