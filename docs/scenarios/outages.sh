#!/usr/bin/env bash
# Postgres away under load, in four ways, without a restart of the server: what is answered meanwhile, the longest
# answer, and how long until bookings are taken again and until everything has come to its end. Prints a table. Uses a
# data folder and a server of its own, on the usual ports: none may be taken. About two minutes.
source "$(dirname "$0")/lib.sh"
command -v psql >/dev/null || fail 'this scenario needs psql'
[ -x "$SPACERENT" ] || fail "$SPACERENT is not there: cargo build --release"
DATA_DIR=$(mktemp -d "${TMPDIR:-/tmp}/spacerent-outages.XXXXXX"); export DATA_DIR; chmod 755 "$DATA_DIR"
postmaster() { head -n 1 "$(find "$DATA_DIR" -name postmaster.pid | head -n 1)" 2>/dev/null; }
family() { local pid; pid=$(postmaster) && echo "$pid" $(pgrep -P "$pid"); }
ended_and_gone() {
    for _ in {1..200}; do [ -n "$(postmaster)" ] || break; sleep 0.05; done
    rm -rf "$DATA_DIR"
}
# A frozen one is thawed before it is asked to stop; one that was started here ends with its last user.
trap 'kill -CONT $(family) 2>/dev/null || true; kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true
      kill -INT $(postmaster) 2>/dev/null || true; ended_and_gone' EXIT

RUST_LOG=error "$SPACERENT" --data-dir "$DATA_DIR" dev >"$DATA_DIR/log" 2>&1 &
until_true 30 'ready' curl -fsS "$BOOKS/readyz"
# The server's own command line starts it again.
mapfile -d '' -t start <"/proc/$(postmaster)/cmdline"
account=$(stat -c %U "/proc/$(postmaster)")
start_again() {
    if [ "$account" = "$(id -un)" ]; then "${start[@]}" >>"$DATA_DIR/postgres.log" 2>&1 &
    # Not runuser: it stops with its child, and stays stopped when that is thawed.
    else setpriv --reuid "$account" --regid "$(id -g "$account")" --init-groups "${start[@]}" >>"$DATA_DIR/postgres.log" 2>&1 & fi
}

# Books with eight clients, reads with two, asks readiness and liveness; a line for each answer until the file goes.
load() {
    touch "$DATA_DIR/loading"
    python3 - "$BOOKS" "$GATEWAY" "$DATA_DIR/loading" "$DATA_DIR/answers" <<'PY' &
import http.client, json, os, sys, threading, time
from urllib.parse import urlsplit
books, gateway, flag, path = sys.argv[1:]
out, lock = open(path, "w"), threading.Lock()
body = json.dumps({"userId": "4", "bookid": "4", "spacename": "numberfour", "status": "booking"})
def ask(what, url, method, target):
    while os.path.exists(flag):
        c = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        at, status, hint, number = time.time(), 0, "-", "-"
        try:
            c.request(method, target, body if method == "POST" else None, {"Content-Type": "application/json", "Accept": "*/*"})
            r = c.getresponse(); data = r.read(); status = r.status; hint = r.getheader("Retry-After") or "-"
            if method == "POST" and status < 300: number = json.loads(data)["bookid"]
        except (OSError, http.client.HTTPException): pass
        with lock: out.write(f"{what} {at:.3f} {time.time() - at:.3f} {status} {hint} {number}\n"); out.flush()
        time.sleep(0.02)
clients = [("book", books, "POST", "/books")] * 8 + [("read", gateway, "GET", "/mypages/1"), ("read", books, "GET", "/books"),
           ("ready", books, "GET", "/readyz"), ("live", books, "GET", "/livez")]
threads = [threading.Thread(target=ask, args=c) for c in clients]
for t in threads: t.start()
for t in threads: t.join()
PY
    loader=$!
}
booked_since() { awk -v at="$1" '$1 == "book" && $2 >= at && $4 < 300 && $4 > 0 { found = 1 } END { exit !found }' "$DATA_DIR/answers"; }
quiet() { [ "$(sql "select count(*) from jobs where state = 'open'")" = 0 ] && [ "$(sql "
    select count(*) from followers f left join projections p using (name, generation)
    where coalesce(p.state, 'live') = 'live' and f.position < (select max(position) from events)")" = 0 ]; }

table=$DATA_DIR/table
printf '%-34s %-26s %10s %12s %12s %8s\n' outage 'answers meanwhile' longest 'booked after' 'quiet after' missing >"$table"
# play NAME SECONDS BREAK MEND
play() {
    local name=$1 seconds=$2 began back booked quiet_at missing
    say "$name"
    load; sleep 3
    $3; began=$EPOCHREALTIME; sleep "$seconds"; back=$EPOCHREALTIME; $4
    until_true 30 'bookings are taken again' booked_since "$back"; booked=$EPOCHREALTIME
    sleep 2; rm "$DATA_DIR/loading"; wait "$loader"
    until_true 60 'no open job, every follower at the head' quiet; quiet_at=$EPOCHREALTIME
    awk '$1 == "book" && $6 != "-" { print $6 }' "$DATA_DIR/answers" | sort -u >"$DATA_DIR/acknowledged"
    missing=$(comm -23 "$DATA_DIR/acknowledged" <(sql "select aggregate_id from events where event_type = 'Booked'" | sort -u) | wc -l)
    awk -v name="$name" -v from="$began" -v to="$back" -v booked="$booked" -v quiet="$quiet_at" -v missing="$missing" '
        $3 > longest { longest = $3 }
        $2 >= from && $2 + $3 <= to { count[$4]++; if ($1 == "live" && $4 != 200 || $4 == 503 && $1 != "ready" && $5 == "-") bad++ }
        END {
            for (status in count) answers = answers count[status] "x" status " "
            printf "%-34s %-26s %8.2f s %10.2f s %10.2f s %8d\n", name, answers, longest, booked - to, quiet - to, missing
            exit (longest > 3 || missing > 0 || bad > 0)
        }' "$DATA_DIR/answers" >>"$table" || { cat "$table"; fail "$name"; }
}
stop_at_once() { kill -QUIT "$(postmaster)"; }
kill_all() { kill -9 $(family); }
freeze() { kill -STOP $(family); kill -STOP $(family); }
thaw() { kill -CONT $(family); }

play 'stopped with -m immediate' 3 stop_at_once start_again
play 'killed with kill -9' 3 kill_all start_again
play 'frozen for 5 s' 5 freeze thaw
play 'frozen for 20 s' 20 freeze thaw
say 'table'
cat "$table"
docs/scenarios/checks.sh
