-- ended_before: which of these emails ended before an instant; locked, in the order of ids. What
-- somebody else has locked is passed over. An email ended with its newest entry that has a sequence.
create or replace function mailer.ended_before(p_ids uuid[], p_before timestamptz) returns uuid[]
language sql volatile set search_path = ''
begin atomic
  select array(
    select e.id from mailer.emails e
    where e.id = any (p_ids)
      and e.state not in ('pending', 'sending', 'held')
      and coalesce((select j.at from mailer.journal j
        where j.email_id = e.id and j.sequence is not null order by j.sequence desc limit 1),
        e.next_attempt_at) < p_before
    order by e.id for update of e skip locked);
end;
