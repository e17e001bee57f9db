-- email_json: an email as readers are told it: its subject is ciphertext, and a claim without a
-- fence is not shown (shown_state). due_since: of a pending email, since when it waits to be
-- sent, or when it will.
create or replace function mailer.email_json(e mailer.emails) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', e.id, 'owner_id', e.owner_id, 'status', mailer.shown_state(e.state, e.fenced_at),
    'version', e.version, 'region', e.region, 'created_at', e.created_at,
    'scheduled_at', e.scheduled_at,
    'next_attempt_at', case when mailer.shown_state(e.state, e.fenced_at) = 'pending'
      then e.next_attempt_at end,
    'sent_at', e.sent_at, 'expires_at', e.expires_at,
    'max_lateness_seconds', e.max_lateness_seconds, 'on_late', e.on_late,
    'on_uncertain', e.on_uncertain, 'max_retries', e.max_retries,
    'max_age_seconds', e.max_age_seconds, 'attempts_spent', e.attempts, 'tags', e.tags,
    'metadata', e.metadata, 'wrapped_key', e.wrapped_key, 'subject', e.subject,
    'message_date', e.message_date, 'message_bytes', e.message_bytes,
    'dismissed_at', case when e.state in ('failed', 'uncertain', 'held', 'partially_sent')
      then e.dismissed_at end,
    'wall_clock', case when (e.wall_clock ->> 'scheduled_at')::timestamptz = e.scheduled_at
      then e.wall_clock end,
    'due_since', case when mailer.shown_state(e.state, e.fenced_at) = 'pending'
      then case when e.next_attempt_at = e.returned_until then e.due_since
        else e.next_attempt_at end end)
$$;

grant execute on function mailer.email_json(mailer.emails) to mailer_owner;
