-- The role that may read the views and nothing else, where the login may create roles.

do $$
begin
    create role roster_reader nologin;
exception
    when duplicate_object or unique_violation then null;
    when insufficient_privilege then raise notice 'roster_reader was not made: this login may not create roles';
end $$;
do $$
begin
    if exists (select from pg_roles where rolname = 'roster_reader') then
        grant usage on schema roster_public to roster_reader;
        grant select on all tables in schema roster_public to roster_reader;
    end if;
end $$;
