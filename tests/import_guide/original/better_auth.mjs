// Writes a table of better-auth into the PostgreSQL database of DATABASE_URL, and prints the tokens. Also
// prints keys of prefixed-api-key.
//
// npm install better-auth@1.7.5 @better-auth/api-key@1.7.5 prefixed-api-key@1.1.1 pg

import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import pg from "pg";
import { generateAPIKey } from "prefixed-api-key";

const auth = betterAuth({
    secret: "0123456789abcdef0123456789abcdef0123",
    baseURL: "http://localhost",
    emailAndPassword: { enabled: true },
    database: new pg.Pool({ connectionString: process.env.DATABASE_URL }),
    plugins: [apiKey({ enableMetadata: true, defaultPrefix: "acme_" })],
});
await (await getMigrations(auth.options)).runMigrations();
const { user } = await auth.api.signUpEmail({
    body: { email: "jane@example.com", password: "correct horse battery", name: "Jane" },
});
const create = async (body) => {
    const key = await auth.api.createApiKey({ body: { userId: user.id, ...body } });
    console.log(key.name, key.key);
    return key.id;
};
await create({ name: "CI of Jane", permissions: { calls: ["read", "write"] }, metadata: { plan: "gold" } });
await create({ name: "ends", expiresIn: 300 * 24 * 60 * 60 });
const keyId = await create({ name: "paused" });
await auth.api.updateApiKey({ body: { keyId, userId: user.id, enabled: false } });
console.log(await generateAPIKey({ keyPrefix: "mycompany" }));
process.exit(0);
