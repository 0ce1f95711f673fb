-- A table as the README of prefixed-api-key suggests. `generateAPIKey` of version 1.1.1 has made the keys
-- (`original/better_auth.mjs`).
CREATE TABLE api_keys (
  short_token text NOT NULL, long_token_hash text NOT NULL, name text NOT NULL, user_id bigint NOT NULL,
  created_at timestamp NOT NULL
);
INSERT INTO api_keys VALUES
  ('U42q3zJu', '74a8ba3359959a650a1bb45c44c7ba064f7d05cc90bb48201f5178b2d24c9182', 'CI of Jane', 7, '2024-03-01 10:00:00'),
  ('wVnGK91L', '9c1b3c765cf15b28d4357fb642e5749c8cb093d574b7c4a4c7a6c3c612ad42ce', 'phone', 9, '2024-03-01 10:00:00');
