"""Creates, verifies, rotates and revokes keys with the client of openapi-python-client."""

import os

from keywright_client import AuthenticatedClient
from keywright_client.api.api_keys import (
    create_api_key,
    get_own_api_key,
    list_api_keys,
    revoke_api_key,
    rotate_api_key,
    update_api_key,
    verify_api_key,
)
from keywright_client.models import (
    ApiKey,
    ApiKeyChange,
    ApiKeyCreated,
    ApiKeyNotValid,
    ApiKeyNotValidReason,
    ApiKeyPage,
    ApiKeyRevoked,
    ApiKeyRotation,
    ApiKeyRotationExpirePreviousType0,
    ApiKeyToCreate,
    ApiKeyToVerify,
    ApiKeyValid,
)

client = AuthenticatedClient(os.environ["CLIENTS_URL"], os.environ["CLIENTS_TOKEN"])


def successful(response, kind):
    assert isinstance(response, kind), response
    return response


def is_valid(key):
    verdict = verify_api_key.sync(client=client, body=ApiKeyToVerify(key.secret))
    if isinstance(verdict, ApiKeyNotValid):
        assert not verdict.valid and verdict.code == ApiKeyNotValidReason.REVOKED, verdict
        return False
    assert successful(verdict, ApiKeyValid).valid and verdict.id == key.id, verdict
    return True


def rotate(key, **options):
    return successful(rotate_api_key.sync(key.id, client=client, **options), ApiKeyCreated)


first = create_api_key.sync(client=client, body=ApiKeyToCreate("Python"))
assert is_valid(successful(first, ApiKeyCreated))
second = rotate(first)
assert is_valid(first) and is_valid(second)
third = rotate(second, body=ApiKeyRotation(ApiKeyRotationExpirePreviousType0.NOW))
assert not is_valid(second) and is_valid(third)
def update(key, **fields):
    changed = update_api_key.sync(key.id, client=client, body=ApiKeyChange(**fields), if_match="*")
    return successful(changed, ApiKey)


assert update(third, name="Renamed", allowed_ips=["10.0.0.0/8"]).allowed_ips == ["10.0.0.0/8"]
cleared = update(third, metadata=None, allowed_ips=None, enabled=True)
assert cleared.name == "Renamed" and cleared.allowed_ips is None, cleared
assert successful(get_own_api_key.sync(client=client), ApiKey).status.value == "active"
newest = successful(list_api_keys.sync(client=client, limit=1), ApiKeyPage)
assert newest.data[0].id == third.id
for key in (first, third):
    successful(revoke_api_key.sync(key.id, client=client), ApiKeyRevoked)
    assert not is_valid(key)
