-- The stub gateway's own books. It plays the company that moves money in development and tests, so it has
-- its own schema and its own transactions: a crash of ours cannot make it forget a charge.

create schema stub_gateway;

create table stub_gateway.charges (
    key        text        primary key,
    reference  uuid        not null unique,
    bookid     bigint      not null,
    charge_no  int         not null,
    amount     bigint      not null check (amount >= 0),
    currency   text        not null,
    -- Null when captured.
    declined   text,
    created_at timestamptz not null default clock_timestamp()
);

create table stub_gateway.refunds (
    key        text        primary key,
    reference  uuid        not null unique,
    charge     uuid        not null references stub_gateway.charges (reference),
    amount     bigint      not null check (amount > 0),
    created_at timestamptz not null default clock_timestamp()
);
create index refunds_by_charge on stub_gateway.refunds (charge);
