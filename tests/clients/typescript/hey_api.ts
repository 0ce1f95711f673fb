// Creates, verifies, rotates and revokes keys with the client of @hey-api/openapi-ts.

import { check, data, token, url } from "./environment";
import {
  createApiKey,
  getOwnApiKey,
  listApiKeys,
  revokeApiKey,
  rotateApiKey,
  updateApiKey,
  verifyApiKey,
} from "./hey";
import type { ApiKey, ApiKeyChange, ApiKeyCreated, ApiKeyRotation } from "./hey";
import { client } from "./hey/client.gen";

client.setConfig({ baseUrl: url, auth: token });

async function isValid({ id, secret }: ApiKeyCreated): Promise<boolean> {
  check(secret !== null, "no secret");
  const verdict = data(await verifyApiKey({ body: { key: secret } }));
  if ("code" in verdict) {
    check(!verdict.valid && verdict.code === "REVOKED", verdict.code);
    return false;
  }
  check(verdict.valid && verdict.id === id, "another key");
  return true;
}

async function rotate({ id }: ApiKeyCreated, body?: ApiKeyRotation): Promise<ApiKeyCreated> {
  return data(await rotateApiKey({ path: { id }, body }));
}

async function update({ id }: ApiKeyCreated, body: ApiKeyChange): Promise<ApiKey> {
  return data(await updateApiKey({ path: { id }, body, headers: { "If-Match": "*" } }));
}

async function main(): Promise<void> {
  const first = data(await createApiKey({ body: { name: "TypeScript" } }));
  check(await isValid(first), "created");
  const second = await rotate(first);
  check((await isValid(first)) && (await isValid(second)), "rotated with an overlap");
  const third = await rotate(second, { expire_previous: "now" });
  check(!(await isValid(second)) && (await isValid(third)), "rotated without an overlap");
  const changed = await update(third, { metadata: { team: "a" }, allowed_ips: ["10.0.0.0/8"] });
  check(changed.metadata?.team === "a" && changed.allowed_ips?.length === 1, "updated");
  const cleared = await update(third, { metadata: null, allowed_ips: null, enabled: true });
  check(cleared.metadata === null && cleared.allowed_ips === null, "cleared");
  check(data(await getOwnApiKey()).status === "active", "found itself");
  const page = data(await listApiKeys({ query: { limit: 1 } }));
  check(page.data[0]?.id === third.id, "listed");
  for (const key of [first, third]) {
    const revoked = data(await revokeApiKey({ path: { id: key.id } }));
    check(revoked.message === "API key revoked.", revoked.message);
    check(!(await isValid(key)), "revoked");
  }
}

void main();
