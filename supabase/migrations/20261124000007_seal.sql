-- The sealer: gives the journal's entries their position, number and hash, and lets readers
-- follow with a cursor.
--
-- Entries become visible when their transaction commits, and not in the order of their ids.
-- Positions are given later, by one sealer at a time, so they become visible in their own
-- order: whoever has read up to a position has missed nothing below it.

-- Entries wait unsealed for a moment only: these indexes hold the sealed ones, so that the
-- insert, which somebody waits for, pays for none of them.
alter table mailer.journal
  drop constraint journal_position_key,
  drop constraint journal_owner_id_number_key;
create unique index journal_position on mailer.journal (position) where position is not null;
create unique index journal_number on mailer.journal (owner_id, number)
  where number is not null;
create index journal_of_owner on mailer.journal (owner_id, position) where position is not null;

-- The newest sealed entry of each owner: where the chain goes on, and where it must end.
create table mailer.journal_heads (
  owner_id text primary key,
  number bigint not null,
  hash bytea not null
) with (fillfactor = 50);

-- What the sealer knows; one row.
create table mailer.sealer (
  is_only_row boolean primary key default true check (is_only_row),
  -- Of the newest sealed entry; 0: none yet.
  position bigint not null,
  -- No entry up to this id is unsealed: where to look from. A search from there stays short
  -- even while an old snapshot somewhere in the cluster keeps dead index entries alive.
  sealed_to bigint not null,
  -- When a search from the very start last made sure of it.
  swept_at timestamptz not null
);
insert into mailer.sealer (position, sealed_to, swept_at) values (0, 0, '-infinity');

do $$
declare
  v_table text;
begin
  foreach v_table in array array['journal_heads', 'sealer'] loop
    execute format('alter table mailer.%I enable row level security', v_table);
    execute format('alter table mailer.%I force row level security', v_table);
    execute format('revoke all on mailer.%I from public', v_table);
    execute format('create policy service_rows on mailer.%I to mailer_service
      using (true) with check (true)', v_table);
  end loop;
end
$$;
create policy own_rows on mailer.journal_heads to mailer_owner
  using (owner_id = (select mailer.claim_sub()));
grant select on mailer.journal_heads to mailer_owner;
grant select, insert, update on mailer.journal_heads to mailer_service;
grant select, update on mailer.sealer to mailer_service;
grant update (position, number, canonical, hash) on mailer.journal to mailer_service;

-- Entries are only ever added, unsealed, and then sealed once; also for the table's owner.
create function mailer.refuse_journal_change() returns trigger
language plpgsql
as $$
begin
  raise exception 'the journal is append-only: % refused', lower(tg_op)
    using errcode = 'check_violation';
end
$$;
create trigger journal_starts_unsealed before insert on mailer.journal
  for each row when (num_nonnulls(new.position, new.number, new.canonical, new.hash) > 0)
  execute function mailer.refuse_journal_change();
create trigger journal_sealed_once before update on mailer.journal
  for each row when (
    num_nonnulls(old.position, old.number, old.canonical, old.hash) > 0
    or num_nulls(new.position, new.number, new.canonical, new.hash) > 0
    or (new.id, new.at, new.owner_id, new.actor, new.origin, new.action, new.email_id,
        new.sequence, new.detail)
      is distinct from (old.id, old.at, old.owner_id, old.actor, old.origin, old.action,
        old.email_id, old.sequence, old.detail))
  execute function mailer.refuse_journal_change();
create trigger journal_kept before delete or truncate on mailer.journal
  for each statement execute function mailer.refuse_journal_change();

-- An instant as entries show it: UTC, microseconds, whatever the session's settings.
create function mailer.utc_text(t timestamptz) returns text
language sql stable
as $$ select to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

-- The bytes of an entry that are hashed: JSON in UTF-8, its members in this order, spaced as
-- json_build_object does; detail as jsonb prints it (members by length, then by bytes). They
-- are stored, so that a verifier need not know how they are made.
create function mailer.journal_canonical(j mailer.journal, place bigint, number bigint)
returns bytea
language sql stable
as $$
  select convert_to(json_build_object('position', place, 'number', number,
    'at', mailer.utc_text(j.at), 'owner_id', j.owner_id, 'actor', j.actor, 'origin', j.origin,
    'action', j.action, 'email_id', j.email_id, 'sequence', j.sequence,
    'detail', j.detail)::text, 'UTF8')
$$;

-- The chain of an owner's entries: hash = sha256(hash of the one before || canonical). Before
-- the first one come 32 zero bytes. As a window aggregate: chain(head, canonical), where head
-- is the hash before the first row.
create function mailer.chain_link(hash bytea, head bytea, canonical bytea) returns bytea
language sql immutable
as $$ select sha256(coalesce(hash, head) || canonical) $$;
create aggregate mailer.chain(head bytea, canonical bytea) (
  sfunc = mailer.chain_link, stype = bytea
);

-- The largest id there is, at a moment when no entry below it can appear any more; null when
-- a transaction holds the journal for longer than 20 ms.
--
-- Functions take the journal's lock shared in the statement before their insert, which draws
-- the id, and keep it to their commit. So while it is held exclusively no insert is under way,
-- and the snapshot of the next statement sees all there ever will be up to the largest id.
-- Whoever wants to insert waits behind us meanwhile: hence the short patience. The lock is let
-- go by leaving the block with an exception, which undoes a subtransaction and what it locked:
-- no error, no cancel and no pooler can leave it behind, as could happen to a session's lock.
create function mailer.journal_boundary() returns bigint
language plpgsql
as $$
declare
  v_boundary bigint;
begin
  perform set_config('lock_timeout', '20ms', true);
  perform pg_advisory_xact_lock(7382640001);
  select max(j.id) into v_boundary from mailer.journal j;
  raise exception using errcode = 'TM002', message = 'boundary read';
exception
  when sqlstate 'TM002' then return v_boundary;
  when lock_not_available then return null;
end
$$;

-- When the oldest unsealed entry above an id was written; null when there is none.
create function mailer.oldest_unsealed(above bigint) returns timestamptz
language sql volatile
as $$
  select j.at from mailer.journal j where j.position is null and j.id > above
  order by j.id limit 1
$$;

-- Seals the first unsealed entries with above < id <= boundary (null: all that is committed).
-- Only for whoever holds the sealer's lock.
create function mailer.seal_batch(above bigint, boundary bigint, max_entries integer,
  out sealed integer, out last_id bigint)
language plpgsql
as $$
declare
  v_position bigint;
begin
  select s.position into v_position from mailer.sealer s where s.is_only_row;
  with batch as materialized (
    select j as entry, j.id, j.owner_id from mailer.journal j
    where j.position is null and j.id > above
      and j.id <= coalesce(boundary, 9223372036854775807)
    order by j.id limit max_entries
  ),
  placed as (
    select b.*, v_position + row_number() over (order by b.id) as position,
      coalesce(h.number, 0) + row_number() over (partition by b.owner_id order by b.id)
        as number,
      coalesce(h.hash, decode(repeat('00', 32), 'hex')) as head
    from batch b left join mailer.journal_heads h on h.owner_id = b.owner_id
  ),
  chained as materialized (
    select p.id, p.owner_id, p.position, p.number, c.canonical,
      mailer.chain(p.head, c.canonical) over (partition by p.owner_id order by p.number) as hash
    from placed p
    -- offset keeps it from being computed for each use.
    cross join lateral (
      select mailer.journal_canonical(p.entry, p.position, p.number) as canonical offset 0) c
  ),
  written as (
    update mailer.journal j
    set position = c.position, number = c.number, canonical = c.canonical, hash = c.hash
    from chained c where j.id = c.id
  ),
  heads as (
    insert into mailer.journal_heads as h (owner_id, number, hash)
    select distinct on (c.owner_id) c.owner_id, c.number, c.hash
    from chained c order by c.owner_id, c.number desc
    on conflict (owner_id) do update set number = excluded.number, hash = excluded.hash
  )
  select count(*), max(c.id) into sealed, last_id from chained c;
end
$$;

-- seal_journal: seals what was not yet, oldest id first.
--
-- args { limit }; answer { sealed, has_more, is_busy, oldest_ms }
--   is_busy: another sealer is at it, and nothing was done
--   oldest_ms: age of the oldest entry known to be left unsealed; 0 when none is
--
-- Guarantees: one sealer at a time in the whole database; positions without a gap, numbers
-- without a gap per owner; an email's entries in their sequence. Positions follow the ids,
-- but for one case: a transaction that keeps the journal's lock for longer than 300 ms is not
-- waited for, and its entries come later. No reader depends on it: what is not committed
-- nobody has seen, and an entry that builds on another has the larger id and is visible later.
create function mailer.seal_journal(args text) returns text
language plpgsql
-- Always by index: a plan made while the journal was small must do when it is large.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  c_patience constant interval := '300 ms';
  v_limit integer := (args::jsonb ->> 'limit')::integer;
  v_above bigint;
  v_is_sweep boolean;
  v_oldest timestamptz;
  v_is_busy boolean := false;
  v_boundary bigint;
  v_sealed integer := 0;
  v_last_id bigint;
begin
  select s.swept_at < clock_timestamp() - interval '1 minute', s.sealed_to
  into v_is_sweep, v_above from mailer.sealer s where s.is_only_row;
  if v_is_sweep then
    v_above := '-9223372036854775808';
  end if;
  v_oldest := mailer.oldest_unsealed(v_above);

  if v_oldest is not null or v_is_sweep then
    v_is_busy := not pg_try_advisory_xact_lock(7382640002);
  end if;
  if v_oldest is not null and not v_is_busy then
    loop
      v_boundary := mailer.journal_boundary();
      exit when v_boundary is not null or v_oldest < clock_timestamp() - c_patience;
      perform pg_sleep(0.08);
    end loop;
    select b.sealed, b.last_id into v_sealed, v_last_id
    from mailer.seal_batch(v_above, v_boundary, v_limit) b;
    v_oldest := case when v_sealed = v_limit then mailer.oldest_unsealed(v_above) end;
  end if;
  if v_sealed > 0 or (v_is_sweep and not v_is_busy) then
    update mailer.sealer s set position = s.position + v_sealed,
      sealed_to = case when v_boundary is null then s.sealed_to
        when v_sealed = v_limit then v_last_id else v_boundary end,
      swept_at = case when v_is_sweep and v_sealed < v_limit then clock_timestamp()
        else s.swept_at end
    where s.is_only_row;
  end if;
  return jsonb_build_object('sealed', v_sealed, 'has_more', v_oldest is not null and not v_is_busy,
    'is_busy', v_is_busy,
    'oldest_ms', coalesce(mailer.ms_until(clock_timestamp(), v_oldest), 0))::text;
end
$$;

-- journal_lag: how far the sealer is behind. args {}; answer { unsealed, oldest_ms }.
create function mailer.journal_lag(args text) returns text
language sql volatile
as $$
  select json_build_object('unsealed', count(*),
    'oldest_ms', coalesce(mailer.ms_until(clock_timestamp(), min(j.at)), 0))::text
  from mailer.journal j where j.position is null
$$;

create function mailer.entry_json(j mailer.journal, proof boolean) returns jsonb
language sql stable
as $$
  select jsonb_build_object('position', j.position, 'number', j.number,
    'at', mailer.utc_text(j.at), 'owner_id', j.owner_id, 'actor', j.actor, 'origin', j.origin,
    'action', j.action, 'email_id', j.email_id, 'sequence', j.sequence, 'detail', j.detail)
    || case when proof then jsonb_build_object('canonical', encode(j.canonical, 'base64'),
      'hash', encode(j.hash, 'hex')) else '{}' end
$$;

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
create function mailer.read_journal(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_proof boolean := coalesce((v_args ->> 'proof')::boolean, false);
  v_owner text := v_args ->> 'owner_id';
  v_where text := format('j.position > %s', coalesce((v_args ->> 'after')::bigint, 0));
  v_entries jsonb;
begin
  if mailer.claim_role() not in ('admin', 'service') then
    v_owner := mailer.claim_sub();
  end if;
  if v_owner is not null then
    v_where := v_where || format(' and j.owner_id = %L', v_owner);
  end if;
  if v_args ->> 'email_id' is not null then
    v_where := v_where || format(' and j.email_id = %L::uuid', v_args ->> 'email_id');
  end if;
  execute format('select coalesce(jsonb_agg(mailer.entry_json(q.j, %L) order by (q.j).position),
    ''[]'') from (select j from mailer.journal j where %s order by j.position limit %s) q',
    v_proof, v_where, (v_args ->> 'limit')::integer) into v_entries;
  return jsonb_build_object('entries', v_entries, 'head', case when v_proof then (
    select jsonb_build_object('number', h.number, 'hash', encode(h.hash, 'hex'))
    from mailer.journal_heads h where h.owner_id = v_owner) end)::text;
end
$$;

revoke execute on all functions in schema mailer from public;
grant execute on all functions in schema mailer to mailer_service;
grant execute on function mailer.utc_text(timestamptz),
  mailer.entry_json(mailer.journal, boolean), mailer.read_journal(text) to mailer_owner;

insert into mailer.functions (name, roles) values
  ('seal_journal', array['service']),
  ('journal_lag', array['admin', 'service']),
  ('read_journal', array['user', 'admin', 'service']);
