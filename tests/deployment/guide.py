"""Runs the commands of deploy/README.md against the real program and a real PostgreSQL.

usage: guide.py KEYWRIGHT FOLDER ADMIN-URL

Each block of the language `sh` runs, a section in one shell. Paths of the system become paths in FOLDER,
and the database host becomes that of ADMIN-URL. CHECKS holds the commands around a section that show
what the section has achieved.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

FUNCTIONS = r"""
set -euo pipefail
# A server that a failed section leaves behind would keep the output open.
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
verify() { # TOKEN EXPECTED
    local got
    got=$(keywright keys verify <<<"$1") || true
    [[ $got == "$2" ]] || { echo "verify prints $got instead of $2" >&2; exit 1; }
}
wait_for() { # SED-SCRIPT COMMAND...: prints what the script finds in the output
    local found end=$((SECONDS + 60))
    while ((SECONDS < end)); do
        found=$("${@:2}" | sed -n "$1")
        [[ -z $found ]] || { echo "$found"; return; }
        sleep 0.1
    done
    echo "waited for $1" >&2
    return 1
}
id() { # TOKEN
    [[ $1 =~ ^sk_live_([^_]{16})_ ]] && echo "key_${BASH_REMATCH[1]}"
}
"""

# Section: (commands before it, commands after it)
CHECKS = {
    "PostgreSQL roles": (
        "",
        """
        export KEYWRIGHT_STORE=postgres://keywright@db.example.com/app
        keywright keys create --name in-the-dump >token.dump
        verify "$(cat token.dump)" valid
        # The servers cannot change the tables.
        ! psql --quiet postgres://keywright@db.example.com/app --command 'DROP TABLE keywright.keys' 2>/dev/null
        """,
    ),
    "Peppers": (
        "",
        """
        # A server replaces the hash, and then the key no longer needs the old pepper.
        : >log
        keywright serve --listen 127.0.0.1:0 --first-key none 2>>log &
        address=$(wait_for 's|.*listening on ||p' cat log)
        curl --silent --fail --header "Authorization: Bearer $KEY" "$address/v1/whoami"
        wait_for '/^keywright_rehashes_total 1/p' curl --silent "$address/metrics"
        kill $!
        wait $!
        sed -i /^p1/d /etc/keywright/peppers
        verify "$KEY" valid
        grep -q '^p2 [0-9a-f]\\{64\\}$' /etc/keywright/peppers
        """,
    ),
    "Back up": (
        """
        for name in revoked parent paused resumed; do keywright keys create --name "$name" >"token.$name"; done
        """,
        """
        keywright keys revoke "$(id "$(cat token.revoked)")"
        keywright keys revoke "$(id "$(cat token.parent)")" --cascade
        keywright keys disable "$(id "$(cat token.paused)")"
        keywright keys disable "$(id "$(cat token.resumed)")"
        keywright keys enable "$(id "$(cat token.resumed)")"
        keywright keys create --name later >token.later
        keywright keys revoke "$(id "$(cat token.later)")"
        """,
    ),
    "Restore": (
        """
        export KEYWRIGHT_STORE=sqlite:/var/lib/keywright/keywright.db
        tokens=$PWD
        keywright keys revoke "$(id "$(cat token.dump)")" --store postgres://keywright@db.example.com/app
        """,
        """
        for name in revoked parent; do verify "$(cat "$tokens/token.$name")" REVOKED; done
        verify "$(cat "$tokens/token.paused")" DISABLED
        verify "$(cat "$tokens/token.resumed")" valid
        # The keys since the backup are gone.
        verify "$(cat "$tokens/token.later")" NOT_FOUND
        grep -q "$(id "$(cat "$tokens/token.dump")")" events.jsonl
        # The dump contains the privileges of the servers.
        export KEYWRIGHT_STORE=postgres://keywright@db.example.com/app
        verify "$(cat "$tokens/token.dump")" valid
        """,
    ),
    "When a key leaks": (
        "keywright keys create --name leaked >token.leaked; ID=$(id \"$(cat token.leaked)\")",
        'verify "$(cat token.leaked)" REVOKED',
    ),
    "Move to another store": (
        """
        keywright keys create --name moved >token.moved
        psql --quiet "$ADMIN_URL" --command "CREATE DATABASE keys OWNER keywright_owner"
        """,
        """
        KEYWRIGHT_STORE=$KEYWRIGHT_COPY_TO verify "$(cat token.moved)" valid
        # The source is sealed.
        ! keywright keys create --name late 2>error
        """,
    ),
}


def sections(text):
    """Yields the heading and the runnable commands of each section."""
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading = section.splitlines()[0]
        blocks = re.findall(r"^( *)```sh\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)
        if blocks:
            yield heading, "".join(re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in blocks)


def main():
    program, folder, admin_url = sys.argv[1:]
    folder = Path(folder)
    paths = {}
    for path in ("/etc/keywright", "/var/lib/keywright", "/var/backups/keywright"):
        paths[path] = f"{folder}{path}"
        Path(paths[path]).mkdir(parents=True)
    host = re.search("@(.*)/", admin_url)[1]

    def localised(commands):
        for path, replacement in paths.items():
            commands = commands.replace(path, replacement)
        return commands.replace("db.example.com", host)

    (folder / "bin").mkdir()
    (folder / "bin/keywright").symlink_to(program)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KEYWRIGHT_", "PG"))}
    environment |= {
        "PATH": f"{folder}/bin:{environment['PATH']}",
        "KEYWRIGHT_STORE": localised("sqlite:/var/lib/keywright/keywright.db"),
        "ADMIN_URL": admin_url,
    }
    checks = dict(CHECKS)
    for heading, commands in sections(Path("deploy/README.md").read_text()):
        before, after = checks.pop(heading, ("", ""))
        print(f"deploy/README.md: {heading}", flush=True)
        script = localised(f"{FUNCTIONS}\n{before}\n{commands}\n{after}\n")
        # In the script file, `!` and here-documents work as at a prompt.
        script_file = folder / "section.sh"
        script_file.write_text(script)
        done = subprocess.run(
            ["bash", script_file], cwd=folder, env=environment, stdin=subprocess.DEVNULL, timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if done.returncode:
            print(done.stdout, file=sys.stderr)
            print(f"the section {heading} fails with exit status {done.returncode}", file=sys.stderr)
            return 1
    if checks:
        print(f"deploy/README.md has no commands in the sections {sorted(checks)}", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
