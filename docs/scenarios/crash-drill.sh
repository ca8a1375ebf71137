#!/usr/bin/env bash
# kill -9 in the middle of the load: once the server, once server and Postgres together. Every booking that was
# answered 2xx must be there afterwards, and everything must converge by itself. Uses a data folder of its own.
source "$(dirname "$0")/lib.sh"
command -v psql >/dev/null || fail 'this scenario needs psql'
[ -x "$SPACERENT" ] || fail "$SPACERENT is not there: cargo build --release"
DATA_DIR=$(mktemp -d "${TMPDIR:-/tmp}/spacerent-drill.XXXXXX"); export DATA_DIR; chmod 755 "$DATA_DIR"
acknowledged=$DATA_DIR/acknowledged
: >"$acknowledged"

start() {
    RUST_LOG=warn "$SPACERENT" --data-dir "$DATA_DIR" dev >>"$DATA_DIR/log" 2>&1 &
    server=$!
    until_true 30 'ready' curl -fsS http://localhost:8081/readyz
}
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$DATA_DIR"' EXIT

# Books without a pause and writes down each number that was answered 2xx, for as long as the file stands.
load() {
    local client
    touch "$DATA_DIR/loading"
    for client in 1 2 3 4 5 6 7 8; do
        python3 - "$DATA_DIR/loading" "$acknowledged" <<'PY' &
import http.client, json, os, sys
flag, path = sys.argv[1:]
body = json.dumps({"userId": "4", "bookid": "4", "spacename": "numberfour", "status": "booking"})
with open(path, "a", buffering=1) as out:
    while os.path.exists(flag):
        try:
            c = http.client.HTTPConnection("localhost", 8081, timeout=5)
            while os.path.exists(flag):
                c.request("POST", "/books", body, {"Content-Type": "application/json", "Accept": "*/*"})
                r = c.getresponse(); data = r.read()
                if 200 <= r.status < 300: out.write(f"{json.loads(data)['bookid']}\n")
        except OSError: pass
        except http.client.HTTPException: pass
PY
    done
}
enough() { [ "$(wc -l <"$acknowledged")" -ge "$1" ]; }
loaders_gone() { ! pgrep -f "$DATA_DIR/loading" >/dev/null; }
postmaster() { head -n 1 "$DATA_DIR"/postgres*/postmaster.pid 2>/dev/null || head -n 1 "$(find "$DATA_DIR" -name postmaster.pid | head -n 1)"; }

say 'kill -9 of the server under load'
start
load
until_true 60 '500 bookings answered 2xx' enough 500
kill -9 "$server"; wait "$server" 2>/dev/null || true
start
until_true 60 '1000 bookings answered 2xx' enough 1000

say 'kill -9 of the server and of Postgres under load'
# Its children may be gone before their turn comes.
kill -9 "$server" "$(postmaster)" $(pgrep -P "$(postmaster)") 2>/dev/null || true; wait "$server" 2>/dev/null || true
start
until_true 60 '1500 bookings answered 2xx' enough 1500
rm "$DATA_DIR/loading"
until_true 15 'the load has stopped' loaders_gone

say 'answered 2xx and missing'
sort -n "$acknowledged" | uniq >"$acknowledged.sorted"
sql "select aggregate_id from events where event_type = 'Booked'" | sort -n >"$DATA_DIR/stored"
missing=$(comm -23 <(sort "$acknowledged.sorted") <(sort "$DATA_DIR/stored") | wc -l)
printf '%s of %s\n' "$missing" "$(wc -l <"$acknowledged.sorted")"
[ "$missing" = 0 ] || fail 'bookings that were answered 2xx are gone'
docs/scenarios/checks.sh
