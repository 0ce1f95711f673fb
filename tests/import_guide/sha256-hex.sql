-- A table of a service that stores SHA-256 hashes, made with `sha256sum`.
CREATE TABLE api_tokens (
  token_hash text NOT NULL, name text NOT NULL, user_id bigint NOT NULL, scopes text NOT NULL,
  disabled boolean NOT NULL, created_at timestamp NOT NULL, expires_at timestamp, revoked_at timestamp
);
INSERT INTO api_tokens VALUES
  ('a1af5defd62759031af9c1905f619107a298e52614a774754b4e59082564d4f3', 'CI of Jane', 7, 'calls:read calls:write', false, '2024-03-01 10:00:00', '2090-01-01 00:00:00', NULL),
  ('6c5152e075f30e645d14ebe65f9856fb43bf42fbead547228dbb3ce0c0732d88', 'paused', 9, '*', true, '2024-03-01 10:00:00', NULL, NULL);
