-- seal_journal: seals what was not yet, oldest id first.
--
-- args { limit }; answer { sealed, has_more, is_busy, oldest_ms }
--   is_busy: another sealer is at it, and nothing was done
--   oldest_ms: age of the oldest entry known to be left unsealed; 0 when none is
--
-- Guarantees: one sealer at a time in the whole database; positions without a gap, numbers
-- without a gap per owner; an email's entries in their sequence. Positions follow the ids,
-- but for one case: a transaction that keeps the journal's lock for longer than 300 ms is not
-- waited for, and its entries come with the first round after its commit. No reader depends on it:
-- what is not committed nobody has seen, and an entry that builds on another has the larger id and
-- is visible later. A round reads what is new and what has appeared in journal_gaps, and nothing
-- else of the journal.
create or replace function mailer.seal_journal(args text) returns text
language plpgsql set search_path = ''
-- Always by index: a plan made while the journal was small must do when it is large.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  c_patience constant interval := '300 ms';
  v_limit integer := (args::jsonb ->> 'limit')::integer;
  v_oldest timestamptz := mailer.oldest_unsealed();
  v_is_busy boolean := false;
  v_boundary bigint;
  v_sealed integer := 0;
begin
  if v_oldest is not null or exists (select from mailer.journal_gaps) then
    v_is_busy := not pg_try_advisory_xact_lock(7382640002);
    if not v_is_busy then
      while v_oldest is not null loop
        v_boundary := mailer.journal_boundary();
        exit when v_boundary is not null or v_oldest < clock_timestamp() - c_patience;
        perform pg_sleep(0.08);
      end loop;
      v_sealed := mailer.seal_batch(v_boundary, v_limit);
      v_oldest := case when v_sealed = v_limit then mailer.oldest_unsealed() end;
    end if;
  end if;
  return jsonb_build_object('sealed', v_sealed, 'has_more', v_oldest is not null and not v_is_busy,
    'is_busy', v_is_busy,
    'oldest_ms', coalesce(mailer.ms_until(clock_timestamp(), v_oldest), 0))::text;
end
$$;

call mailer.offer('seal_journal', 'sealer');
