-- The journal as audit trail: asked by what happened, when and by whom; and the state of its
-- chains, which a checkpoint signs.

-- Times follow positions closely, so a summary of blocks finds a range of them, and costs the
-- insert next to nothing.
create index journal_at on mailer.journal using brin (at) with (pages_per_range = 32);

-- Where the chains go on is only ever moved forward, also by the tables' owner: set back, it would
-- let the sealer write another history.
create trigger journal_heads_forward before update on mailer.journal_heads
  for each row when (new.owner_id is distinct from old.owner_id or new.number <= old.number)
  execute function mailer.refuse_journal_change();
create trigger journal_heads_kept before delete or truncate on mailer.journal_heads
  for each statement execute function mailer.refuse_journal_change();
create trigger sealer_forward before update on mailer.sealer
  for each row when (new.position < old.position)
  execute function mailer.refuse_journal_change();
create trigger sealer_kept before delete or truncate on mailer.sealer
  for each statement execute function mailer.refuse_journal_change();

-- read_audit: sealed entries by what is asked of them, with their proof.
--
-- args { limit, is_newest_first, after | null, before | null (positions, both exclusive),
--        owner_id | null, email_id | null, action | null, actor | null,
--        at_from | null (inclusive), at_to | null (exclusive) }
-- answer { entries: [as read_journal gives them, with canonical and hash] }, in order of position.
--
-- Guarantees: a user gets its own entries, whatever is asked for.
create function mailer.read_audit(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_owner text := v_args ->> 'owner_id';
  v_order text := case when (v_args ->> 'is_newest_first')::boolean then 'desc' else 'asc' end;
  v_where text := 'j.position is not null';
  v_entries jsonb;
begin
  if mailer.claim_role() is distinct from 'admin' then
    v_owner := mailer.claim_sub();
  end if;
  if v_owner is not null then
    v_where := v_where || format(' and j.owner_id = %L', v_owner);
  end if;
  if v_args ->> 'after' is not null then
    v_where := v_where || format(' and j.position > %s', (v_args ->> 'after')::bigint);
  end if;
  if v_args ->> 'before' is not null then
    v_where := v_where || format(' and j.position < %s', (v_args ->> 'before')::bigint);
  end if;
  if v_args ->> 'email_id' is not null then
    v_where := v_where || format(' and j.email_id = %L::uuid', v_args ->> 'email_id');
  end if;
  if v_args ->> 'action' is not null then
    v_where := v_where || format(' and j.action = %L', v_args ->> 'action');
  end if;
  if v_args ->> 'actor' is not null then
    v_where := v_where || format(' and j.actor = %L', v_args ->> 'actor');
  end if;
  if v_args ->> 'at_from' is not null then
    v_where := v_where || format(' and j.at >= %L::timestamptz', v_args ->> 'at_from');
  end if;
  if v_args ->> 'at_to' is not null then
    v_where := v_where || format(' and j.at < %L::timestamptz', v_args ->> 'at_to');
  end if;
  execute format('select coalesce(jsonb_agg(mailer.entry_json(q.j, true)
    order by (q.j).position %1$s), ''[]'') from (select j from mailer.journal j where %2$s
    order by j.position %1$s limit %3$s) q', v_order, v_where, (v_args ->> 'limit')::integer)
  into v_entries;
  return jsonb_build_object('entries', v_entries)::text;
end
$$;

-- journal_state: what a checkpoint signs, of everybody's chains or of one owner's.
--
-- args { owner_id | null }; answer { at, position, chains, root (hex) }
--   position: of the newest sealed entry; 0: there is none
--   root: sha256 over all heads, each as sha256(owner_id in UTF-8) || number (8 bytes) || hash,
--     in the order of the first: it depends on nothing but the entries up to position, and
--     names nobody.
--
-- Guarantees: one moment. A user gets its own chain's, whatever is asked for.
create function mailer.journal_state(args text) returns text
language plpgsql stable
as $$
declare
  v_owner text := args::jsonb ->> 'owner_id';
  v_position bigint;
  v_chains bigint;
  v_root bytea;
begin
  if mailer.claim_role() is distinct from 'admin' then
    v_owner := mailer.claim_sub();
  end if;
  select count(*), sha256(coalesce(string_agg(q.owner || int8send(q.number) || q.hash, ''::bytea
    order by q.owner), ''::bytea)) into v_chains, v_root
  from (
    select sha256(convert_to(h.owner_id, 'UTF8')) as owner, h.number, h.hash
    from mailer.journal_heads h where v_owner is null or h.owner_id = v_owner
  ) q;
  if v_owner is null then
    select s.position into v_position from mailer.sealer s where s.is_only_row;
  else
    select max(j.position) into v_position from mailer.journal j
    where j.owner_id = v_owner and j.position is not null;
  end if;
  return json_build_object('at', mailer.utc_text(clock_timestamp()),
    'position', coalesce(v_position, 0), 'chains', v_chains,
    'root', encode(v_root, 'hex'))::text;
end
$$;

-- list_journal_heads: where each chain must have got to at least, by owner.
--
-- args { after | null (an owner_id), limit, owner_id | null };
-- answer { heads: [{ owner_id, number, hash (hex) }] }
--
-- Guarantees: a user gets its own chain's, whatever is asked for.
create function mailer.list_journal_heads(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_owner text := v_args ->> 'owner_id';
begin
  if mailer.claim_role() is distinct from 'admin' then
    v_owner := mailer.claim_sub();
  end if;
  return (
    select json_build_object('heads', coalesce(json_agg(json_build_object(
      'owner_id', q.owner_id, 'number', q.number, 'hash', encode(q.hash, 'hex'))
      order by q.owner_id), '[]'))
    from (
      select h.* from mailer.journal_heads h
      where (v_owner is null or h.owner_id = v_owner)
        and (v_args ->> 'after' is null or h.owner_id > v_args ->> 'after')
      order by h.owner_id limit (v_args ->> 'limit')::integer
    ) q
  )::text;
end
$$;

revoke execute on function mailer.read_audit(text), mailer.journal_state(text),
  mailer.list_journal_heads(text) from public;
grant execute on function mailer.read_audit(text), mailer.journal_state(text),
  mailer.list_journal_heads(text) to mailer_service, mailer_owner;

insert into mailer.functions (name, roles) values
  ('read_audit', array['user', 'admin']),
  ('journal_state', array['user', 'admin']),
  ('list_journal_heads', array['user', 'admin']);
