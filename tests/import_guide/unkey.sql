-- The tables of Unkey (pkg/db/schema.sql), with the columns that the export reads. `hash.Sha256` of
-- Unkey's Go code has made the hashes.
CREATE TABLE apis (id varchar(256) NOT NULL, key_auth_id varchar(256));
CREATE TABLE identities (id varchar(256) NOT NULL, external_id varchar(256) NOT NULL);
CREATE TABLE permissions (id varchar(256) NOT NULL, slug varchar(128) NOT NULL);
CREATE TABLE keys_permissions (key_id varchar(256) NOT NULL, permission_id varchar(256) NOT NULL);
CREATE TABLE keys_roles (key_id varchar(256) NOT NULL, role_id varchar(256) NOT NULL);
CREATE TABLE roles_permissions (role_id varchar(256) NOT NULL, permission_id varchar(256) NOT NULL);
CREATE TABLE `keys` (
  id varchar(256) NOT NULL, key_auth_id varchar(256) NOT NULL, hash varchar(256) NOT NULL,
  start varchar(256) NOT NULL, name varchar(256), owner_id varchar(256), identity_id varchar(256), meta text,
  expires datetime(3), created_at_m bigint NOT NULL DEFAULT 0, deleted_at_m bigint,
  enabled boolean NOT NULL DEFAULT true, pending_migration_id varchar(256)
);
INSERT INTO apis VALUES ('api_123', 'ks_1'), ('api_456', 'ks_2');
INSERT INTO identities VALUES ('id_1', 'user_7');
INSERT INTO permissions VALUES ('perm_1', 'calls:read'), ('perm_2', 'calls:write'), ('perm_3', '*');
INSERT INTO roles_permissions VALUES ('role_1', 'perm_1'), ('role_1', 'perm_2');
INSERT INTO keys_permissions VALUES ('key_1', 'perm_1'), ('key_2', 'perm_3');
INSERT INTO keys_roles VALUES ('key_1', 'role_1');
INSERT INTO `keys` VALUES
  ('key_1', 'ks_1', 'F3VsT0pDfF5PhP1mOuxDBcpzhvA2/kJnQYSSxcn23eg=', 'acme_A65d', 'CI of "Jane" ü', NULL, 'id_1',
   '{"plan":"gold"}', '2090-01-01 00:00:00.000', 1709287200123, NULL, true, NULL),
  ('key_2', 'ks_1', 'bH+3TLPDUB65Uwyi3zcRwsk3PKyghdm0Pn0kcwRuSts=', 'acme_8Ck2', NULL, 'user_9', NULL,
   NULL, NULL, 1709287200000, NULL, false, NULL),
  ('key_3', 'ks_1', 'eCIR63w+DKYqwsz95GWfXUuftgIDrmoQ0Y490Pk3TDI=', 'acme_ToVT', 'deleted', NULL, NULL,
   NULL, NULL, 1709287200000, 1709290000000, true, NULL),
  ('key_4', 'ks_2', '/S3hmiPriF3jqswPrWMpylNpbctizlrQoVzgrwpvPtY=', 'acme_GdiB', 'of another API', NULL, NULL,
   NULL, NULL, 1709287200000, NULL, true, NULL);
