-- The journal: what happened, once, in order, for ever.
--
-- `events` has the columns of postgres-es, whose fixed insert list leaves the rest to defaults, and ours
-- after them. Nothing here is ever updated or deleted. Everything that can be derived (read models, the
-- saga's state, jobs) lives in other tables and other files.

-- Who this log is. A checkpoint that is kept outside this database (an export, an SSE id) carries both
-- values: another identity or epoch means that it was taken from another log.
create table journal (
    singleton  boolean primary key default true check (singleton),
    identity   uuid        not null default gen_random_uuid(),
    -- Raised after a restore or a promotion that lost data.
    epoch      bigint      not null default 1,
    created_at timestamptz not null default now()
);
insert into journal default values;

create table events (
    aggregate_type text   not null,
    aggregate_id   text   not null,
    sequence       bigint not null check (sequence >= 1),
    event_type     text   not null,
    event_version  text   not null,
    payload        jsonb  not null,
    -- cqrs-es loads metadata as a map of strings: one number written by another tool would make the whole
    -- stream unloadable.
    metadata       jsonb  not null check (
        jsonb_typeof(metadata) = 'object'
        and not jsonb_path_exists(metadata, '$.* ? (@.type() != "string")')
    ),
    -- Defaults are computed in column order: the transaction has its id before it draws a position. The
    -- feed's proof that a hole is dead rests on exactly that, so `tx` stands before `position`.
    tx             xid8        not null default pg_current_xact_id(),
    position       bigint      not null generated always as identity (cache 1),
    event_id       uuid        not null default gen_random_uuid(),
    command_id     uuid        not null default gen_random_uuid(),
    recorded_at    timestamptz not null default clock_timestamp(),
    primary key (aggregate_type, aggregate_id, sequence),
    constraint events_position_key unique (position)
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% on % is refused: the journal is append-only', tg_op, tg_table_name
        using errcode = 'restrict_violation';
end
$$;

-- Statement triggers: they also refuse an UPDATE of no row, and they see TRUNCATE, which row triggers do not.
create trigger events_are_append_only
    before update or delete or truncate on events
    for each statement execute function refuse_change();

-- Every command that stored something, and the answer it was given. The same id again is answered from here.
create table commands (
    command_id  uuid primary key,
    -- {"position": last event, "streams": [{"type", "id", "version"}]}
    answer      jsonb       not null,
    recorded_at timestamptz not null default clock_timestamp()
);
create trigger commands_are_append_only
    before update or delete or truncate on commands
    for each statement execute function refuse_change();

-- Who holds which unit of a space, and when. Claimed in the same statement group as the event that needs
-- it; the constraint, not a check before the insert, keeps two bookings apart. A unit is a number, written
-- as a range of one, because ranges need no extension in a gist index and numbers would.
create table slot_claims (
    bookid bigint    not null,
    unit   bigint    not null,
    during tstzrange not null check (
        not isempty(during) and lower_inc(during) and not upper_inc(during)
    ),
    primary key (bookid, unit),
    constraint slot_claims_do_not_overlap
        exclude using gist (int8range(unit, unit, '[]') with &&, during with &&)
);

-- Booking numbers, counted from 1 and without holes while nothing fails.
create sequence book_ids as bigint minvalue 1 cache 1;

-- Appends a group of commands in one transaction: N commands in, N rows out.
--
-- Commands are named by their ordinal, from 1. Events and claims say which ordinal they belong to. A group
-- holds each stream once. Outcomes: `stored`; `already` (this command id stored something before: its old
-- answer); `conflict` (another version is there, or the one before is missing); `taken` (a slot is).
--
-- A command is all or nothing. One that got only part of what it asked for makes the whole group fail with
-- SQLSTATE SR001, and the caller sends the members one by one; the detail says why (`conflict`, `taken`,
-- `twin`). Rows go in key order and tables in one fixed order, in separate statements, so that two groups
-- wait for each other but never in a ring. Lines marked `guard` are each taken out by a test that then sees
-- the harm.
create function journal_append(
    command_ids      uuid[],
    event_ordinals   int[],
    aggregate_types  text[],
    aggregate_ids    text[],
    sequences        bigint[],
    event_types      text[],
    event_versions   text[],
    payloads         jsonb[],
    metadatas        jsonb[],
    event_ids        uuid[],
    claim_ordinals   int[],
    claim_bookids    bigint[],
    claim_units      bigint[],
    claim_starts     timestamptz[],
    claim_ends       timestamptz[]
) returns table (ordinal int, outcome text, answer jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    total          int := cardinality(command_ids);
    -- Per ordinal; null where the command is new.
    old_answers    jsonb[];
    claims_won     int[];
    events_won     int[];
    new_answers    jsonb[];
    outcomes       text[] := array_fill(null::text, array[total]);
    claims_asked   int;
    events_asked   int;
    to_record      int := 0;
    recorded       int;
begin
    select array_agg(c.answer order by n.ordinal) into old_answers
    from unnest(command_ids) with ordinality n (command_id, ordinal)
    left join commands c using (command_id);

    -- Claims first. No row means that somebody holds the slot; a plain insert would raise, and deadlock.
    with asked as (
        select c.ordinal, c.bookid, c.unit, tstzrange(c.starts, c.ends) as during
        from unnest(claim_ordinals, claim_bookids, claim_units, claim_starts, claim_ends)
            as c (ordinal, bookid, unit, starts, ends)
        where old_answers[c.ordinal] is null
    ), won as (
        insert into slot_claims (bookid, unit, during)
        select bookid, unit, during from asked
        order by unit, during -- guard: claim order
        on conflict do nothing
        returning bookid, unit, during
    )
    select array_agg(coalesce(w.n, 0) order by o) into claims_won
    from generate_series(1, total) o
    left join (
        select a.ordinal, count(*)::int as n from asked a join won using (bookid, unit, during) group by 1
    ) w on w.ordinal = o;

    -- Then events, in key order.
    with asked as (
        select e.*, min(e.sequence) over (partition by e.aggregate_type, e.aggregate_id) as first
        from unnest(
            event_ordinals, aggregate_types, aggregate_ids, sequences, event_types, event_versions,
            payloads, metadatas, event_ids
        ) as e (
            ordinal, aggregate_type, aggregate_id, sequence, event_type, event_version,
            payload, metadata, event_id
        )
        where old_answers[e.ordinal] is null -- guard: known command
    ), won as (
        insert into events (
            aggregate_type, aggregate_id, sequence, event_type, event_version,
            payload, metadata, event_id, command_id
        )
        select
            a.aggregate_type, a.aggregate_id, a.sequence, a.event_type, a.event_version,
            a.payload, a.metadata, a.event_id, command_ids[a.ordinal]
        from asked a
        where true
          and (a.first = 1 or exists (select from events p where p.aggregate_type = a.aggregate_type and p.aggregate_id = a.aggregate_id and p.sequence = a.first - 1)) -- guard: predecessor
        order by a.aggregate_type, a.aggregate_id, a.sequence -- guard: key order
        on conflict (aggregate_type, aggregate_id, sequence) do nothing
        returning aggregate_type, aggregate_id, sequence, event_id, position
    ), streams as (
        select a.ordinal, w.aggregate_type, w.aggregate_id,
               count(*)::int as n, max(w.sequence) as version, max(w.position) as position
        from won w join asked a using (aggregate_type, aggregate_id, sequence, event_id)
        group by 1, 2, 3
    ), per_command as (
        select s.ordinal, sum(n)::int as n, jsonb_build_object(
            'position', max(s.position),
            'streams', jsonb_agg(jsonb_build_object(
                'type', s.aggregate_type, 'id', s.aggregate_id, 'version', s.version
            ) order by s.aggregate_type, s.aggregate_id)
        ) as answer
        from streams s group by 1
    )
    select array_agg(coalesce(p.n, 0) order by o), array_agg(p.answer order by o)
    into events_won, new_answers
    from generate_series(1, total) o left join per_command p on p.ordinal = o;

    -- Every command against what it asked for.
    for o in 1..total loop
        claims_asked := (select count(*) from unnest(claim_ordinals) c where c = o);
        events_asked := (select count(*) from unnest(event_ordinals) e where e = o);
        outcomes[o] := case
            when old_answers[o] is not null then 'already'
            when claims_won[o] = claims_asked and events_won[o] = events_asked then 'stored'
            when claims_won[o] < claims_asked then 'taken'
            else 'conflict'
        end;
        if outcomes[o] in ('taken', 'conflict') and claims_won[o] + events_won[o] > 0 then -- guard: half-won
            raise exception 'command % won only part of what it asked for', o -- guard: half-won
                using errcode = 'SR001', detail = outcomes[o]; -- guard: half-won
        end if; -- guard: half-won
        if outcomes[o] = 'stored' then
            to_record := to_record + 1;
        end if;
    end loop;

    -- Command ids last. A twin that was recorded meanwhile, or stands in this very group, is not recorded
    -- again: then nothing of this group may stay.
    insert into commands (command_id, answer)
    select n.command_id, new_answers[n.ordinal]
    from unnest(command_ids) with ordinality n (command_id, ordinal)
    where outcomes[n.ordinal] = 'stored'
    order by n.command_id -- guard: id order
    on conflict (command_id) do nothing;
    get diagnostics recorded = row_count;
    if recorded <> to_record then -- guard: twin
        raise exception 'a command id was recorded by somebody else' -- guard: twin
            using errcode = 'SR001', detail = 'twin'; -- guard: twin
    end if; -- guard: twin

    return query
    select o, outcomes[o], coalesce(old_answers[o], new_answers[o]) from generate_series(1, total) o
    order by o;
end
$$;
