#!/usr/bin/env bash
# Chaos: two processes on a Postgres of their own, customers who book and cancel without a pause, and one fault after
# another: processes killed (at random and at fail points) and stopped, connections ended and cut in a commit, Postgres
# killed, the disk full. Ends with a table; status 1 when anything was lost, doubled, parked or stuck. Ten minutes.
#   chaos.sh [SECONDS]     CHAOS_SEED=N plays the faults of another run in the same order.
# Needs the sources: fail points are in debug builds only. A full disk needs the right to mount a tmpfs.
source "$(dirname "$0")/lib.sh"
export CHAOS_SECONDS=${1:-${CHAOS_SECONDS:-600}}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test -q -p cli --test it --no-run
# The test says what failed; its stack trace says nothing more.
RUST_BACKTRACE=0 cargo test -q -p cli --test it -- --ignored --nocapture --exact \
    chaos::run::a_chaos_run_ends_with_nothing_lost_doubled_or_stuck 2>&1 | tee "$log"
# A name that matches no test is no run.
grep -q '^test result: ok. 1 passed' "$log" || fail 'chaos'
