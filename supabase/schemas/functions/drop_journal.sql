-- drop_journal: shortens the journal (RETENTION_JOURNAL_DAYS): deletes its oldest entries, up to the
-- position of a stored checkpoint, which vouches for what was cut off.
--
-- args { days | null: go on with what was announced, and announce nothing;
--   to | null: announce a drop up to this position, the candidate of an answer before; limit }
-- answer { dropped, position: of the newest entry that was dropped; drop_to: where it ends;
--   is_waiting: the announced drop begins once its entry is sealed;
--   candidate: { position, checkpoint } | null: the checkpoint that a next drop may go up to;
--   is_held: an older email that still has its record is all that keeps a newer checkpoint from that;
--   refused | null: 'gone' (no such candidate any more), 'state' (the journal is not what the checkpoint
--     says), 'broken' (it does not verify, and nothing is deleted until it does) }
--
-- A candidate is the newest checkpoint that is older than `days` and was made a day before the oldest
-- email that has a record: no entry of such an email goes, whatever the clocks of two servers say. Its
-- signature is for the caller to judge.
--
-- Guarantees: announced first, by an entry `retention.journal_dropped` of the system in the chain that
-- goes on; entries go once that one is sealed, in the order of positions, at most `limit` in a call. A
-- call that was cut off is as if it had never been made. Nothing is announced where the heads at that
-- position are not those that were signed, and nothing deleted while the journal is known to be broken.
-- The cost grows with the entries that go, and when a drop is announced with the owners, and never with
-- those that stay.
create or replace function mailer.drop_journal(args text) returns text
language plpgsql set search_path = '' set jit = off
as $$
declare
  c_margin constant interval := '1 day';
  v_args jsonb := args;
  v_to bigint := (v_args ->> 'to')::bigint;
  v_before timestamptz := clock_timestamp() - (v_args ->> 'days')::integer * interval '1 day';
  v_start mailer.journal_start;
  v_old mailer.checkpoints;
  v_candidate mailer.checkpoints;
  v_signed jsonb;
  v_refused text;
  v_dropped integer := 0;
  v_is_waiting boolean := false;
begin
  select * into v_start from mailer.journal_start s where s.is_only_row for update;
  if v_start.position = v_start.drop_to and v_start.next_to is null and v_before is not null then
    select c.* into v_old from mailer.checkpoints c
    where c.position > v_start.position and c.made_at < v_before order by c.position desc limit 1;
    -- Ids of emails tell when they were made; the smallest one is an entry of an index.
    select c.* into v_candidate from mailer.checkpoints c
    where c.position > v_start.position and c.made_at < v_before and not exists (
      select from mailer.emails e where e.id < mailer.first_id_after(c.made_at + c_margin))
    order by c.position desc limit 1;
  end if;
  if (v_to is not null or v_start.position < v_start.drop_to or v_start.next_to is not null)
    and exists (select from mailer.incidents i
      where i.kind = 'journal' and i.region = '' and i.name = 'chain') then
    v_refused := 'broken';
  elsif v_to is not null then
    if v_candidate.position is distinct from v_to then
      v_refused := 'gone';
    else
      v_signed := v_candidate.checkpoint;
      if not exists (select from mailer.journal_state_at(v_to) s where s.root = v_signed ->> 'root'
        and s.chains = (v_signed ->> 'chains')::bigint) then
        v_refused := 'state';
      end if;
    end if;
    if v_refused is null then
      v_candidate := null;
      v_old := null;
      perform mailer.lock_journal();
      with announced as (
        insert into mailer.journal (owner_id, actor, action, detail)
        values ('taskforce-mailer:system', mailer.claim_sub(), 'retention.journal_dropped',
          jsonb_build_object('position', v_to, 'checkpoint', v_signed))
        returning id
      )
      update mailer.journal_start s set next_to = v_to, next_entry_id = a.id
      from announced a where s.is_only_row;
    end if;
  end if;
  if v_refused is null then
    select d.dropped, d.is_waiting into v_dropped, v_is_waiting
    from mailer.delete_dropped((v_args ->> 'limit')::integer) d;
  end if;
  select * into v_start from mailer.journal_start s where s.is_only_row;
  return jsonb_build_object('dropped', v_dropped, 'position', v_start.position,
    'drop_to', v_start.drop_to, 'is_waiting', v_is_waiting, 'refused', v_refused,
    'is_held', coalesce(v_old.position > coalesce(v_candidate.position, v_start.position), false),
    'candidate', case when v_candidate.position is not null then jsonb_build_object(
      'position', v_candidate.position, 'checkpoint', v_candidate.checkpoint) end)::text;
end
$$;

call mailer.offer('drop_journal', 'maintenance');
