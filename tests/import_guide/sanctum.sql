-- The table of Laravel Sanctum 4.0.1 (its migration, for PostgreSQL). The tokens and their hashes were
-- made with PHP 8.2, as `HasApiTokens::generateTokenString` and `createToken` make them
-- (`original/sanctum.php`).
CREATE TABLE personal_access_tokens (
  id bigint NOT NULL PRIMARY KEY, tokenable_type varchar(255) NOT NULL, tokenable_id bigint NOT NULL,
  name varchar(255) NOT NULL, token varchar(64) NOT NULL UNIQUE, abilities text,
  last_used_at timestamp(0), expires_at timestamp(0), created_at timestamp(0), updated_at timestamp(0)
);
INSERT INTO personal_access_tokens VALUES
  (17, 'App\Models\User', 7, 'CI of Jane', '12188bad83cd83d38be84430f216a07608b4faa2ff5562a3077b8a2274a7f80c',
   '["calls:read","calls:write"]', NULL, '2089-01-01 00:00:00', '2024-03-01 10:00:00', '2024-03-01 10:00:00'),
  (18, 'App\Models\User', 7, 'phone', '1cd307f2403d1cccbca61c69e2c2d76bd605c5881e5bb862ce6e1d87e00a5ec9',
   '["*"]', NULL, NULL, '2024-03-01 10:00:00', '2024-03-01 10:00:00'),
  (19, 'App\Models\User', 9, 'expired', 'b21b4afd7c0c5330c0b27e252d72626b9f3e7c65073663ba11339b5c3cb756de',
   '["*"]', NULL, '2024-04-01 00:00:00', '2024-03-01 10:00:00', '2024-03-01 10:00:00');
