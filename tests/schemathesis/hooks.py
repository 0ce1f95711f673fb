"""Adapts Schemathesis to rules that the OpenAPI document cannot express.

The hooks make valid requests valid, protect the keys of the test itself, and drop findings that
follow the contract."""

import os
import unicodedata
from functools import cache

import requests
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData, UnsupportedMethodResponse, UseAfterFree

# The ids of the keys that authenticate the requests.
OWN = os.environ["SCHEMATHESIS_OWN_KEYS"].split()
NO_KEY = "key_0000000000000000"

KEYS = "/v1/api-keys"
FORWARD_AUTH = "/v1/auth"
CHANGING = (f"PATCH {KEYS}/{{id}}", f"DELETE {KEYS}/{{id}}", f"POST {KEYS}/{{id}}/rotate")
# The operations that accept a cursor, and the parameters that the cursor belongs to.
LISTS = {
    f"GET {KEYS}": ("page", "search", "status", "owner", "imported"),
    f"GET {KEYS}/events": ("key_id", "owner"),
    f"GET {KEYS}/report": (),
}
CHANGING_ITSELF = (f"DELETE {KEYS}/self", f"POST {KEYS}/self/rotate")


@schemathesis.hook
def before_call(context, case, kwargs):
    spare_own_keys(case)
    spare_the_calling_key(case)
    if case.meta is not None and case.meta.generation.mode.is_positive:
        expire_in_the_future(case)
        expire_once(case)
        use_real_addresses(case)
        quote_the_version(case)
        show_the_name(case)
        use_a_real_cursor(case)


def spare_own_keys(case):
    """Replaces the id of one of the OWN keys in an update, revocation or rotation.

    Schemathesis finds the ids in lists, and a key may disable and revoke itself. Every further
    request would then be a 401, and would test nothing."""
    parameters = case.path_parameters or {}
    if case.operation.label in CHANGING and parameters.get("id") in OWN:
        parameters["id"] = NO_KEY


def spare_the_calling_key(case):
    """Makes a request that revokes or rotates the calling key with a new key."""
    authorization = case.headers.get("Authorization")
    if case.operation.label in CHANGING_ITSELF and authorization:
        secret = a_new_secret(case.operation.base_url, authorization)
        if secret is not None:
            case.headers["Authorization"] = f"Bearer {secret}"


def a_new_secret(base_url, authorization):
    """Creates a key, and returns its token. Returns None if the credentials are not valid."""
    url = f"{base_url.rstrip('/')}{KEYS}"
    headers = {"Authorization": authorization}
    response = requests.post(url, json={"name": "disposable"}, headers=headers, timeout=60)
    return response.json()["secret"] if response.status_code == 201 else None


def expire_in_the_future(case):
    """Moves an expiry to a later millennium, since a new key cannot expire in the past.

    The first digit keeps its parity: 2000 years later, the same years are leap years."""
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("expires_at"), str):
        time = body["expires_at"]
        body["expires_at"] = ("8" if time[0] in "02468" else "7") + time[1:]


def expire_once(case):
    """Removes `expires_at` if `expire_now` is true. A request cannot contain both, but client
    generators do not support a schema that says so."""
    body = case.body
    if isinstance(body, dict) and body.get("expire_now") is True:
        body.pop("expires_at", None)


def use_real_addresses(case):
    """Replaces texts with addresses. Client generators support no schema for both families."""
    body = case.body
    if not isinstance(body, dict):
        return
    if isinstance(body.get("client_ip"), str):
        body["client_ip"] = "192.0.2.7"
    if isinstance(body.get("allowed_ips"), list):
        count = len(body["allowed_ips"])
        body["allowed_ips"] = [f"192.0.2.{number}" for number in range(count)]


def quote_the_version(case):
    """Restores the quotes of an entity tag, which Schemathesis sometimes removes."""
    if not case.headers.get("If-Match", '"').startswith('"'):
        case.headers["If-Match"] = '"1"'


def use_a_real_cursor(case):
    """Replaces a random cursor with a cursor that the server has returned for the same list.

    A cursor belongs to a list with the same filters, and `page` cannot be combined with it."""
    query = case.query or {}
    filters = LISTS.get(case.operation.label)
    if filters is not None and "cursor" in query:
        for parameter in ("cursor", *filters):
            query.pop(parameter, None)
        path = case.operation.label.removeprefix("GET ")
        cursor = a_cursor(case.operation.base_url, path, case.headers.get("Authorization"))
        if cursor is not None:
            query["cursor"] = cursor


@cache
def a_cursor(base_url, path, authorization):
    """Returns the cursor after the newest item, or None if the list ends there."""
    headers = {"Authorization": authorization} if authorization else {}
    url = f"{base_url.rstrip('/')}{path}?limit=1"
    response = requests.get(url, headers=headers, timeout=60)
    return response.json().get("meta", {}).get("nextCursor")


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Returns False for a finding that follows the contract."""
    if isinstance(failure, UseAfterFree):
        # A revoked key stays readable for audits, with its revocation. Changing it is a finding.
        return case.method != "GET" or response.json().get("revoked_at") is None
    if isinstance(failure, RejectedPositiveData):
        # The idempotency key was used for another request: the generator repeats short keys. Or the
        # key has another version than the one in If-Match.
        code = response.json().get("code")
        return code not in ("idempotency_mismatch", "version_mismatch")
    if isinstance(failure, AcceptedNegativeData):
        return not is_lenient(case)
    if isinstance(failure, UnsupportedMethodResponse):
        # A proxy asks with the method of its client.
        return case.path != FORWARD_AUTH
    return True


def is_lenient(case):
    """Whether the server accepts more in a request than the document describes.

    A field with the value `null` counts as missing, and a boolean in a query has six spellings."""
    nulls = case.body is None or isinstance(case.body, dict) and None in case.body.values()
    cascade = (case.query or {}).get("cascade")
    return nulls or str(cascade) in ("True", "False", "1", "0")


def show_the_name(case):
    """Adds a visible character to a name without one."""
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("name"), str):
        name = body["name"]
        if not any(is_visible(character) for character in name):
            # Replace a character, because the name may have the maximum length.
            body["name"] = "n" + name[1:]


def is_visible(character):
    """Whether the server counts a character as visible."""
    blanks = "\u115f\u1160\u2800\u3164\uffa0\U00013441\U00013442\U0001d159"
    return unicodedata.category(character)[0] in "LNPS" and character not in blanks
