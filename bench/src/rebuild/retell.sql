-- Tells the story of booking 1 again as that of the bookings 2 to $1: its first $2 events, and for every $3rd booking the
-- others too, $4 bookings later.
insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
select
    aggregate_type, n::text, sequence, event_type, event_version,
    payload || jsonb_strip_nulls(jsonb_build_object(
        'bookid', case when payload ? 'bookid' then n end,
        'payid', case when payload ? 'payid' then n end,
        'spaceid', case when payload ? 'spaceid' then n end,
        'userid', case when payload ? 'userid' then n % 20000 end
    )),
    metadata || jsonb_build_object('occurred_at', to_char(
        timestamp '2026-05-01' + n * interval '1 second' + position * interval '1 millisecond',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
    ))
from generate_series(2, $1) n, events
where aggregate_id = '1' and (position <= $2 or n % $3 = 0)
order by n + case when position > $2 then $4 else 0 end, n, position
