"""What no schema can say of a request that is to be accepted, which keys are spared, and which
findings are the contract."""

import os
from functools import cache

import requests
import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

# The ids of the keys that the requests are made with.
OWN = os.environ["SCHEMATHESIS_OWN_KEYS"].split()
NO_KEY = "key_0000000000000000"

KEYS = "/v1/api-keys"
ENDING = (f"DELETE {KEYS}/{{id}}", f"POST {KEYS}/{{id}}/rotate")


@schemathesis.hook
def before_call(context, case, kwargs):
    spare_own_keys(case)
    if case.meta is not None and case.meta.generation.mode.is_positive:
        end_in_the_future(case)
        use_a_real_cursor(case)


def spare_own_keys(case):
    """Lists show the keys that the requests are made with, and a key may revoke and rotate itself:
    every further request would be a 401, and nothing would be tested any more."""
    parameters = case.path_parameters or {}
    if case.operation.label in ENDING and parameters.get("id") in OWN:
        parameters["id"] = NO_KEY


def end_in_the_future(case):
    """No key is created to have ended in the past. The year is of the same parity and, by 2000
    years, as leap as it was."""
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("expires_at"), str):
        time = body["expires_at"]
        body["expires_at"] = ("8" if time[0] in "02468" else "7") + time[1:]


def use_a_real_cursor(case):
    """A cursor is one that the server gave, for the same list; `page` does not go with it."""
    query = case.query or {}
    if case.operation.label == f"GET {KEYS}" and "cursor" in query:
        for parameter in ("cursor", "page", "search", "status"):
            query.pop(parameter, None)
        cursor = a_cursor(case.operation.base_url, case.headers.get("Authorization"))
        if cursor is not None:
            query["cursor"] = cursor


@cache
def a_cursor(base_url, authorization):
    """The cursor behind the newest key; there is one as soon as there are two keys."""
    headers = {"Authorization": authorization} if authorization else {}
    url = f"{base_url.rstrip('/')}{KEYS}?limit=1"
    answer = requests.get(url, headers=headers, timeout=20)
    return answer.json().get("meta", {}).get("next_cursor")


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether a finding is one: `False` for what the contract says."""
    if isinstance(failure, UseAfterFree):
        # Revoked keys stay readable, for audit, and tell that they are revoked. To change them is
        # still a finding.
        return case.method != "GET" or response.json().get("revoked_at") is None
    if isinstance(failure, RejectedPositiveData):
        # However good a request is: its idempotency key was used for another. The generator draws
        # the same short keys again and again.
        return response.status_code != 422 or response.json().get("code") != "idempotency_mismatch"
    return True
