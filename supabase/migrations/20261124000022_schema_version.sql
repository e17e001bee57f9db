-- schema_version: the newest of these files that the database has. args {}; answer { version }.
-- Every later file replaces this function; a test compares it with the newest file's name.
create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000022"}';

revoke execute on function mailer.schema_version(text) from public;
grant execute on function mailer.schema_version(text) to mailer_service;

insert into mailer.functions (name, roles) values ('schema_version', array['reconciler']);
