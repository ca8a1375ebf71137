-- The role that the service runs as. It may add to the journal and never change it; it may do what it must
-- with everything derived. Logins are made by the operator and granted this role.

do $$
begin
    if not exists (select from pg_roles where rolname = 'spacerent_runtime') then
        create role spacerent_runtime nologin;
    end if;
exception
    -- Two databases of one cluster being migrated at once.
    when duplicate_object or unique_violation then null;
end
$$;

grant usage on schema public, stub_gateway to spacerent_runtime;
grant select on all tables in schema public to spacerent_runtime;
grant insert on events, commands to spacerent_runtime;
grant insert, delete on slot_claims to spacerent_runtime;
grant insert, update on followers to spacerent_runtime;
grant insert on dead_spans to spacerent_runtime;
grant insert, update, delete on open_holes, parked, jobs, orders, idempotency_keys to spacerent_runtime;
grant select, insert on all tables in schema stub_gateway to spacerent_runtime;
grant usage on sequence book_ids to spacerent_runtime;
