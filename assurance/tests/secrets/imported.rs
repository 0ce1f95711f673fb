//! Takes imported keys through their lifecycle at a real server, and then searches everything that
//! the server and the commands produced.

use keywright_assurance::canary::Canaries;
use rusqlite::Connection;
use serde_json::Value;

use crate::server::{Server, folder, request, run};

/// A token of another system, and its SHA-256 as `sha256sum` of GNU coreutils prints it.
const TOKEN: &str = "old_4eC39HqLyjWDarjtT1zdp7dc";
const HASH: &str = "881ec3c2bf3e9cc95b70c50ea2c31141ba936399dc734bc701c9a9b0f4c1ed97";

/// The secret that replaces the token in the hash of the first use, by `hashlib` of Python 3.11.
const DERIVED: &str = "qIOOv3M8gtgCfsHp5enP0YW3dbObxK4B0EUJlB5zN7D";

/// A token with a public part, and its hash by `PBKDF2PasswordHasher` of Django 5.2.19.
const WITH_PUBLIC_PART: &str = "Ab3dEf6h.0123456789abcdefghijABCDEFGHIJKL";
const PASSWORD_HASH: &str =
    "pbkdf2_sha256$1000$seasalt1234567890ABCDE$CEeSHOOnfdZidk4ssJAprUYGXqE1J7WXN1EyUFbojMM=";

const BASE: &str = "/v1/api-keys";
const FORMATS: [&str; 2] = ["--foreign-format", "sha256-hex:old_,drf-api-key"];
const HMAC: [&str; 2] = ["--hash", "hmac-sha256"];

/// A line of an import file.
fn line(hash: &str, name: &str) -> String {
    format!(r#"{{"hash": "{hash}", "name": "{name}", "permissions": ["calls:read"]}}"#)
}

/// Returns lines that cannot be imported. Each contains a token or a hash.
fn bad_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for text in [TOKEN, HASH, PASSWORD_HASH, WITH_PUBLIC_PART] {
        lines.extend([
            text.to_owned(),
            format!("\"{text}\""),
            format!(r#"{{"{text}": 1}}"#),
            format!(r#"{{"{text}": 1, "{text}": 2}}"#),
            format!(r#"{{"hash": "{text}""#),
            format!(r#"{{"hash": ["{text}"]}}"#),
            format!(r#"{{"hash": "{text}x", "name": "n", "permissions": ["a:b"]}}"#),
            format!(r#"{{"hash": "{text}", "name": "n", "permissions": ["{text}"]}}"#),
            format!(r#"{{"hash": "{text}", "name": "n\u0000", "permissions": ["a:b"]}}"#),
        ]);
        let valid = line("", "n").replacen("{\"hash\": \"\"", "", 1);
        lines.push(format!(
            r#"{{"hash": "{text}", "public_part": ["{text}"]{valid}"#
        ));
        for member in ["expires_at", "allowed_ips", "metadata", "token"] {
            lines.push(format!(
                r#"{{"hash": "{text}", "{member}": "{text}"{valid}"#
            ));
        }
    }
    // The token was imported with other permissions.
    lines.push(line(HASH, "n").replace("calls:read", "calls:write"));
    lines
}

/// The secrets that no output of the server or of a command contains.
struct Search {
    /// The tokens, and the secret that stands for one. No file contains them.
    tokens: Canaries,
    /// The parts of records that prove a token. Only the files of the store contain them.
    stored: Canaries,
}

impl Search {
    fn new() -> Self {
        let mut search = Self {
            tokens: Canaries::new(),
            stored: Canaries::new(),
        };
        search.tokens.add("the token", &TOKEN.as_bytes()[4..]);
        let secret = WITH_PUBLIC_PART.split_once('.').unwrap().1;
        search.tokens.add("the other token", secret.as_bytes());
        search.tokens.add("the derived secret", DERIVED.as_bytes());
        search.stored.add("the hash as text", HASH.as_bytes());
        let (start, output) = PASSWORD_HASH.rsplit_once('$').unwrap();
        search.stored.add("the password hash", output.as_bytes());
        let salt = start.rsplit_once('$').unwrap().1;
        search.stored.add("the salt", salt.as_bytes());
        search
    }

    /// Adds the aliases of a store. The alias of [`TOKEN`] is a digest of it.
    fn add_aliases(&mut self, server: &Server) {
        let file = Connection::open(server.folder.path().join("keywright.db")).unwrap();
        let mut select = file
            .prepare("SELECT alias FROM keywright_keys WHERE alias IS NOT NULL")
            .unwrap();
        let aliases = select
            .query_map([], |row| row.get::<_, Vec<u8>>(0))
            .unwrap();
        let aliases: Vec<_> = aliases.map(Result::unwrap).collect();
        assert_eq!(aliases.len(), 2);
        for alias in aliases {
            self.stored.add("an alias", &alias);
        }
    }

    fn assert_absent(&self, what: &str, text: &[u8]) {
        self.tokens.assert_absent(what, text);
        self.stored.assert_absent(what, text);
        let public_part = WITH_PUBLIC_PART.split_once('.').unwrap().0;
        assert!(
            !String::from_utf8_lossy(text).contains(public_part),
            "{what} contains a public part"
        );
    }

    /// Searches everything that a server has sent, logged and written.
    fn search(&self, server: &Server) {
        self.assert_absent("a response", &server.responses());
        let log = server.log();
        assert!(log.contains("API key denied"), "{log}");
        self.assert_absent("the log", log.as_bytes());
        for (name, bytes) in server.files() {
            self.tokens.assert_absent(&name, bytes);
        }
    }
}

#[test]
fn no_part_of_an_imported_token_leaks() {
    for log_format in ["text", "json"] {
        let arguments = [&HMAC[..], &FORMATS, &["--log-format", log_format]].concat();
        let mut server = Server::start(folder(), &arguments, &[]).unwrap();
        let mut search = Search::new();
        run_lifecycle(&server, &mut search);
        search.search(&server);
        server.stop();
        search.search(&server);
    }
}

/// Performs every operation on imported keys, and searches all output.
fn run_lifecycle(server: &Server, search: &mut Search) {
    let first = server.first_key();
    let mut printed = Vec::new();
    // Runs a command, and keeps its output for the search.
    let mut command = |arguments: &[&str], input: &str, code: i32| -> String {
        let output = run(server.folder.path(), arguments, input);
        let text = [&*output.stdout, b"\n", &*output.stderr].concat();
        printed.extend_from_slice(&text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text
    };
    let send = |method: &str, path: &str, token: &str, body: &str, status: u16| -> String {
        let response = server.send(request(method, path, token, body));
        let body = response.body().to_owned();
        assert_eq!(response.status(), status, "{method} {path}: {body}");
        body
    };

    let imports = ["sha256-hex:old_", "drf-api-key"].map(|format| ["import", "--format", format]);
    let [digest, password] = &imports;
    let with_public_part =
        line(PASSWORD_HASH, "two").replacen('{', r#"{"public_part": "Ab3dEf6h", "#, 1);
    for (arguments, good) in [(digest, line(HASH, "one")), (password, with_public_part)] {
        let dry = [&arguments[..], &["--dry-run"]].concat();
        assert!(command(&dry, &good, 0).starts_with("would import 1,"));
        assert!(command(arguments, &good, 0).starts_with("imported 1,"));
        assert!(command(arguments, &good, 0).starts_with("imported 0, skipped 1,"));
        let bad = bad_lines();
        let result = command(&[&arguments[..], &["--json"]].concat(), &bad.join("\n"), 1);
        let failed = result.matches("\nline ").count();
        assert_eq!(failed, bad.len(), "{result}");
    }
    search.add_aliases(server);

    let verify = [&["keys", "verify"], &HMAC[..], &FORMATS].concat();
    for (token, wrong) in [TOKEN, WITH_PUBLIC_PART].map(|token| (token, wrong(token))) {
        let denied = [wrong, format!("{token} x"), format!("{token}\u{e4}")];
        for input in &denied {
            command(&verify, input, 1);
        }
        // The server replaces the hash after the first of these, and then verifies from the cache.
        for _ in 0..3 {
            send("GET", "/v1/whoami", token, "", 200);
            for input in &denied {
                send("GET", "/v1/whoami", input, "", 401);
            }
            for text in [token, &denied[0]] {
                let key = format!("{{\"key\":\"{text}\"}}");
                send("POST", &format!("{BASE}/verify"), &first, &key, 200);
            }
        }
        command(&verify, token, 0);
        command(&[&verify[..], &["--json"]].concat(), &denied[0], 1);
        for path in [format!("/{token}"), format!("{BASE}/{token}")] {
            send("GET", &path, &first, "", 404);
        }
        for parameter in ["token", "cursor", "imported", "status"] {
            let path = format!("{BASE}?{parameter}={token}");
            send("GET", &path, &first, "", 400);
        }
        command(&["keys", "verify", token], "", 3);
    }

    let listed = send("GET", &format!("{BASE}?imported=true"), &first, "", 200);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let ids = listed["data"].as_array().unwrap();
    assert_eq!(ids.len(), 2);
    for id in ids.iter().map(|key| key["id"].as_str().unwrap()) {
        send("GET", &format!("{BASE}/{id}"), &first, "", 200);
        let rotate = request("POST", &format!("{BASE}/{id}/rotate"), &first, "{}");
        let rotated = server.send_expecting_token(rotate);
        assert_eq!(rotated.status(), 201, "{}", rotated.body());
        search.assert_absent("the response to a rotation", &rotated.0);
        send("DELETE", &format!("{BASE}/{id}"), &first, "", 200);
    }
    for token in [TOKEN, WITH_PUBLIC_PART] {
        send("GET", "/v1/whoami", token, "", 401);
        command(&verify, token, 1);
    }
    for (path, words) in [
        ("/v1/api-keys/events?limit=100", "api_key.rotated"),
        ("/v1/api-keys/report", "imported"),
        ("/metrics", "keywright_verifications"),
    ] {
        assert!(send("GET", path, &first, "", 200).contains(words), "{path}");
    }
    for arguments in [
        &["keys", "list", "--imported"][..],
        &["keys", "list", "--imported", "--json"],
        &["keys", "report"],
        &["keys", "report", "--json"],
        &["events"],
        &["events", "--json"],
    ] {
        command(arguments, "", 0);
    }
    search.assert_absent("the output of a command", &printed);
}

/// Returns a token with another last character.
fn wrong(token: &str) -> String {
    format!("{}0", &token[..token.len() - 1])
}
