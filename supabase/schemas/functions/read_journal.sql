-- read_journal: sealed entries after a position, in order of position.
--
-- args { after, limit, email_id | null, owner_id | null, proof: bool }
-- answer { entries: [{ position, number, at (UTC, microseconds), owner_id, actor, origin,
--            action, email_id, sequence, detail, canonical (base64), hash (hex) }],
--          head: { number, hash } | null }
-- canonical, hash and head (where the owner's chain ends now) only with proof; head only when
-- one owner is asked for. A user sees its own entries, whatever is asked for.
--
-- Guarantees: whoever goes on after the last position it got never misses an entry and never
-- gets one twice.
create or replace function mailer.read_journal(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_proof boolean := coalesce((v_args ->> 'proof')::boolean, false);
  v_owner text := v_args ->> 'owner_id';
  v_where text := format('s.position > %s', coalesce((v_args ->> 'after')::bigint, 0));
  v_entries jsonb;
begin
  if mailer.claim_role() is distinct from 'admin' then
    v_owner := mailer.claim_sub();
  end if;
  if v_owner is not null then
    v_where := v_where || format(' and s.owner_id = %L', v_owner);
  end if;
  if v_args ->> 'email_id' is not null then
    v_where := v_where || format(' and j.email_id = %L::uuid', v_args ->> 'email_id');
  end if;
  execute format('select coalesce(jsonb_agg(mailer.entry_json(q.j, q.s, %L) order by (q.s).position),
    ''[]'') from (select j, s from mailer.seals s
    join mailer.journal j on j.id = s.entry_id where %s order by s.position limit %s) q',
    v_proof, v_where, (v_args ->> 'limit')::integer) into v_entries;
  return jsonb_build_object('entries', v_entries, 'head', case when v_proof then (
    select jsonb_build_object('number', h.number, 'hash', encode(h.hash, 'hex'))
    from mailer.journal_heads h where h.owner_id = v_owner) end)::text;
end
$$;

call mailer.offer('read_journal', 'user', 'admin');
