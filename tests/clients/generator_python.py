"""Creates, verifies, rotates and revokes keys with the Python client of OpenAPI Generator."""

import os

from openapi_client import (
    APIKeysApi,
    ApiClient,
    ApiKeyChange,
    ApiKeyNotValid,
    ApiKeyNotValidReason,
    ApiKeyRotation,
    ApiKeyRotationExpirePrevious,
    ApiKeyToCreate,
    ApiKeyToVerify,
    Configuration,
)

configuration = Configuration(os.environ["CLIENTS_URL"], access_token=os.environ["CLIENTS_TOKEN"])
api = APIKeysApi(ApiClient(configuration))


def is_valid(key):
    verdict = api.verify_api_key(ApiKeyToVerify(key=key.secret)).actual_instance
    if isinstance(verdict, ApiKeyNotValid):
        assert not verdict.valid and verdict.code == ApiKeyNotValidReason.REVOKED, verdict
        return False
    assert verdict.valid and verdict.id == key.id, verdict
    return True


first = api.create_api_key(ApiKeyToCreate(name="Python"))
assert is_valid(first)
second = api.rotate_api_key(first.id)
assert is_valid(first) and is_valid(second)
now = ApiKeyRotation(expire_previous=ApiKeyRotationExpirePrevious("now"))
third = api.rotate_api_key(second.id, api_key_rotation=now)
assert not is_valid(second) and is_valid(third)
change = ApiKeyChange(name="Renamed", allowed_ips=["10.0.0.0/8"])
assert api.update_api_key(third.id, change, if_match="*").allowed_ips == ["10.0.0.0/8"]
# A field that is set to `None` is sent as `null`.
cleared = api.update_api_key(third.id, ApiKeyChange(metadata=None, allowed_ips=None, enabled=True))
assert cleared.name == "Renamed" and cleared.allowed_ips is None, cleared
assert api.get_own_api_key().status == "active"
assert api.list_api_keys(limit=1).data[0].id == third.id
for key in (first, third):
    assert api.revoke_api_key(key.id).message == "API key revoked."
    assert not is_valid(key)
