-- Rebuilds: what they have written so far, and read models as they were at one position.

-- A generation `as of` a position is built like any other and never becomes live: its schema is renamed
-- (`mypage_at_1234`) when it is finished, and its state becomes `at`.
alter table projections add column as_of bigint check (as_of >= 1);
alter table projections drop constraint projections_state_check;
alter table projections add constraint projections_state_check
    check (state in ('building', 'live', 'kept', 'at', 'gone') and (state <> 'at' or as_of is not null));

-- What stands in the tables of a generation that is being built, in short: per table the number of rows and the
-- sum of their fingerprints, committed with the checkpoint. A rebuild that was killed is gone on with only when
-- its tables, read back, still say the same. Several slices of the keys may be filled beside each other, each under
-- its own checkpoint; 0 is all keys in one.
create table rebuilt_rows (
    name         text   not null,
    generation   int    not null,
    slice        int    not null,
    table_name   text   not null,
    rows         bigint not null check (rows >= 0),
    fingerprints bigint not null,
    primary key (name, generation, slice, table_name)
);
grant select, insert, update on rebuilt_rows to spacerent_runtime;
