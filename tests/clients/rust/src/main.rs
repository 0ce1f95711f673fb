//! Creates, verifies, rotates and revokes keys with the Rust client of OpenAPI Generator.

use std::env;

use openapi::{
    apis::{
        api_keys_api::{
            create_api_key, get_own_api_key, list_api_keys, revoke_api_key, rotate_api_key,
            update_api_key, verify_api_key,
        },
        configuration::Configuration,
    },
    models::{
        ApiKeyChange, ApiKeyNotValidReason, ApiKeyRotation, ApiKeyRotationExpirePrevious, ApiKeyToCreate,
        ApiKeyToVerify, ApiKeyVerdict,
    },
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut client = Configuration::new();
    client.base_path = env::var("CLIENTS_URL").unwrap();
    client.bearer_access_token = Some(env::var("CLIENTS_TOKEN").unwrap());

    let verify = async |token: &Option<String>| {
        let token = ApiKeyToVerify::new(token.clone().unwrap());
        verify_api_key(&client, token).await.unwrap()
    };
    let is_valid = async |id: &str, token: &Option<String>| match verify(token).await {
        ApiKeyVerdict::ApiKeyValid(key) => {
            assert_eq!(key.id, id);
            assert!(key.valid);
            true
        }
        ApiKeyVerdict::ApiKeyNotValid(reason) => {
            assert_eq!(reason.code, ApiKeyNotValidReason::Revoked);
            assert!(!reason.valid);
            false
        }
    };

    let new = ApiKeyToCreate::new("Rust".into());
    let first = create_api_key(&client, new, None).await.unwrap();
    assert!(is_valid(&first.id, &first.secret).await);

    let second = rotate_api_key(&client, &first.id, None, None)
        .await
        .unwrap();
    assert!(is_valid(&first.id, &first.secret).await);
    assert!(is_valid(&second.id, &second.secret).await);

    let mut now = ApiKeyRotation::new();
    let overlap = ApiKeyRotationExpirePrevious::String("now".into());
    now.expire_previous = Some(Box::new(overlap));
    let third = rotate_api_key(&client, &second.id, None, Some(now))
        .await
        .unwrap();
    assert!(!is_valid(&second.id, &second.secret).await);
    assert!(is_valid(&third.id, &third.secret).await);

    let mut change = ApiKeyChange::new();
    change.allowed_ips = Some(Some(vec!["10.0.0.0/8".into()]));
    let changed = update_api_key(&client, &third.id, change, Some("*"))
        .await
        .unwrap();
    assert_eq!(changed.allowed_ips.unwrap(), ["10.0.0.0/8"]);
    let mut change = ApiKeyChange::new();
    change.allowed_ips = Some(None);
    let cleared = update_api_key(&client, &third.id, change, None)
        .await
        .unwrap();
    assert_eq!(cleared.allowed_ips, None);
    let own = get_own_api_key(&client).await.unwrap();
    assert_eq!(own.owner, None);

    let page = list_api_keys(&client, None, Some(1), None, None, None, None, None)
        .await
        .unwrap();
    assert_eq!(page.data[0].id, third.id);

    for key in [&first, &third] {
        let revoked = revoke_api_key(&client, &key.id, None).await.unwrap();
        assert_eq!(revoked.message, "API key revoked.");
        assert!(!is_valid(&key.id, &key.secret).await);
    }
}
