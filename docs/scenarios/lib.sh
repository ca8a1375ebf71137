# Shared by the scenario scripts: where things are, and how to wait for a condition with a bound.
# Source it; it changes to the repository's root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

SPACERENT=${SPACERENT:-target/release/spacerent}
BOOKS=${BOOKS:-http://localhost:8081}
SPACES=${SPACES:-http://localhost:8082}
PAYMENTS=${PAYMENTS:-http://localhost:8083}
MYPAGES=${MYPAGES:-http://localhost:8084}
GATEWAY=${GATEWAY_URL:-http://localhost:8088}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# until_true SECONDS WHAT COMMAND...: tries every 50 ms.
until_true() {
    local seconds=$1 what=$2 began=$EPOCHREALTIME
    shift 2
    until "$@" >/dev/null 2>&1; do
        if (( ${EPOCHREALTIME/./} - ${began/./} > seconds * 1000000 )); then fail "not within $seconds s: $what"; fi
        sleep 0.05
    done
    printf 'ok after %d ms: %s\n' $(( (${EPOCHREALTIME/./} - ${began/./}) / 1000 )) "$what"
}

# request METHOD URL [BODY]: leaves the answer in $code, $head and $body.
request() {
    local head_file body_file
    head_file=$(mktemp) body_file=$(mktemp)
    code=$(curl -sS -X "$1" "$2" -H 'Content-Type: application/json' ${3:+--data "$3"} -D "$head_file" -o "$body_file" -w '%{http_code}')
    head=$(tr -d '\r' <"$head_file") body=$(cat "$body_file")
    rm -f "$head_file" "$body_file"
}
# header NAME: a header of the last answer.
header() { sed -n "s/^$1: //Ip" <<<"$head"; }
# json PATH...: the first of these that the last answer's body has; a list as its length.
json() {
    python3 -c '
import functools, json, sys
body = json.loads(sys.argv[1])
for path in sys.argv[2:]:
    try: found = functools.reduce(lambda at, name: at[name], path.split("."), body)
    except KeyError: continue
    print(len(found) if isinstance(found, list) else json.dumps(found) if isinstance(found, dict) else found); break' "$body" "$@"
}
# expect WHAT FOUND WANTED
expect() {
    printf '%-64s %s\n' "$1" "$2"
    [ "$2" = "$3" ] || fail "$1: expected $3"
}

# field URL NAME: one field of a JSON answer.
field() { curl -fsS "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"; }
is() { [ "$(field "$1" "$2")" = "$3" ]; }

# sql QUERY: one value.
sql() { psql -XAtq "$($SPACERENT ${DATA_DIR:+--data-dir "$DATA_DIR"} url)" -c "$1"; }
