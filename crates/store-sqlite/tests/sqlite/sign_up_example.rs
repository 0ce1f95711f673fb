//! The example of a host that creates a user and a key in one transaction.

#[path = "../../examples/sign_up.rs"]
#[expect(dead_code, reason = "the example's main is not called")]
mod example;

use futures_executor::block_on;

use crate::{Folder, host::is_accepted};

#[test]
fn a_sign_up_creates_a_user_and_a_key_or_neither() {
    let folder = Folder::new();
    let mut users = block_on(example::Users::open(&folder.file())).unwrap();
    let ada = block_on(users.sign_up("ada")).unwrap();
    assert_eq!(is_accepted(users.keys(), &ada.token), Some(true));
    // The name is taken.
    assert!(block_on(users.sign_up("ada")).is_err());
    block_on(users.sign_up("grace")).unwrap();
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        folder
            .sqlite()
            .query_one(&sql, (), |row| row.get(0))
            .unwrap()
    };
    assert_eq!([count("users"), count("keywright_keys")], [2, 2]);
}
