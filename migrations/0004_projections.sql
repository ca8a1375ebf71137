-- Read models: which generations of them exist, and which one readers see.
--
-- A generation is a schema (`mypage_1`) with its own tables and its own follower. Readers go through views in
-- a schema with the projection's name (`mypage.mypages`); the switch replaces the views and moves `live` in one
-- short transaction, so an answer never mixes two generations.

create table projections (
    name       text        not null,
    generation int         not null check (generation >= 1),
    -- The fold's version that fills it. The code knows its own: another number here means behind.
    version    int         not null,
    -- `kept` was live before and can be switched back to. `gone` is dropped: its row stays, so that a number
    -- is never used for other tables.
    state      text        not null check (state in ('building', 'live', 'kept', 'gone')),
    created_at timestamptz not null default clock_timestamp(),
    primary key (name, generation)
);
create unique index one_live_generation on projections (name) where state = 'live';
