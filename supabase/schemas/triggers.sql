-- What holds whoever writes, also at a SQL console.

-- What changes with every email is judged where the trigger's condition stands, at a fraction of
-- the cost of calling a function; every other edge is judged by check_edge.
create trigger emails_start before insert on mailer.emails
  for each row when (new.state <> 'pending' and not (new.state = 'sending'
    and new.claim_token = 1 and new.worker_id is not null and new.fenced_at is null))
  execute function mailer.check_edge();
create trigger emails_edge before update of state on mailer.emails
  for each row when (old.state is distinct from new.state
    and not (old.state = 'pending' and new.state = 'sending')
    and not (old.state = 'sending' and old.fenced_at is not null and new.state = 'sent'))
  execute function mailer.check_edge();
create trigger emails_dead_at before update of state on mailer.emails
  for each row when (old.state is distinct from new.state
    and new.state in ('failed', 'uncertain', 'held', 'partially_sent'))
  execute function mailer.set_dead_at();
create trigger emails_cleared before update of attempts, state on mailer.emails
  for each row when (old.crashes > 0 and (new.attempts > old.attempts
    or (new.state = 'pending' and old.state not in ('pending', 'sending'))))
  execute function mailer.reset_crashes();
create trigger emails_revoke before update of version on mailer.emails
  for each row when (old.state = 'sending' and old.fenced_at is null
    and new.version is distinct from old.version)
  execute function mailer.revoke_claim();

create trigger idempotency_keys_expired before insert on mailer.idempotency_keys
  for each row execute function mailer.drop_expired_key();

-- An entry is added and never changed, and so is its seal. delete_dropped alone runs as mailer_dropper,
-- whom row-level security lets delete up to journal_start.drop_to and no further.
create trigger journal_kept before update or truncate on mailer.journal
  for each statement execute function mailer.refuse_journal_change();
create trigger journal_not_deleted before delete on mailer.journal
  for each statement when (current_user <> 'mailer_dropper')
  execute function mailer.refuse_journal_change();
create trigger seals_kept before update or truncate on mailer.seals
  for each statement execute function mailer.refuse_journal_change();
create trigger seals_not_deleted before delete on mailer.seals
  for each statement when (current_user <> 'mailer_dropper')
  execute function mailer.refuse_journal_change();
create trigger checkpoints_kept before update or delete or truncate on mailer.checkpoints
  for each statement execute function mailer.refuse_journal_change();
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
-- Dropped entries stay dropped, and the chains go on where they were cut.
create trigger journal_anchors_forward before update on mailer.journal_anchors
  for each row when (new.owner_id is distinct from old.owner_id or new.number <= old.number
    or new.position <= old.position)
  execute function mailer.refuse_journal_change();
create trigger journal_anchors_kept before delete or truncate on mailer.journal_anchors
  for each statement execute function mailer.refuse_journal_change();
create trigger journal_start_forward before update on mailer.journal_start
  for each row when (new.position < old.position or new.drop_to < old.drop_to)
  execute function mailer.refuse_journal_change();
create trigger journal_start_kept before delete or truncate on mailer.journal_start
  for each statement execute function mailer.refuse_journal_change();
