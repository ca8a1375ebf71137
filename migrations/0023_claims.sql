-- Slots on one of several units, slots that are given back, points that are spent: what a command needs beside its
-- streams, won or lost with them in one commit (docs/adr/0023).

-- While a booking moves, its old slot and its new one stand side by side.
alter table slot_claims drop constraint slot_claims_pkey, add primary key (bookid, unit, during);

-- A user's points: their sum is the balance that a spender is held against.
create index events_points on events ((payload ->> 'userid'))
    where aggregate_type = 'Payment'
      and event_type in ('PointsAccrued', 'PointsReturned', 'PointsClawedBack', 'PointsSpent');

-- What a user has to spend.
create function points_balance(p_userid bigint) returns bigint language sql stable as $$
    select coalesce(sum(
        case when event_type in ('PointsAccrued', 'PointsReturned') then 1 else -1 end
        * (payload ->> 'points')::bigint
    ), 0)::bigint
    from events
    where aggregate_type = 'Payment'
      and event_type in ('PointsAccrued', 'PointsReturned', 'PointsClawedBack', 'PointsSpent')
      and payload ->> 'userid' = p_userid::text
$$;

-- The slots that bookings have by their events, of those between two positions: what `slot_claims` must hold. The time
-- that a slot takes of its unit is domain::terms::Terms::occupied. A slot without a unit was never claimed.
create function slots_by_events(p_first bigint, p_last bigint)
returns table (bookid bigint, unit bigint, during tstzrange) language sql stable as $$
    select bookid, (slot ->> 'unit')::bigint, tstzrange(
        (slot ->> 'start')::timestamptz - coalesce((terms ->> 'buffer_before_minutes')::int, 0) * interval '1 minute',
        (slot ->> 'end')::timestamptz + coalesce((terms ->> 'buffer_after_minutes')::int, 0) * interval '1 minute'
    )
    from (
        select min((payload ->> 'bookid')::bigint) as bookid,
               (array_agg(payload -> 'slot' order by sequence desc) filter (where payload ? 'slot'))[1] as slot,
               (array_agg(payload -> 'terms' order by sequence desc) filter (where payload ? 'terms'))[1] as terms,
               bool_or(event_type in ('Bookcancelled', 'BookRejected', 'BookExpired')) as is_over
        from events
        where aggregate_type = 'Book' and position between p_first and p_last
          and event_type in ('Booked', 'Rescheduled', 'Bookcancelled', 'BookRejected', 'BookExpired')
        group by aggregate_id
    ) bookings
    where not is_over and slot ->> 'unit' is not null
$$;

-- Takes a slot, or says that somebody has it. Whoever holds part of it in a transaction that is open is waited for.
--
-- A booking that moves has `p_held` of this unit until the same commit: what its old slot and its new one share is
-- its own, so it takes the rest. The old slot is not deleted first: somebody who waits must not hold what he gives
-- up, or two bookings that want each other's slots wait in a ring.
create function slot_take(p_bookid bigint, p_unit bigint, p_during tstzrange, p_held tstzmultirange)
returns boolean language plpgsql as $$
declare
    piece tstzrange;
    took  tstzrange[] := '{}';
begin
    if p_held is null then
        -- No row means that somebody holds the slot; a plain insert would raise, and deadlock.
        insert into slot_claims (bookid, unit, during) values (p_bookid, p_unit, p_during)
        on conflict do nothing;
        return found;
    end if;
    for piece in select * from unnest(tstzmultirange(p_during) - p_held) loop
        insert into slot_claims (bookid, unit, during) values (p_bookid, p_unit, piece)
        on conflict do nothing;
        if not found then
            delete from slot_claims where bookid = p_bookid and unit = p_unit and during = any (took); -- guard: half a slot
            return false;
        end if;
        took := took || piece;
    end loop;
    return true;
end
$$;

-- Appends a group of commands in one transaction: N commands in, N rows out.
--
-- Commands are named by their ordinal, from 1; everything else says which ordinal it belongs to. A claim is one
-- slot on one of several units: `candidate_claims` says which claim (from 1) each of `candidate_units` may serve, and
-- the lowest that is free does. A group holds each stream once, and each spender.
-- Outcomes: `stored`; `already` (this command id stored something before: its old answer); `conflict` (another
-- version is there, or the one before is missing); `taken` (a slot is, on all its units); `no_points` (fewer than
-- are to be spent).
--
-- A command is all or nothing. One that got only part of what it asked for makes the whole group fail with
-- SQLSTATE SR001, and the caller sends the members one by one; the detail says why (`conflict`, `taken`, `twin`,
-- `spender`). One fixed order of what is waited for, in separate statements: spenders, slots (by unit and time),
-- events (by key), command ids; so two groups wait for each other but never in a ring. Lines marked `guard` are each
-- taken out by a test that then sees the harm.
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
    claim_starts     timestamptz[],
    claim_ends       timestamptz[],
    candidate_claims int[],
    candidate_units  bigint[],
    release_ordinals int[],
    release_bookids  bigint[],
    spend_ordinals   int[],
    spend_userids    bigint[],
    spend_points     bigint[]
) returns table (ordinal int, outcome text, answer jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    total          int := cardinality(command_ids);
    -- Per ordinal; null where the command is new.
    old_answers    jsonb[];
    -- Per ordinal: why a command is not to write anything; null while it may.
    lost           text[] := array_fill(null::text, array[total]);
    claims_won     int[] := array_fill(0, array[total]);
    -- Per claim: the unit that it has.
    units_won      bigint[] := array_fill(null::bigint, array[cardinality(claim_ordinals)]);
    -- Per ordinal: the unit of its first claim.
    units          bigint[] := array_fill(null::bigint, array[total]);
    events_asked   int[];
    events_won     int[];
    new_answers    jsonb[];
    outcomes       text[] := array_fill(null::text, array[total]);
    wanted         record;
    -- Of a booking that moves: what it has of a unit.
    held           tstzmultirange;
    key            bigint;
    o              int;
    to_record      int := 0;
    recorded       int;
begin
    select array_agg(c.answer order by n.ordinal) into old_answers
    from unnest(command_ids) with ordinality n (command_id, ordinal)
    left join commands c using (command_id);

    -- Spenders. Who spends from the same balance waits here, and then counts what the one before him left.
    if cardinality(spend_ordinals) > 0 then
        for key in
            select hashtextextended('points of ' || userid, 0) as key from unnest(spend_userids) as s (userid)
            order by key -- guard: spender order
        loop
            perform pg_advisory_xact_lock(key); -- guard: points lock
        end loop;
        for wanted in
            select s.ordinal, s.points, points_balance(s.userid) as balance,
                   count(*) over (partition by s.userid) as times
            from unnest(spend_ordinals, spend_userids, spend_points) as s (ordinal, userid, points)
            where old_answers[s.ordinal] is null
        loop
            if wanted.times > 1 then -- guard: spender once
                raise exception 'a user spends twice in one group' -- guard: spender once
                    using errcode = 'SR001', detail = 'spender'; -- guard: spender once
            end if; -- guard: spender once
            if wanted.points > wanted.balance then -- guard: points balance
                lost[wanted.ordinal] := 'no_points'; -- guard: points balance
            end if; -- guard: points balance
        end loop;
    end if;

    -- Slots, unit by unit, so that whoever waits at one holds only lower ones.
    if cardinality(claim_ordinals) > 0 then
        for wanted in
            select c.claim, c.unit, claim_bookids[c.claim] as bookid,
                   tstzrange(claim_starts[c.claim], claim_ends[c.claim]) as during, (
                       select range_agg(s.during)
                       from unnest(release_ordinals, release_bookids) as r (ordinal, bookid)
                       join slot_claims s on s.bookid = r.bookid and s.unit = c.unit
                       where r.ordinal = claim_ordinals[c.claim] and r.bookid = claim_bookids[c.claim]
                   ) as held
            from unnest(candidate_claims, candidate_units) as c (claim, unit)
            where old_answers[claim_ordinals[c.claim]] is null and lost[claim_ordinals[c.claim]] is null
            order by c.unit, during, c.claim -- guard: claim order
        loop
            continue when units_won[wanted.claim] is not null;
            held := wanted.held; -- guard: own slot
            if slot_take(wanted.bookid, wanted.unit, wanted.during, held) then
                units_won[wanted.claim] := wanted.unit;
            end if;
        end loop;
        for c in 1..cardinality(claim_ordinals) loop
            o := claim_ordinals[c];
            if units_won[c] is not null then
                claims_won[o] := claims_won[o] + 1;
                units[o] := coalesce(units[o], units_won[c]);
            elsif old_answers[o] is null then
                lost[o] := coalesce(lost[o], 'taken');
            end if;
        end loop;
    end if;

    -- What was decided on a version that is no longer the last is decided again, and may want something else then.
    if lost <> array_fill(null::text, array[total]) then
        for o in
            select e.ordinal
            from unnest(event_ordinals, aggregate_types, aggregate_ids, sequences)
                as e (ordinal, aggregate_type, aggregate_id, sequence)
            join events using (aggregate_type, aggregate_id, sequence)
            where lost[e.ordinal] is not null
        loop
            lost[o] := 'conflict'; -- guard: stale loser
        end loop;
    end if;

    -- Events, in key order. One that names a slot without a unit gets the unit that the command won.
    with asked as (
        select e.*, min(e.sequence) over (partition by e.aggregate_type, e.aggregate_id) as first
        from unnest(
            event_ordinals, aggregate_types, aggregate_ids, sequences, event_types, event_versions,
            payloads, metadatas, event_ids
        ) as e (
            ordinal, aggregate_type, aggregate_id, sequence, event_type, event_version,
            payload, metadata, event_id
        )
        where true
          and old_answers[e.ordinal] is null -- guard: known command
          and lost[e.ordinal] is null -- guard: loser
    ), won as (
        insert into events (
            aggregate_type, aggregate_id, sequence, event_type, event_version,
            payload, metadata, event_id, command_id
        )
        select
            a.aggregate_type, a.aggregate_id, a.sequence, a.event_type, a.event_version,
            case
                when units[a.ordinal] is not null and jsonb_typeof(a.payload #> '{slot,unit}') = 'null'
                then jsonb_set(a.payload, '{slot,unit}', to_jsonb(units[a.ordinal]))
                else a.payload
            end,
            a.metadata, a.event_id, command_ids[a.ordinal]
        from asked a
        where true
          and (a.first = 1 or exists (select from events p where p.aggregate_type = a.aggregate_type and p.aggregate_id = a.aggregate_id and p.sequence = a.first - 1)) -- guard: predecessor
        order by a.aggregate_type, a.aggregate_id, a.sequence -- guard: key order
        on conflict (aggregate_type, aggregate_id, sequence) do nothing
        returning aggregate_type, aggregate_id, sequence, event_id, position
    ), streams as (
        select a.ordinal, a.aggregate_type, a.aggregate_id, count(*)::int as asked, count(w.sequence)::int as won,
               max(w.sequence) as version, max(w.position) as position
        from asked a left join won w using (aggregate_type, aggregate_id, sequence, event_id)
        group by 1, 2, 3
    ), per_command as (
        select s.ordinal, sum(asked)::int as asked, sum(won)::int as won, jsonb_build_object(
            'position', max(s.position),
            'streams', jsonb_agg(jsonb_build_object(
                'type', s.aggregate_type, 'id', s.aggregate_id, 'version', s.version
            ) order by s.aggregate_type, s.aggregate_id)
        ) as answer
        from streams s group by 1
    )
    select array_agg(coalesce(p.asked, 0) order by o), array_agg(coalesce(p.won, 0) order by o),
           array_agg(p.answer order by o)
    into events_asked, events_won, new_answers
    from generate_series(1, total) o left join per_command p on p.ordinal = o;

    -- Every command against what it asked for.
    for o in 1..total loop
        outcomes[o] := case
            when old_answers[o] is not null then 'already'
            when lost[o] is not null then lost[o]
            when events_won[o] = events_asked[o] then 'stored'
            else 'conflict'
        end;
        if outcomes[o] not in ('already', 'stored') and claims_won[o] + events_won[o] > 0 then -- guard: half-won
            raise exception 'command % won only part of what it asked for', o -- guard: half-won
                using errcode = 'SR001', detail = outcomes[o]; -- guard: half-won
        end if; -- guard: half-won
        if outcomes[o] = 'stored' then
            to_record := to_record + 1;
        end if;
    end loop;

    -- What the winners give up. Nothing is waited for here: their streams are theirs, and so are the slots.
    if cardinality(release_ordinals) > 0 then
        delete from slot_claims s
        using unnest(release_ordinals, release_bookids) as r (ordinal, bookid)
        where s.bookid = r.bookid
          and outcomes[r.ordinal] = 'stored' -- guard: release
        ;
        -- A booking that moves has the new slot whole, in one row.
        insert into slot_claims (bookid, unit, during)
        select claim_bookids[c], units_won[c], tstzrange(claim_starts[c], claim_ends[c])
        from generate_series(1, cardinality(claim_ordinals)) c
        where outcomes[claim_ordinals[c]] = 'stored' and exists (
            select from unnest(release_ordinals, release_bookids) as r (ordinal, bookid)
            where r.ordinal = claim_ordinals[c] and r.bookid = claim_bookids[c]
        );
    end if;

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

-- Processes of the version before, while they are still there beside those of this one. Each claim has one unit; and
-- they may end a booking without knowing that it has a slot.
create or replace function journal_append(
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
) returns table (ordinal int, outcome text, answer jsonb) language sql as $$
    with ends as (
        select array_agg(ordinal order by n) as ordinals, array_agg(aggregate_id::bigint order by n) as bookids
        from unnest(event_ordinals, aggregate_types, aggregate_ids, event_types)
            with ordinality as e (ordinal, aggregate_type, aggregate_id, event_type, n)
        where aggregate_type = 'Book' and event_type in ('Bookcancelled', 'BookRejected', 'BookExpired')
    )
    select a.* from ends, journal_append(
        command_ids, event_ordinals, aggregate_types, aggregate_ids, sequences, event_types, event_versions,
        payloads, metadatas, event_ids, claim_ordinals, claim_bookids, claim_starts, claim_ends,
        array(select generate_series(1, cardinality(claim_ordinals))), claim_units,
        coalesce(ends.ordinals, '{}'), coalesce(ends.bookids, '{}'), '{}', '{}', '{}'
    ) a
$$;
