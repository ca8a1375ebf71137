#!/usr/bin/env bash
# Runs each of these scenarios against a `spacerent dev` of its own that has seen nothing, on the usual ports:
#   on-fresh-dev.sh walkthrough.sh functional.sh
# Settings are those of the environment. The server's log is shown when a scenario fails.
source "$(dirname "$0")/lib.sh"
[ -x "$SPACERENT" ] || fail "$SPACERENT is not there: cargo build --release"
DATA_DIR=$(mktemp -d "${TMPDIR:-/tmp}/spacerent-fresh.XXXXXX"); export DATA_DIR; chmod 755 "$DATA_DIR"
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$DATA_DIR"' EXIT

for scenario in "$@"; do
    RUST_LOG=warn "$SPACERENT" --data-dir "$DATA_DIR" dev --fresh >"$DATA_DIR/log" 2>&1 &
    server=$!
    until_true 60 "ready for $scenario" curl -fsS "$BOOKS/readyz"
    "docs/scenarios/$scenario" || { tail -n 50 "$DATA_DIR/log" >&2; fail "$scenario"; }
    kill "$server"; wait "$server" || true
done
