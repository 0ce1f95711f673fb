//! The guide to migration from another system: its queries, mappings and commands, as it shows
//! them, with tables of these systems.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{
    FAST, Nginx, Postgres, Response, Server, connect, keys, keys_json, keywright, operator_key,
    run_with_input,
};

const GUIDE: &str = include_str!("../crates/server/IMPORT.md");

/// A section of the guide.
struct Section(&'static str);

impl Section {
    fn new(heading: &str) -> Self {
        let (_, rest) = GUIDE.split_once(&format!("\n## {heading}\n")).unwrap();
        Self(rest.split("\n## ").next().unwrap())
    }

    /// The blocks of a language.
    fn blocks(&self, language: &str) -> Vec<&'static str> {
        let start = format!("```{language}\n");
        let blocks = self.0.split(&*start).skip(1);
        blocks
            .map(|rest| rest.split("```").next().unwrap())
            .collect()
    }

    fn block(&self, language: &str) -> &'static str {
        self.blocks(language)[0]
    }

    /// The arguments of a command of `keywright`, without the redirection of its input.
    fn arguments(&self, command: &str) -> Vec<&'static str> {
        let line = self
            .block("sh")
            .lines()
            .find_map(|line| line.strip_prefix(&format!("keywright {command} ")[..]));
        let line = line.unwrap();
        line.split(" <").next().unwrap().split(' ').collect()
    }

    /// Maps rows to the lines of an import.
    fn map(&self, rows: &str) -> String {
        let arguments = ["--compact-output", self.block("jq")];
        succeed(Command::new("jq").args(arguments), rows)
    }
}

/// Runs a command that must succeed, with `input` on its standard input, and returns its output.
#[track_caller]
fn succeed(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // The write fails if the program exits without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A system, with tokens that it has issued.
struct System {
    heading: &'static str,
    /// The table and its rows.
    fixture: &'static str,
    /// Each token, with the status of its request and fields of its key.
    tokens: Vec<(&'static str, u16, Value)>,
    /// A token that is not imported.
    left_out: &'static str,
    /// The header of a request, in which `{}` stands for the token.
    header: &'static str,
}

const BEARER: &str = "authorization: Bearer {}";

fn systems() -> Vec<System> {
    let gold = json!({"plan": "gold"});
    let created = "2024-03-01T10:00:00.000Z";
    let jane = |owner: &str, metadata: &Value, expires_at: Option<&str>| {
        json!({
            "name": "CI of Jane", "owner": owner, "permissions": ["calls:read", "calls:write"],
            "metadata": metadata, "created_at": created, "expires_at": expires_at,
        })
    };
    let all_calls = |name: &str, owner: Option<&str>, expires_at: Option<&str>| {
        json!({
            "name": name, "owner": owner, "permissions": ["calls:*"], "expires_at": expires_at,
            "created_at": created, "metadata": null,
        })
    };
    let end = Some("2090-01-01T00:00:00.000Z");
    let nothing = || json!({});
    vec![
        System {
            heading: "Unkey",
            fixture: include_str!("import_guide/unkey.sql"),
            tokens: vec![
                ("acme_A65daGxwm50saIN4pBgZRA", 200, {
                    let mut key = jane("user_7", &gold, end);
                    key["name"] = json!("CI of \"Jane\" ü");
                    key
                }),
                ("acme_8Ck2YWNttsKBaMpm7yeBbQ", 401, nothing()),
            ],
            left_out: "acme_ToVT2tIApu4Z7050sCPF6w",
            header: BEARER,
        },
        System {
            heading: "Laravel Sanctum",
            fixture: include_str!("import_guide/sanctum.sql"),
            tokens: vec![
                (
                    "17|ov3R1JY8vEIPrWc5aHT8OFRE0zo6ydDHfpNrRyv83c43d721",
                    200,
                    jane("user:7", &Value::Null, Some("2089-01-01T00:00:00.000Z")),
                ),
                (
                    "18|w7fir2vEimoudaRGXq8OkP6fPu1DJHUbBjwSJ44O38f9b66a",
                    200,
                    all_calls("phone", Some("user:7"), None),
                ),
                (
                    "19|v4AzZRVjJou6TAtIcrBtzYAfX8jUv2XDpJD5AhXF4ff6b097",
                    401,
                    nothing(),
                ),
            ],
            left_out: "20|Lgb87YMbShysK9PFWmnJ5iuR4iDpq8m5wQOYuRYlba0ec94e",
            header: BEARER,
        },
        System {
            heading: "better-auth",
            fixture: include_str!("import_guide/better-auth.sql"),
            tokens: vec![
                (
                    "acme_mRWTrVcGwRGeCeFWwXCkouIizyDWMvvEDqQKdzyjsekpbZSQleRfrFHivhznMezA",
                    200,
                    jane("user:Oqf6Vnnr8V27yhu1gqHNs4Cc8IMOPsPO", &gold, None),
                ),
                (
                    "acme_pIUrOlORiRckobLDhvmEhzzoaMrPehiGRnAdgbFHqLqQBAdGQZMfbhRGGAWbEKNF",
                    200,
                    json!({"name": "ends", "permissions": [], "expires_at": end, "metadata": null}),
                ),
                (
                    "acme_ZItXDXcEMivuKNjSAvMahXFGJKXbIryAOXegxByfXSrjsQGRmCUvMjqRhqrbBilA",
                    401,
                    nothing(),
                ),
            ],
            left_out: "acme_vRNYbkbtZkAZnLLSHAQGYZsuyKsiNNTXuDLculNPxOEyYxnjxblrTGVRjVhhfKQL",
            header: "x-api-key: {}",
        },
        System {
            heading: "Django REST Framework API Key",
            fixture: include_str!("import_guide/drf-api-key.sql"),
            tokens: vec![
                (
                    "e3oU52TR.vFrxk29MhaUlbvOJqu8DiIzlffNYizBo",
                    200,
                    all_calls("CI of Jane", None, None),
                ),
                (
                    "sCYRTINY.6NBzuYnVsf4RAgxuY5iArFcX5xUv3lRU",
                    200,
                    all_calls("ends in 2090", None, end),
                ),
                (
                    "biWhg2Dg.9T64J8XQE0Luhcoogaq4YcC5kk9ZZGSR",
                    200,
                    all_calls("before 3.0", None, None),
                ),
                ("aZPtbfis.QmJNjPvAjbOPai2GLvVYghlD9exNXAgT", 401, nothing()),
            ],
            left_out: "fnFyaZey.Es5uXrLIKU37ICQobeCm47MBja0LePji",
            header: BEARER,
        },
        System {
            heading: "prefixed-api-key",
            fixture: include_str!("import_guide/prefixed-api-key.sql"),
            tokens: vec![
                (
                    "mycompany_U42q3zJu_2Jb4h5v3qHdepLeDiN4H4ys4",
                    200,
                    all_calls("CI of Jane", Some("user:7"), None),
                ),
                (
                    "mycompany_wVnGK91L_Cb1SjHMBUeTyo4ZtBKfVySrT",
                    200,
                    all_calls("phone", Some("user:9"), None),
                ),
            ],
            left_out: "mycompany_BRTRKFsL_51FwqftsmMDHHbJAMEXXHCgG",
            header: BEARER,
        },
        System {
            heading: "A table of SHA-256 hashes",
            fixture: include_str!("import_guide/sha256-hex.sql"),
            tokens: vec![
                (
                    "acme_4eC39HqLyjWDarjtT1zdp7dc",
                    200,
                    jane("user:7", &Value::Null, end),
                ),
                ("acme_9fK20PqRstUvWxYzA3bCdEfG", 401, nothing()),
            ],
            left_out: "acme_0000000000000000000000000",
            header: BEARER,
        },
    ]
}

/// The rows that the first query of a section returns, in SQLite.
fn sqlite_rows(section: &Section, fixture: &str) -> String {
    let database = rusqlite::Connection::open_in_memory().unwrap();
    database.execute_batch(fixture).unwrap();
    let mut query = database.prepare(section.block("sql")).unwrap();
    let rows = query.query_map([], |row| row.get(0)).unwrap();
    let rows: Vec<String> = rows.collect::<Result<_, _>>().unwrap();
    rows.join("\n")
}

/// A folder with a store.
fn folder_with_store() -> TempDir {
    let folder = tempdir().unwrap();
    operator_key(folder.path(), &FAST);
    folder
}

/// Imports lines as a section shows, and returns what the program prints.
#[track_caller]
fn import(folder: &Path, section: &Section, lines: &str) -> String {
    let arguments = [&["import"], &*section.arguments("import"), &FAST];
    let output = run_with_input(folder, &arguments.concat(), lines);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn whoami(server: &Server, header: &str, token: &str) -> Response {
    let header = header.replace("{}", token);
    server.raw(format!(
        "GET /v1/whoami HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n\r\n"
    ))
}

#[test]
fn tokens_of_each_system_in_the_guide_keep_working() {
    for system in systems() {
        let heading = system.heading;
        let section = Section::new(heading);
        let folder = folder_with_store();
        let path = folder.path();
        let lines = section.map(&sqlite_rows(&section, system.fixture));
        let count = system.tokens.len();
        let printed = import(path, &section, &lines);
        assert_eq!(
            printed,
            format!("imported {count}, skipped 0, failed 0\n"),
            "{heading}"
        );

        let server = Server::start(path, &[&FAST[..], &section.arguments("serve")].concat());
        for (token, status, fields) in &system.tokens {
            let response = whoami(&server, system.header, token);
            assert_eq!(response.status, *status, "{heading}: {response:?}");
            let key = response.json();
            for (field, value) in fields.as_object().unwrap() {
                assert_eq!(key[field], *value, "{heading}: {field}: {key}");
            }
        }
        let response = whoami(&server, system.header, system.left_out);
        assert_eq!(response.status, 401, "{heading}: {response:?}");
        // The first uses have replaced hashes, and the import can still be repeated.
        let printed = import(path, &section, &lines);
        assert_eq!(
            printed,
            format!("imported 0, skipped {count}, failed 0\n"),
            "{heading}"
        );
    }
}

#[test]
fn the_queries_for_postgresql_export_the_same_keys() {
    let mut tested = 0;
    for system in systems() {
        let section = Section::new(system.heading);
        // MySQL, which Unkey needs, quotes names with backticks.
        let Some(query) = section.blocks("sql").get(1).copied() else {
            continue;
        };
        let database = Postgres::new();
        database.execute(system.fixture);
        // Times are exported in UTC, whatever the time zone of the database is.
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("export.sql"), query).unwrap();
        let command = Section::new("The commands").block("sh");
        let command = command.lines().find(|line| line.contains("psql")).unwrap();
        shell(folder.path(), command, &database, "Asia/Kolkata");
        let rows = fs::read_to_string(folder.path().join("rows.jsonl")).unwrap();
        let expected = section.map(&sqlite_rows(&section, system.fixture));
        assert_eq!(section.map(&rows), expected, "{}", system.heading);
        tested += 1;
    }
    assert_eq!(tested, 3);
}

/// Runs a command of the guide. `app` is a database, and `keywright` the program.
#[track_caller]
fn shell(folder: &Path, command: &str, database: &Postgres, time_zone: &str) -> String {
    let program = keywright(folder, &[]);
    let bin = Path::new(program.get_program()).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let url = format!("'{}'", database.url);
    let command = command.replace(" app ", &format!(" {url} "));
    let mut shell = Command::new("sh");
    for (name, _) in program.get_envs() {
        shell.env_remove(name);
    }
    shell
        .args(["-ec", &command])
        .current_dir(folder)
        .env("PATH", path)
        .env("PGOPTIONS", format!("-c timezone={time_zone}"))
        .env("KEYWRIGHT_HASH", "hmac-sha256");
    succeed(&mut shell, "")
}

/// The fourth token, which Sanctum issues after the first import.
const LATE: (&str, &str) = (
    "20|Lgb87YMbShysK9PFWmnJ5iuR4iDpq8m5wQOYuRYlba0ec94e",
    "INSERT INTO personal_access_tokens VALUES (20, 'App\\Models\\User', 9, 'late', \
     '172f889a28063d9da26659936a80643f5e2b713da28993b2e2bebc3276d7e5b9', '[\"calls:read\"]', NULL, \
     NULL, '2024-05-01 10:00:00', '2024-05-01 10:00:00')",
);

#[test]
fn the_migration_of_the_guide_goes_from_start_to_end() {
    let database = Postgres::new();
    database.execute(include_str!("import_guide/sanctum.sql"));
    let folder = folder_with_store();
    let path = folder.path();
    let sanctum = Section::new("Laravel Sanctum");
    fs::write(path.join("export.sql"), sanctum.blocks("sql")[1]).unwrap();
    fs::write(path.join("map.jq"), sanctum.block("jq")).unwrap();

    let story = Section::new("From start to end");
    let steps = story.blocks("console");
    let [export, dry_run, import, serve, again, watch, finish] = steps[..] else {
        panic!("{steps:?}")
    };
    let run = |step: &str| {
        for command in step.split("$ ").skip(1) {
            let (command, expected) = command.split_once('\n').unwrap();
            let printed = shell(path, command, &database, "UTC");
            assert!(
                expected.is_empty() || printed == expected,
                "{command}: {printed}"
            );
        }
    };
    run(export);
    run(dry_run);
    assert_eq!(keys_json(path, &["list", "--imported"])["meta"]["total"], 0);
    run(import);
    let serve = serve.trim().strip_prefix("$ keywright serve ").unwrap();
    let options: Vec<&str> = [&FAST[..], &serve.split(' ').collect::<Vec<_>>()].concat();
    let server = Server::start(path, &options);
    let phone = "18|w7fir2vEimoudaRGXq8OkP6fPu1DJHUbBjwSJ44O38f9b66a";
    let key = server.whoami(phone);
    assert_eq!(key.text("expires_at"), "2090-01-01T00:00:00.000Z");
    assert_eq!(server.whoami(LATE.0).status, 401);
    database.execute(LATE.1);
    run(again);
    assert_eq!(server.whoami(LATE.0).status, 200);
    run(watch);
    assert_eq!(keys_json(path, &["list", "--imported"])["meta"]["total"], 4);

    let id = key.text("id");
    let finish = finish.replace("\"$ID\"", &id);
    let commands: Vec<&str> = finish.split("$ ").skip(1).collect();
    let [rotate, list] = commands[..] else {
        panic!("{finish}")
    };
    let token = shell(path, rotate, &database, "UTC");
    assert_eq!(server.whoami(token.trim_end()).status, 200);
    assert!(shell(path, list, &database, "UTC").contains(&id));
    keys(path, &["revoke", "--all", "--workspace", "default"]);
    assert_eq!(shell(path, list, &database, "UTC"), "");
    for file in ["rows.jsonl", "keys.jsonl"] {
        assert!(!path.join(file).exists(), "{file}");
    }
}

#[test]
fn the_guide_imports_recoverable_keys_from_the_api_of_unkey() {
    let token = "acme_A65daGxwm50saIN4pBgZRA";
    // As the OpenAPI document of Unkey describes them: `V2ApisListKeysResponseBody`.
    let responses = [
        json!({
            "meta": {"requestId": "req_1"},
            "data": [{
                "keyId": "key_1", "start": "acme_A65d", "enabled": true, "createdAt": 1_709_287_200_123_u64,
                "plaintext": token, "permissions": ["calls:read", "*"], "identity": {"id": "id_1", "externalId": "user_7"},
                "meta": {"plan": "gold"}, "expires": 3_786_912_000_000_u64,
            }],
            "pagination": {"hasMore": true, "cursor": "key_2"},
        }),
        json!({
            "meta": {"requestId": "req_2"},
            "data": [{"keyId": "key_2", "start": "acme_8Ck2", "enabled": true, "createdAt": 1_709_287_200_000_u64}],
            "pagination": {"hasMore": false},
        }),
    ];
    let section = Section::new("Unkey");
    let input = responses.map(|response| response.to_string()).join("\n");
    let script = ["-c", section.block("python")];
    let lines = succeed(Command::new("python3").args(script), &input);
    let folder = folder_with_store();
    let path = folder.path();
    assert_eq!(
        import(path, &section, &lines),
        "imported 1, skipped 0, failed 0\n"
    );
    let options = [&FAST[..], &section.arguments("serve")].concat();
    let key = whoami(&Server::start(path, &options), BEARER, token).json();
    for (field, value) in [
        ("name", json!("acme_A65d")),
        ("owner", json!("user_7")),
        ("permissions", json!(["calls:*", "calls:read"])),
        ("metadata", json!({"plan": "gold"})),
        ("created_at", json!("2024-03-01T10:00:00.123Z")),
        ("expires_at", json!("2090-01-01T00:00:00.000Z")),
    ] {
        assert_eq!(key[field], value, "{key}");
    }
}

#[test]
fn nginx_as_in_the_guide_accepts_the_scheme_of_django_rest_framework_api_key() {
    let system = systems().remove(3);
    let section = Section::new(system.heading);
    let folder = folder_with_store();
    let path = folder.path();
    import(
        path,
        &section,
        &section.map(&sqlite_rows(&section, system.fixture)),
    );
    let server = Server::start(path, &[&FAST[..], &section.arguments("serve")].concat());
    let http = section
        .block("nginx")
        .replace("127.0.0.1:8080", &server.address.to_string())
        .replace("listen 80;", "listen {address};");
    let nginx = Nginx::start(path, &http);
    let token = system.tokens[0].0;
    for (credentials, status) in [
        (format!("Api-Key {token}"), 200),
        (format!("Bearer {token}"), 200),
        (format!("Api-Key {}", system.left_out), 401),
        (token.to_owned(), 401),
    ] {
        let mut stream = connect(nginx.address);
        let request = format!(
            "GET /v1/whoami HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {credentials}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let response = Response::read(&mut stream).unwrap();
        assert_eq!(response.status, status, "{credentials}: {response:?}");
    }
}
