-- Parked events that the program that parked them could not read.
--
-- While nodes are upgraded one after the other, an old one may meet an event that only the new ones can read. Its
-- booking is parked like any other, but nobody has to look: the first follower that can read it tries the booking
-- again by itself. For that the row says what it was that held the booking up.

alter table parked
    -- The version that the event was written with; null where it was parked by a program that did not say.
    add column event_version text,
    -- Whether the event itself could not be read, for whatever reason; if not, it could not be applied.
    add column unread boolean not null default false;
