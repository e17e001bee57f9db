-- key_kept_until: how long a key is kept at least: a day after it was made and after the last of its
-- emails ended; while one has not ended, a day from now.
create or replace function mailer.key_kept_until(k mailer.idempotency_keys, now_at timestamptz)
returns timestamptz
language sql stable set search_path = ''
return (
  select greatest(k.created_at, max(case
      when e.state in ('pending', 'sending', 'held') then now_at
      else (select max(j.at) from mailer.journal j where j.email_id = e.id)
    end)) + interval '24 hours'
  from unnest(k.email_ids) i (id) join mailer.emails e on e.id = i.id);
