//! Servers and commands over PostgreSQL.

use std::{collections::BTreeSet, path::Path};

use tempfile::{TempDir, tempdir};

use crate::support::{
    FAST, Postgres, Server, TlsPostgres, assert_fails, events, id_of, keys, keys_json,
    operator_key, purge, run, secret_of, verify, wait_for,
};

/// A store in a database, and a folder for the program.
struct Store {
    postgres: Postgres,
    folder: TempDir,
}

impl Store {
    /// Creates a database with the tables of an empty store.
    fn new() -> Self {
        Self::migrated(Postgres::new())
    }

    fn migrated(postgres: Postgres) -> Self {
        let store = Self {
            postgres,
            folder: tempdir().unwrap(),
        };
        let migrated = store.run(&["migrate"]);
        assert_eq!(migrated, "the tables in the schema keywright are current\n");
        store
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn options(&self) -> Vec<&str> {
        [&FAST[..], &["--store", &self.postgres.url]].concat()
    }

    /// Runs a command, which must succeed, and returns what it prints.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = run(self.path(), &[arguments, &self.options()].concat());
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {log}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn serve(&self, arguments: &[&str]) -> Server {
        Server::start(self.path(), &[&self.options(), arguments].concat())
    }

    fn operator_key(&self) -> String {
        operator_key(self.path(), &self.options())
    }
}

fn wait_for_rejection(server: &Server, token: &str) {
    wait_for("the server rejects the key", || {
        (server.whoami(token).status == 401).then_some(())
    });
}

#[test]
fn keys_in_postgres_outlive_the_server() {
    let store = Store::new();
    let server = store.serve(&["--first-key", "print"]);
    let parent = store.operator_key();
    let created = server.create(&parent, r#"{"name":"child"}"#);
    assert_eq!(created.status, 201, "{created:?}");
    let child = created.text("secret");
    let list = server.send("GET", "/v1/api-keys", &parent, "");
    assert!(list.body.contains(&id_of(&child)), "{}", list.body);
    let at_child = format!("/v1/api-keys/{}", id_of(&child));
    assert_eq!(server.send("DELETE", &at_child, &parent, "").status, 200);
    assert_eq!(server.whoami(&child).status, 401);
    let (status, printed, log) = server.stop();
    assert!(status.success(), "{log}");
    let first = printed.trim_end();

    // Another migration changes nothing.
    store.run(&["migrate"]);
    let server = store.serve(&["--first-key", "print"]);
    for (token, expected) in [(first, 200), (&parent, 200), (&child, 401)] {
        assert_eq!(server.whoami(token).status, expected);
    }
    let (_, printed, _) = server.stop();
    assert_eq!(printed, "", "the store got a second first key");
}

#[test]
fn a_key_that_one_server_revokes_is_rejected_by_the_other_over_postgres() {
    let store = Store::new();
    let admin = store.operator_key();
    // The first pair applies changes within a bound. The second reads the store each time.
    for (options, strict) in [
        (&["--staleness", "200ms"], false),
        (&["--staleness", "0"], true),
    ] {
        let servers = [(); 2].map(|()| store.serve(options));
        for _ in 0..10 {
            let key = servers[0].create(&admin, r#"{"name":"n"}"#);
            assert_eq!(key.status, 201, "{key:?}");
            let secret = key.text("secret");
            assert_eq!(servers[1].whoami(&secret).status, 200);
            let path = key.header("location").to_owned();
            assert_eq!(servers[0].send("DELETE", &path, &admin, "").status, 200);
            assert_eq!(servers[0].whoami(&secret).status, 401, "at once");
            if strict {
                assert_eq!(servers[1].whoami(&secret).status, 401, "at once");
            }
            wait_for_rejection(&servers[1], &secret);
        }
    }
}

/// Returns the commands in a help text.
fn commands(help: &str) -> BTreeSet<&str> {
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let list = list.split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| {
        let line = line.strip_prefix("  ")?;
        line.split(' ').next().filter(|name| !name.is_empty())
    });
    names.filter(|name| *name != "help").collect()
}

#[test]
fn every_command_manages_the_keys_in_postgres() {
    let store = Store::new();
    let path = store.path();
    let mut ran = BTreeSet::from(["verify"]);
    let mut keys = |arguments: &[&'static str], more: &[&str]| {
        ran.insert(arguments[0]);
        keys(path, &[arguments, more, &store.options()].concat())
    };
    let one = keys(&["create", "--name", "one"], &["--owner", "user:1"]);
    let one = one.trim_end();
    let two = keys(&["create", "--name", "two"], &[]);
    let two = two.trim_end();
    let (one_id, two_id) = (id_of(one), id_of(two));
    let listed = keys(&["list"], &["--owner", "user:1"]);
    assert!(
        listed.contains(&one_id) && !listed.contains(&two_id),
        "{listed}"
    );
    assert!(keys(&["get"], &[&one_id]).contains("user:1"));
    keys(&["update"], &[&one_id, "--name", "renamed"]);
    assert!(keys(&["get"], &[&one_id]).contains("renamed"));
    let exit_code = |token: &str| verify(path, token, &store.options()).0;
    assert_eq!(exit_code(one), 0);
    keys(&["disable"], &[&one_id]);
    assert_eq!(exit_code(one), 1);
    keys(&["enable"], &[&one_id]);
    assert_eq!(exit_code(one), 0);
    let successor = keys(&["rotate"], &[&one_id]);
    assert_eq!(exit_code(successor.trim_end()), 0);
    assert!(keys(&["report"], &[]).contains(&two_id));
    keys(&["revoke"], &[&two_id, "--cascade"]);
    assert_eq!(exit_code(two), 1);
    keys(
        &["revoke"],
        &["--owner", "user:1", "--workspace", "default"],
    );
    assert_eq!(exit_code(successor.trim_end()), 1);
    let purge_options = [&["--revoked-before", "2024-03-01"], &store.options()[..]].concat();
    assert_eq!(purge(path, &purge_options), "purged 0 keys\n");
    store.postgres.execute(&format!(
        "UPDATE keywright.keys SET revoked_at = 1 WHERE id = '{}'",
        two_id.trim_start_matches("key_")
    ));
    assert_eq!(purge(path, &purge_options), "purged 1 key\n");
    let left = keys_json(path, &[&["list"], &store.options()[..]].concat());
    assert_eq!(left["meta"]["total"], 2, "{left}");

    let kinds: BTreeSet<String> = events(path, &store.options())
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["created", "revoked", "rotated", "updated"];
    assert_eq!(kinds, expected.map(|kind| format!("api_key.{kind}")).into());

    let help = String::from_utf8(run(path, &["keys", "--help"]).stdout).unwrap();
    assert_eq!(ran, commands(&help), "a command was not run");
    let backup = [&["backup", "backup.db"], &store.options()[..]].concat();
    assert_fails(
        path,
        &backup,
        &["only a SQLite store", "pg_dump", "schema keywright"],
    );
}

#[test]
fn the_printed_sql_creates_the_tables_and_other_stores_need_none() {
    let postgres = Postgres::new();
    let folder = tempdir().unwrap();
    let path = folder.path();
    // No server is needed.
    let arguments = [
        "migrate",
        "--print",
        "--schema",
        "app_keys",
        "--store",
        "postgres:",
    ];
    let output = run(path, &arguments);
    assert!(output.status.success(), "{output:?}");
    postgres.execute(&String::from_utf8(output.stdout).unwrap());
    let options = ["--store", &postgres.url, "--schema", "app_keys"];
    let options = [&FAST[..], &options].concat();
    let token = operator_key(path, &options);
    assert_eq!(verify(path, &token, &options).0, 0);

    for (store, reason) in [
        ("sqlite:absent.db", "when it is opened"),
        ("redis://127.0.0.1:1", "has no tables"),
        ("memory:", "has no tables"),
    ] {
        for (print, start) in [
            (None, "nothing to migrate"),
            (Some("--print"), "-- nothing"),
        ] {
            let arguments: Vec<_> = ["migrate", "--store", store]
                .into_iter()
                .chain(print)
                .collect();
            let output = run(path, &arguments);
            assert!(output.status.success(), "{output:?}");
            let printed = String::from_utf8(output.stdout).unwrap();
            assert!(
                printed.starts_with(start) && printed.contains(reason),
                "{printed}"
            );
        }
        for option in [["--schema", "keys"], ["--staleness", "1s"]] {
            let arguments = [&["serve", "--store", store], &option[..]].concat();
            assert_fails(path, &arguments, &[option[0], "only to a PostgreSQL store"]);
        }
    }
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 0);
}

#[test]
fn every_problem_with_postgres_is_named_in_one_line_without_the_password() {
    let store = Store::new();
    let (path, postgres) = (store.path(), &store.postgres);
    let token = store.operator_key();
    let fails = |url: &str, words: &[&str]| {
        let output = run(path, &["keys", "list", "--store", url]);
        // Without a connection, the outcome is undetermined.
        let is_unreachable = words
            .iter()
            .any(|word| ["refused", "does not support TLS"].contains(word));
        let code = if is_unreachable { 3 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{url}");
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(log.lines().count(), 1, "{url}: {log}");
        assert!(
            log.starts_with("error: ") && !log.contains("hunter2"),
            "{url}: {log}"
        );
        for word in words {
            assert!(log.contains(word), "{url}: {word}: {log}");
        }
    };
    let url = &postgres.url;
    fails(
        "postgres://keywright:hunter2@localhost:port/keys",
        &["invalid URL", "postgres://"],
    );
    fails("postgres:keys", &["invalid URL", "postgres://"]);
    fails(
        &format!("{url}?pasword=hunter2"),
        &["unknown parameter", "sslmode"],
    );
    fails(&format!("{url}?sslmode=hunter"), &["invalid URL"]);
    fails(
        "postgres://keywright:hunter2@127.0.0.1:1/keys",
        &["could not connect to PostgreSQL", "refused"],
    );
    fails(
        &format!("{url}_absent"),
        &["could not connect", "_absent", "does not exist"],
    );
    fails(
        &format!("{url}?sslmode=require"),
        &["could not connect", "does not support TLS"],
    );
    // The outcome of a verification is undetermined.
    assert_eq!(
        verify(path, &token, &["--store", "postgres://127.0.0.1:1/x"]).0,
        3
    );

    postgres.execute("CREATE SCHEMA strangers");
    for schema in ["strangers", "absent"] {
        let arguments = ["serve", "--store", url, "--schema", schema];
        let command = format!("keywright migrate --schema {schema} --store");
        assert_fails(
            path,
            &arguments,
            &[schema, "has no tables of Keywright", &command],
        );
    }
    assert_fails(
        path,
        &["keys", "list", "--schema", "a-b"],
        &["--schema", "a-z"],
    );
    let set_version = |version: &str| {
        postgres.execute(&format!(
            "UPDATE keywright.settings SET value = '{version}' WHERE name = 'version'"
        ));
    };
    set_version("0");
    fails(
        url,
        &[
            "schema keywright has version 0",
            "requires 1",
            "`keywright migrate --store",
        ],
    );
    set_version("99");
    fails(url, &["newer program", "version 99"]);
    assert_fails(
        path,
        &["migrate", "--store", url],
        &["newer program", "version 99"],
    );
    set_version("1");

    postgres.execute(
        "CREATE ROLE passwords; CREATE ROLE guarded LOGIN PASSWORD 'right' IN ROLE passwords",
    );
    fails(
        &postgres.url_of("guarded:hunter2"),
        &[
            "could not connect",
            "password authentication failed",
            "guarded",
        ],
    );

    // Each missing privilege is named, until there are enough.
    postgres.execute("CREATE ROLE clerk LOGIN");
    let clerk = postgres.url_of("clerk:hunter2");
    let migrate = ["migrate", "--store", &clerk, "--schema", "of_the_clerk"];
    assert_fails(path, &migrate, &["privilege CREATE", "the database"]);
    for (missing, grant) in [
        ("USAGE on keywright", "USAGE ON SCHEMA keywright"),
        (
            "SELECT on keywright.settings",
            "SELECT ON keywright.settings",
        ),
        (
            "SELECT on keywright.keys",
            "ALL ON keywright.keys, keywright.events",
        ),
        (
            "SELECT on keywright.reservations",
            "ALL ON ALL TABLES IN SCHEMA keywright",
        ),
    ] {
        fails(&clerk, &["the role lacks the privilege", missing]);
        postgres.execute(&format!("GRANT {grant} TO clerk"));
    }
    let as_clerk = [&FAST[..], &["--store", &clerk]].concat();
    assert_eq!(verify(path, &operator_key(path, &as_clerk), &as_clerk).0, 0);

    // This function hides that of PostgreSQL from a session with this search path.
    let hidden = format!("{url}?options=-c%20search_path%3Dpublic%2Cpg_catalog");
    postgres.execute(
        "CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS \
         $$ SELECT CASE $1 WHEN 'server_version_num' THEN '130012' \
         WHEN 'server_version' THEN '13.12' ELSE pg_catalog.current_setting($1) END $$",
    );
    fails(&hidden, &["PostgreSQL 13.12 is too old", "14 or later"]);
}

#[test]
fn a_server_needs_its_primary_and_recovers_when_it_is_back() {
    let store = Store::migrated(Postgres::durable());
    let admin = store.operator_key();
    let server = store.serve(&[]);
    assert_eq!(server.whoami(&admin).status, 200);
    store.postgres.cluster.crash();
    // Never 401: an outage says nothing about a key.
    let status = wait_for("the server no longer accepts the key", || {
        let response = server.send_once("GET", "/v1/whoami", &admin, "");
        Some(response.status).filter(|status| *status != 200)
    });
    assert_eq!(status, 503);
    assert_eq!(server.send_once("GET", "/readyz", "", "").status, 503);
    store.postgres.cluster.restart();
    assert_eq!(server.send("GET", "/readyz", "", "").status, 200);
    assert_eq!(server.whoami(&admin).status, 200);

    let standby = store.postgres.standby();
    let words = ["read-only replica", "connect to the primary"];
    assert_fails(
        store.path(),
        &["keys", "list", "--store", &standby.url],
        &words,
    );
    let (_, _, log) = server.stop();
    assert!(!log.contains(secret_of(&admin)), "{log}");
}

#[test]
fn the_parameters_of_the_url_decide_whether_and_how_tls_is_used() {
    let postgres = TlsPostgres::start();
    let folder = tempdir().unwrap();
    let path = folder.path();
    let trusted = postgres.trusted();
    let url = |host: &str, mode: &str| postgres.url(host, &format!("sslmode={mode}&{trusted}"));
    let accepted = [
        url("localhost", "verify-full"),
        url("127.0.0.1", "verify-ca"),
        postgres.url("127.0.0.1", "sslmode=require"),
        postgres.url("127.0.0.1", ""),
    ];
    for url in &accepted {
        let output = run(path, &["migrate", "--store", url]);
        assert!(output.status.success(), "{url}: {output:?}");
    }
    // Another name, and a certificate that is not trusted.
    let rejected = [
        url("127.0.0.1", "verify-full"),
        postgres.url("localhost", "sslmode=verify-full"),
    ];
    for url in &rejected {
        let words = ["could not connect to PostgreSQL", "certificate"];
        assert_fails(path, &["migrate", "--store", url], &words);
    }
    let missing = postgres.url("localhost", "sslmode=verify-full&sslrootcert=absent.pem");
    assert_fails(path, &["migrate", "--store", &missing], &["No such file"]);
}
