-- Turns: which node follows what, while several could.
--
-- A lease says who may move a checkpoint; it does not say who should try. So every node that could follow something
-- says so again and again, and of those that did lately one has the turn: the followers are dealt out among them in
-- order of name, like cards. Whoever has not the turn gives its lease back and does not ask for it. Nothing rests
-- on this: two nodes that both believe in their turn meet at the lease, as ever. Time is the database's.

create table follower_candidates (
    name       text        not null,
    generation int         not null,
    slice      int         not null,
    node       uuid        not null,
    seen_until timestamptz not null,
    primary key (name, generation, slice, node)
);
grant select, insert, update, delete on follower_candidates to spacerent_runtime;

-- Says that a node could follow this for the next `p_seen_ms`; whether it is the one that should. One whose steps are
-- failing could not, and goes on only where there is nobody else.
create function follower_turn(
    p_name text, p_generation int, p_slice int, p_node uuid, p_seen_ms int, p_failing boolean
) returns boolean language plpgsql as $$
declare
    place  bigint;
    living uuid[];
begin
    insert into follower_candidates as c (name, generation, slice, node, seen_until)
    values (p_name, p_generation, p_slice, p_node,
            clock_timestamp() + case when p_failing then interval '0' else make_interval(secs => p_seen_ms / 1000.0) end)
    on conflict (name, generation, slice, node) do update set seen_until = excluded.seen_until;
    -- Rows of the dead, long after anybody looks at them.
    delete from follower_candidates
    where name = p_name and node <> p_node and seen_until < clock_timestamp() - interval '1 minute';
    select array_agg(c.node order by c.node) into living
    from follower_candidates c
    where c.name = p_name and c.generation = p_generation and c.slice = p_slice
      and c.seen_until > clock_timestamp();
    -- Whatever the generation: a switch moves nobody else's turn.
    select count(distinct (c.name, c.slice)) into place
    from follower_candidates c
    where c.seen_until > clock_timestamp() and (c.name, c.slice) < (p_name, p_slice);
    if living is null then
        return true;
    end if;
    return living[1 + place % cardinality(living)] = p_node;
end
$$;
