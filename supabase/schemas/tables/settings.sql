-- What the database remembers of the program, by name: encryption_key, its fingerprint; origin, where
-- this database lies, as JSON (check_origin); restored, when it was last found restored or copied, and
-- what it knew then; counts_checked_to, the owner that check_counts goes on after;
-- journal_verified_to, the position that the verification goes on after.
create table mailer.settings (
  name text primary key,
  value text not null
);

call mailer.guard('settings', p_service => 'select, insert, update (value)');
