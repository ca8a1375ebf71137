-- A journal whose sequence of positions was set back (by hand, or by a restore of only some tables) would store the
-- next event where one stands already, or before it, where no follower looks any more. A process looks before it
-- begins, so it must be able to see where the sequence is; it still cannot move it.
grant select on sequence events_position_seq to spacerent_runtime;
