#!/usr/bin/env bash
# Runs a command in a view of this machine's files in which no Postgres is installed. Outside of the view nothing
# changes, but for an empty /var/lib/spacerent that --keep needs. Needs root and the right to make namespaces.
#   without-postgres.sh [--offline] [--keep DIR] [--path PATH] COMMAND...
# --offline: no network either. --keep DIR: DIR stands for the folder of packages that were fetched as root
# (default: an empty one). --path PATH: the command's PATH.
set -euo pipefail
namespaces=(--mount) keep='' path=$PATH
while [[ ${1:-} == --* ]]; do
    case $1 in
        --offline) namespaces+=(--net); shift ;;
        --keep) keep=$2; shift 2 ;;
        --path) path=$2; shift 2 ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
done

hide() {
    local folder program
    for folder in /usr/lib/postgresql* /usr/libexec/postgresql* /usr/pgsql-* /usr/local/pgsql /home/linuxbrew/.linuxbrew/opt; do
        [ ! -d "$folder" ] || mount -t tmpfs none "$folder"
    done
    # Links in PATH lead nowhere by now; what is still there is a program.
    local IFS=:
    for folder in $PATH; do
        for program in postgres pg_config psql; do
            [ ! -f "$folder/$program" ] || mount --bind /dev/null "$folder/$program"
        done
    done
    if [ -n "$1" ]; then
        mount --bind "$1" /var/lib/spacerent
    elif [ -d /var/lib/spacerent ]; then
        mount -t tmpfs none /var/lib/spacerent
    fi
}
unset SPACERENT_PG_BIN
[ -z "$keep" ] || mkdir -p /var/lib/spacerent
exec unshare "${namespaces[@]}" bash -euc "$(declare -f hide)"'
    hide "$1"; path=$2; shift 2; exec env PATH="$path" "$@"' bash "$keep" "$path" "$@"
