# Starts the real server on an empty SQLite file, for scripts that test it from outside. Source this
# file from the root of the repository.
# shellcheck shell=bash

# venv FOLDER REQUIREMENTS: creates a Python virtual environment, or creates it again if the
# requirements have changed.
venv() {
    cmp --silent "$2" "$1/requirements.txt" && return
    rm -rf "$1"
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
    cp "$2" "$1/requirements.txt"
}

# member NAME: prints a member of the JSON on standard input.
member() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# Builds the program, and sets up an empty store for it. Sets $keywright and $folder. When the script
# exits, the server is stopped and the folder is removed.
prepare_server() {
    cargo build --quiet --package keywright --locked
    keywright=$(realpath "${CARGO_TARGET_DIR:-target}/debug/keywright")
    folder=$(mktemp -d)
    server=
    trap finish_server EXIT
    # Ignore settings from the environment.
    local name
    while read -r name; do unset "$name"; done < <(compgen -v KEYWRIGHT_ || true)
    export KEYWRIGHT_STORE="sqlite:$folder/keywright.db"
    export KEYWRIGHT_HASH=hmac-sha256
    # The tests send many requests in seconds.
    export KEYWRIGHT_RATE_LIMIT=0
}

finish_server() {
    local status=$?
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    [[ $status == 0 ]] || tail -n 20 "$folder/log" >&2 || true
    rm -rf "$folder"
}

# Starts the server on a free port. Sets $address.
start_server() {
    # The server, in the background, may open its log later than `sed` below.
    : >"$folder/log"
    "$keywright" serve --listen 127.0.0.1:0 --first-key none 2>"$folder/log" &
    server=$!
    # The server logs its address as soon as it listens.
    local _
    for _ in {1..1200}; do
        address=$(sed -n 's|.*listening on \(http://[0-9.:]*\).*|\1|p' "$folder/log")
        [[ -z $address ]] || return 0
        sleep 0.1
    done
    echo "${0##*/}: the server did not start" >&2
    return 1
}
