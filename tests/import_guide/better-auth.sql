-- The table that better-auth 1.7.5 with @better-auth/api-key 1.7.5 has created in PostgreSQL, and the
-- rows that its `createApiKey` and `updateApiKey` have written (`original/better_auth.mjs`). Only the
-- times differ: they are in the past on every clock.
CREATE TABLE apikey (
  id text NOT NULL PRIMARY KEY, "configId" text NOT NULL, name text, start text, "referenceId" text NOT NULL,
  prefix text, key text NOT NULL, "refillInterval" integer, "refillAmount" integer, "lastRefillAt" timestamptz,
  enabled boolean, "rateLimitEnabled" boolean, "rateLimitTimeWindow" integer, "rateLimitMax" integer,
  "requestCount" integer, remaining integer, "lastRequest" timestamptz, "expiresAt" timestamptz,
  "createdAt" timestamptz NOT NULL, "updatedAt" timestamptz NOT NULL, permissions text, metadata text
);
INSERT INTO apikey VALUES
  ('PEXfXHakskWIsd3kLmMGgMfaNn0VPhsu', 'default', 'CI of Jane', 'acme_m', 'Oqf6Vnnr8V27yhu1gqHNs4Cc8IMOPsPO', 'acme_', 'lIxx1qLW7TV-wkIVar4Dby8O9K30WD5GgynsEcP-ANc', NULL, NULL, NULL, true, true, 86400000, 10, 0, NULL, NULL, NULL, '2024-03-01 10:00:00.254+00', '2024-03-01 10:00:00.254+00', '{"calls":["read","write"]}', '{"plan":"gold"}'),
  ('BPZnsomAxSRvmv8baI04KW3LRcRwZbLw', 'default', 'ends', 'acme_p', 'Oqf6Vnnr8V27yhu1gqHNs4Cc8IMOPsPO', 'acme_', 'xm2zDswS8QxwAqeL-a_B1nkzyFNI_ukkcqgK6MZrHZM', NULL, NULL, NULL, true, true, 86400000, 10, 0, NULL, NULL, '2090-01-01 00:00:00.27+00', '2024-03-01 10:00:00.27+00', '2024-03-01 10:00:00.27+00', NULL, 'null'),
  ('NBeJSmgXOxBG6bjDXB4uFStFjGQtSWmZ', 'default', 'paused', 'acme_Z', 'Oqf6Vnnr8V27yhu1gqHNs4Cc8IMOPsPO', 'acme_', 'X4Ml57GLCidbiYJ1Wvj2ahLvZVhkz_UIB7zKb-4j71s', NULL, NULL, NULL, false, true, 86400000, 10, 0, NULL, NULL, NULL, '2024-03-01 10:00:00.278+00', '2024-03-01 10:00:00.278+00', NULL, 'null');
