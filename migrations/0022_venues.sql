-- Venues: what operators say of the places that can be booked for a time. Reference data, not a stream: bookings
-- carry what was agreed to, and nothing is decided on what a venue used to be (docs/adr/0021).

create table venues (
    spacename  text        primary key,
    -- How often it was changed, counted from 1; it goes on when a venue that was retired is defined anew.
    version    bigint      not null check (version >= 1),
    -- As `domain::venue::Definition` writes it, every default filled in.
    definition jsonb       not null,
    -- Takes no bookings any more; those it has go on.
    retired    boolean     not null default false,
    changed_at timestamptz not null default clock_timestamp()
);

-- Who changed what, and when: each version as it was from then on.
create table venue_changes (
    spacename  text        not null references venues,
    version    bigint      not null,
    change     text        not null check (change in ('defined', 'changed', 'retired')),
    definition jsonb       not null,
    -- The same command again is answered from here.
    command_id uuid        not null unique,
    -- By whom and on which journey, as events say it.
    metadata   jsonb       not null,
    changed_at timestamptz not null default clock_timestamp(),
    primary key (spacename, version)
);
create trigger venue_changes_are_append_only
    before update or delete or truncate on venue_changes
    for each statement execute function refuse_change();

-- What `slot_claims.unit` names: numbers that no two venues share. A unit that a venue has no more is closed and
-- keeps its number, because bookings on it may be still to come.
create table venue_units (
    unit      bigint  primary key generated always as identity,
    spacename text    not null references venues,
    unit_no   int     not null check (unit_no >= 1),
    closed    boolean not null default false,
    unique (spacename, unit_no)
);

grant select, insert, update on venues, venue_units to spacerent_runtime;
grant select, insert on venue_changes to spacerent_runtime;

-- Defines a venue, or changes it. `p_versions`: the versions of which it must have one; null: any. `p_create`: only
-- if there is none. Outcomes: `defined`, `changed`, with the new version; `exists`, `other` (another version is
-- there), with the present one, or 0 where there is none. Nothing is stored with these two.
create function venue_save(
    p_spacename text, p_definition jsonb, p_units int, p_create boolean, p_versions bigint[],
    p_command_id uuid, p_metadata jsonb
) returns table (outcome text, version bigint) language plpgsql as $$
#variable_conflict use_column
declare
    was      venues%rowtype;
    is_there boolean;
    change   text;
begin
    if p_versions is not null and not exists (select from venues where spacename = p_spacename) then
        return query select 'other', 0::bigint;
        return;
    end if;
    -- Whoever defines it at the same moment is waited for.
    insert into venues (spacename, version, definition, retired)
    values (p_spacename, 1, p_definition, true)
    on conflict do nothing;
    is_there := not found;
    select * into was from venues where spacename = p_spacename for update;
    return query select c.change, c.version from venue_changes c where c.command_id = p_command_id;
    if found then
        return;
    end if;
    if (p_versions is not null and (was.retired or was.version <> all (p_versions))) -- rule: version
       or (p_create and not was.retired) then
        return query select case when p_create then 'exists' else 'other' end,
                            case when was.retired then 0 else was.version end;
        return;
    end if;
    change := case when was.retired then 'defined' else 'changed' end;
    if is_there then
        was.version := was.version + 1;
    end if;
    update venues
    set version = was.version, definition = p_definition, retired = false, changed_at = clock_timestamp()
    where spacename = p_spacename;
    insert into venue_changes (spacename, version, change, definition, command_id, metadata)
    values (p_spacename, was.version, change, p_definition, p_command_id, p_metadata);
    insert into venue_units (spacename, unit_no)
    select p_spacename, n from generate_series(1, p_units) n
    where not exists (select from venue_units u where u.spacename = p_spacename and u.unit_no = n)
    order by n;
    update venue_units set closed = unit_no > p_units
    where spacename = p_spacename and closed <> (unit_no > p_units);
    return query select change, was.version;
end
$$;

-- Retires a venue. Outcomes: `retired`, with the new version; `other`, with the present one, or 0 where there is none.
create function venue_retire(p_spacename text, p_versions bigint[], p_command_id uuid, p_metadata jsonb)
returns table (outcome text, version bigint) language plpgsql as $$
#variable_conflict use_column
declare
    was venues%rowtype;
begin
    select * into was from venues where spacename = p_spacename for update;
    return query select c.change, c.version from venue_changes c where c.command_id = p_command_id;
    if found then
        return;
    end if;
    if was.spacename is null or was.retired then
        return query select 'other', 0::bigint;
        return;
    end if;
    if was.version <> all (p_versions) then
        return query select 'other', was.version;
        return;
    end if;
    update venues
    set version = was.version + 1, retired = true, changed_at = clock_timestamp()
    where spacename = p_spacename;
    insert into venue_changes (spacename, version, change, definition, command_id, metadata)
    values (p_spacename, was.version + 1, 'retired', was.definition, p_command_id, p_metadata);
    update venue_units set closed = true where spacename = p_spacename and not closed;
    return query select 'retired', was.version + 1;
end
$$;
