/** The client of the HTTP API. */

/**
 * @typedef {object} Key
 * @property {string} id
 * @property {string} name
 * @property {string} created_at
 * @property {string | null} last_used_at
 * @property {"active" | "disabled" | "expired" | "revoked"} status
 * @property {"live" | "test"} environment
 * @property {string[]} permissions
 * @property {boolean} enabled
 * @property {string | null} owner
 * @property {string | null} expires_at
 * @property {string | null} revoked_at
 * @property {string[] | null} allowed_ips
 * @property {Record<string, unknown> | null} metadata
 * @property {string | null} parent_id
 * @property {string | null} predecessor_id
 * @property {string | null} successor_id
 * @property {string | null} rotated_by_id
 * @property {boolean} imported
 */

/** @typedef {Key & {secret: string | null, confirmed?: false}} IssuedKey */

/** @typedef {{data: Key[], meta: {total?: number, nextCursor: string | null}}} KeyPage */

/**
 * @typedef {object} KeyEvent
 * @property {string} id
 * @property {string} type
 * @property {string} created_at
 * @property {string} key_id
 * @property {{type: string, id?: string, owner?: string}} actor
 * @property {string} [client_ip]
 * @property {string} [request_id]
 * @property {string} [successor_id]
 * @property {number} [count]
 * @property {Record<string, unknown>} [changes]
 */

/** @typedef {{data: KeyEvent[], meta: {nextCursor: string | null}}} EventPage */

/** @typedef {Record<string, {count: number, data: Key[]}>} Sections */

/** @typedef {{sections: Sections, meta: {keysRead: number, nextCursor: string | null}}} Report */

/**
 * @typedef {object} Options
 * @property {Record<string, string | number | null | undefined>} [query]
 * @property {object} [body]
 * @property {string} [etag] the version that an update requires
 * @property {string} [once] an idempotency key
 * @property {AbortSignal} [signal]
 */

/** A request that failed. Without a code and a message, the response is not one of the API. */
export class Problem extends Error {
  /** 0 if there is no response. */
  status = 0;
  code = "";
  requestId = "";
  /** The time at which the request may be repeated, in milliseconds since 1970. */
  retryAt = 0;
  /** @type {{field: string, message: string}[]} */
  fields = [];

  /** @param {Partial<Problem>} properties */
  constructor(properties) {
    super();
    Object.assign(this, properties);
  }
}

/**
 * Parses JSON. A number that JavaScript does not write in the same way, such as one beyond 2^53,
 * stays as it is written: it becomes an object that `JSON.stringify` turns into the same text.
 *
 * @param {string} json
 */
export function parseJson(json) {
  const parser = /** @type {any} */ (JSON);
  const keepNumber = (/** @type {string} */ _, /** @type {unknown} */ value, /** @type {{source: string}} */ { source }) =>
    typeof value === "number" && String(value) !== source ? parser.rawJSON(source) : value;
  return parser.parse(json, keepNumber);
}

/**
 * Returns the time of a `Retry-After`, which has seconds or a date, within the next hour.
 *
 * @param {string} header
 */
function retryTime(header) {
  const now = Date.now();
  const wait = /^\d{1,5}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return now + Math.min(Math.max(wait || 0, 0), 3_600_000);
}

export class Api {
  /** The path of the endpoints. */
  base = "";
  /** An API key, in memory only. Without it, requests carry the cookies of the host. */
  #token = "";

  get hasToken() {
    return this.#token !== "";
  }

  /** Returns whether the token is another one. @param {string} token */
  setToken(token) {
    const isOther = token !== this.#token;
    this.#token = token;
    return isOther;
  }

  /**
   * Sends a request. Returns the parsed body and the version of the key.
   *
   * @param {"GET" | "POST" | "PATCH" | "DELETE"} method
   * @param {string} path
   * @param {Options} [options]
   * @returns {Promise<{body: any, etag: string}>}
   */
  async request(method, path, { query = {}, body, etag, once, signal } = {}) {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value) search.set(name, String(value));
    const headers = new Headers({ Accept: "application/json" });
    // A request with this type from another origin needs the permission of the server.
    if (method !== "GET") headers.set("Content-Type", "application/json");
    if (this.#token) headers.set("Authorization", `Bearer ${this.#token}`);
    if (etag) headers.set("If-Match", etag);
    if (once) headers.set("Idempotency-Key", once);
    const timeout = AbortSignal.timeout(30_000);
    let response, json, parsed;
    try {
      response = await fetch(`${this.base}${path}${search.size ? `?${search}` : ""}`, {
        method,
        headers,
        body: body && JSON.stringify(body),
        credentials: this.#token ? "omit" : "same-origin",
        cache: "no-store",
        // A host that redirects to its sign-in page has no session for this request.
        redirect: "manual",
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
      json = await response.text();
    } catch (error) {
      if (signal?.aborted) throw error;
      const reading = navigator.onLine ? "unreachable" : "offline";
      throw new Problem({ code: once ? "unconfirmed" : method === "GET" ? reading : "unreachable" });
    }
    try {
      parsed = parseJson(json);
    } catch {
      // A proxy may respond with HTML.
    }
    const header = (/** @type {string} */ name) => response.headers.get(name) ?? "";
    if (response.ok && parsed) return { body: parsed, etag: header("ETag") };
    throw new Problem({
      status: response.type === "opaqueredirect" ? 401 : response.status,
      code: parsed?.code ?? "",
      message: String(parsed?.message ?? ""),
      requestId: String(parsed?.requestId ?? header("X-Request-Id")),
      retryAt: retryTime(header("Retry-After")),
      fields: [parsed?.errors ?? []].flat().filter(Boolean),
    });
  }

  /** @param {string} path @param {Options["query"]} query @param {AbortSignal} signal */
  async get(path, query, signal) {
    return (await this.request("GET", path, { query, signal })).body;
  }

  /**
   * Returns a function that creates a key with a body. If it is called again with the same body
   * after a failure, the server creates no second key.
   *
   * @param {string} path
   */
  creation(path) {
    let sent = "";
    let once = "";
    return async (/** @type {object} */ body) => {
      const json = JSON.stringify(body);
      if (json !== sent) [sent, once] = [json, newIdempotencyKey()];
      const issued = (await this.request("POST", path, { body, once })).body;
      const texts = [issued.id, issued.name, issued.secret ?? ""];
      if (texts.some((text) => typeof text !== "string")) throw new Problem({});
      return /** @type {IssuedKey} */ (issued);
    };
  }
}

/** `crypto.randomUUID` is missing on pages without TLS. */
const newIdempotencyKey = () =>
  Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16)).join("-");

/**
 * Whether one of the granted permissions covers a permission.
 *
 * @param {readonly string[]} granted
 * @param {string} permission
 */
export const covers = (granted, permission) =>
  granted.some(
    (grant) =>
      grant === "*" || grant === permission || (grant.endsWith(":*") && permission.startsWith(grant.slice(0, -1))),
  );
