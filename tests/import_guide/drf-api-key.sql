-- The table that djangorestframework-api-key 3.1.0 with Django 5.2.19 has created in SQLite, and the rows
-- that its `create_key` has written. The last has a hash of PBKDF2PasswordHasher, as before version 3.0
-- (`original/drf_api_key.py`).
-- The times are in the past on every clock, and booleans are those of PostgreSQL.
CREATE TABLE rest_framework_api_key_apikey (
  created timestamp NOT NULL, name varchar(50) NOT NULL, revoked bool NOT NULL, expiry_date timestamp NULL,
  hashed_key varchar(150) NOT NULL, prefix varchar(8) NOT NULL UNIQUE, id varchar(150) NOT NULL PRIMARY KEY
);
INSERT INTO rest_framework_api_key_apikey VALUES
  ('2024-03-01 10:00:00.816296', 'CI of Jane', false, NULL, 'sha512$$9a5d9e2980b5df4da5d49c5aa54e680693813bc171d845000ff129bc6e8f78ce52c4ff107b9a578179843ce1a25974b88a3e4b5f37fd48983a7ab6b644c482c1', 'e3oU52TR', 'e3oU52TR.sha512$$9a5d9e2980b5df4da5d49c5aa54e680693813bc171d845000ff129bc6e8f78ce52c4ff107b9a578179843ce1a25974b88a3e4b5f37fd48983a7ab6b644c482c1'),
  ('2024-03-01 10:00:00.840068', 'ends in 2090', false, '2090-01-01 00:00:00', 'sha512$$452386e652b8021ca6ee1399a1b51299b3ce5675621dd967bc1f4da881ed2ef82f3b5fcca74beb37ce1c652cd99de727bce2ad33c7b794e60625ca6df0443f87', 'sCYRTINY', 'sCYRTINY.sha512$$452386e652b8021ca6ee1399a1b51299b3ce5675621dd967bc1f4da881ed2ef82f3b5fcca74beb37ce1c652cd99de727bce2ad33c7b794e60625ca6df0443f87'),
  ('2024-03-01 10:00:00.863681', 'revoked', true, NULL, 'sha512$$d3a108c9e4c353b49c65bfd06cc79f19ef9c8dd5c524530a25812beeeab4ac3034e58d59a807c8d1215fc2737ae5ca4e25fb47bb1f76e1b47bfe178d336b33ce', 'fnFyaZey', 'fnFyaZey.sha512$$d3a108c9e4c353b49c65bfd06cc79f19ef9c8dd5c524530a25812beeeab4ac3034e58d59a807c8d1215fc2737ae5ca4e25fb47bb1f76e1b47bfe178d336b33ce'),
  ('2024-03-01 10:00:00.887658', 'expired', false, '2024-04-01 00:00:00', 'sha512$$db9ec08ca146d660eac92600bf6fbdee36480194c5b0e1e29eae8dcc8bc25af41336212f37a607e62120ba9b5458c783c3deb899c4555269d7942ff285f45956', 'aZPtbfis', 'aZPtbfis.sha512$$db9ec08ca146d660eac92600bf6fbdee36480194c5b0e1e29eae8dcc8bc25af41336212f37a607e62120ba9b5458c783c3deb899c4555269d7942ff285f45956'),
  ('2024-03-01 10:00:00.911646', 'before 3.0', false, NULL, 'pbkdf2_sha256$1000$UUX9MMODW6JlmTloOW3eoo$Hk7E2imYJpW2pT4n9RPUXRKEDWR2sq7GzZkGDXbjzbc=', 'biWhg2Dg', 'biWhg2Dg.sha512$$7f63c719ba28ac838581ef76ad3d7c639dc85d54f167fc3b07b6b6f36966556bd9664801c2387f4524cda7f1908e171330908de760e57a567c0587fde992ee9b');
