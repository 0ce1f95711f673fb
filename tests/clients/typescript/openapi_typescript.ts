// Creates, verifies, rotates and revokes keys with the types of openapi-typescript.

import createClient from "openapi-fetch";
import { check, data, token, url } from "./environment";
import type { components, paths } from "./openapi";

type Issued = components["schemas"]["ApiKeyCreated"];

const headers = { Authorization: `Bearer ${token}` };
const client = createClient<paths>({ baseUrl: url, headers });

async function create(): Promise<Issued> {
  return data(await client.POST("/v1/api-keys", { body: { name: "TypeScript" } }));
}

async function isValid({ id, secret }: Issued): Promise<boolean> {
  check(secret !== null, "no secret");
  const verdict = data(await client.POST("/v1/api-keys/verify", { body: { key: secret } }));
  if ("code" in verdict) {
    check(!verdict.valid && verdict.code === "REVOKED", verdict.code);
    return false;
  }
  check(verdict.valid && verdict.id === id, "another key");
  return true;
}

async function rotate({ id }: Issued, body?: components["schemas"]["ApiKeyRotation"]) {
  const params = { path: { id } };
  return data(await client.POST("/v1/api-keys/{id}/rotate", { params, body }));
}

async function update({ id }: Issued, body: components["schemas"]["ApiKeyChange"]) {
  const params = { path: { id }, header: { "If-Match": "*" } };
  return data(await client.PATCH("/v1/api-keys/{id}", { params, body }));
}

async function revoke({ id }: Issued): Promise<void> {
  const params = { path: { id } };
  const revoked = data(await client.DELETE("/v1/api-keys/{id}", { params }));
  check(revoked.message === "API key revoked.", revoked.message);
}

async function main(): Promise<void> {
  const first = await create();
  check(await isValid(first), "created");
  const second = await rotate(first);
  check((await isValid(first)) && (await isValid(second)), "rotated with an overlap");
  const third = await rotate(second, { expire_previous: "now" });
  check(!(await isValid(second)) && (await isValid(third)), "rotated without an overlap");
  const changed = await update(third, { metadata: { team: "a" }, allowed_ips: ["10.0.0.0/8"] });
  check(changed.metadata?.team === "a" && changed.allowed_ips?.length === 1, "updated");
  const cleared = await update(third, { metadata: null, allowed_ips: null, enabled: true });
  check(cleared.metadata === null && cleared.allowed_ips === null, "cleared");
  check(data(await client.GET("/v1/api-keys/self")).status === "active", "found itself");
  const page = data(await client.GET("/v1/api-keys", { params: { query: { limit: 1 } } }));
  check(page.data[0]?.id === third.id, "listed");
  for (const key of [first, third]) {
    await revoke(key);
    check(!(await isValid(key)), "revoked");
  }
}

void main();
