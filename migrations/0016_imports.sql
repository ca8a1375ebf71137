-- Imports: journals that came here in a file, and how far one is that is under way.
--
-- A whole journal is imported in many transactions, into a database in which no event was ever stored. Until the
-- last of them, nobody may add to the journal and no follower may move: a saga that acted on half a history
-- would do again what stands in the other half.

create table imports (
    id             bigint generated always as identity primary key,
    -- The journal that the file was written from.
    source         uuid        not null,
    source_epoch   bigint      not null,
    -- Which file it is: the SHA-256 of its first line.
    header_sha256  bytea       not null,
    -- How many of the file's events are here, and the SHA-256 of their lines.
    events         bigint      not null default 0,
    events_sha256  bytea       not null,
    -- Where they stand in this journal.
    first_position bigint      not null,
    last_position  bigint      not null,
    -- Up to this position of this journal the saga of the source had acted: nothing of it is sent again.
    acted_to       bigint      not null default 0,
    -- Charges and refunds without an outcome are left to people: nobody is asked for them.
    payments_held  boolean     not null,
    begun_at       timestamptz not null default clock_timestamp(),
    finished_at    timestamptz
);
create unique index one_unfinished_import on imports ((true)) where finished_at is null;

create function refuse_during_import() returns trigger language plpgsql as $$
begin
    if coalesce(current_setting('spacerent.import', true), '') = 'on' then
        -- The import itself.
        return null;
    end if;
    if exists (select from imports where finished_at is null) then -- guard: unfinished import
        raise exception 'an import into this journal is unfinished: finish it with `spacerent events import FILE`' -- guard: unfinished import
            using errcode = 'object_not_in_prerequisite_state'; -- guard: unfinished import
    end if; -- guard: unfinished import
    return null;
end
$$;
create trigger events_wait_for_imports before insert on events
    for each statement execute function refuse_during_import();
-- A lease is taken, and a position moved, by an update.
create trigger followers_wait_for_imports before update on followers
    for each statement execute function refuse_during_import();

grant select on imports to spacerent_runtime;
