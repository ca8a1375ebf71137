-- Parked events that a newer version of the program wrote.
--
-- While nodes are upgraded one after the other, an old one may meet an event that only the new ones can read. Its
-- booking is parked like any other, but nobody has to look: the first follower that can read it tries the booking
-- again by itself. For that the row says what it is that could not be read.

alter table parked
    -- The version that the event was written with; null where it was parked by a program that did not say.
    add column event_version text,
    -- Whether the program that parked it did not know the event's name or version at all.
    add column newer boolean not null default false;
