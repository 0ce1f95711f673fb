"""Writes a table of djangorestframework-api-key into the SQLite file keys.db, and prints the tokens.

pip install django==5.2.19 djangorestframework-api-key==3.1.0
"""

from datetime import datetime, timezone

import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework_api_key"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "keys.db"}},
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.management import call_command
from rest_framework_api_key.models import APIKey

call_command("migrate", verbosity=0)
for name, fields in {
    "CI of Jane": {},
    "ends in 2090": {"expiry_date": datetime(2090, 1, 1, tzinfo=timezone.utc)},
    "revoked": {"revoked": True},
    "expired": {"expiry_date": datetime(2024, 4, 1, tzinfo=timezone.utc)},
    "before 3.0": {},
}.items():
    key, token = APIKey.objects.create_key(name=name, **fields)
    if name == "before 3.0":
        hasher = PBKDF2PasswordHasher()
        key.hashed_key = hasher.encode(token, hasher.salt(), iterations=1000)
        key.save()
    print(name, token)
