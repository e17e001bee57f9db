-- first_id_after: the smallest UUIDv7 of an instant. Ids of emails are made as they are accepted, so
-- those made before it are smaller.
create or replace function mailer.first_id_after(t timestamptz) returns uuid
language sql stable set search_path = ''
return (lpad(to_hex((extract(epoch from t) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid;
