/** A permission that the form offers. */
export interface KeywrightPermission {
  /** The permission, such as `calls:read`. */
  value: string;
  /** Its name for people. Without it, the form shows the permission itself. */
  label?: string;
  description?: string;
}

/** Translations of the English texts, which `de.js` lists. A text that is missing is English. */
export type KeywrightStrings = Record<string, string>;

/** The element `<keywright-keys>`. */
export class KeywrightKeys extends HTMLElement {
  /** An API key for the requests, in memory only. Empty: the requests carry the host's cookies. */
  set token(token: string);
  set permissions(permissions: (string | KeywrightPermission)[] | null);
  set strings(strings: KeywrightStrings);
  /** Loads the current view again. A form with unsaved input stays. */
  refresh(): void;
}

/** The attributes of the element. */
export interface KeywrightKeysAttributes {
  /** The path of the endpoints. The default is `/v1/api-keys`. */
  api?: string;
  /** The permissions that the form offers, as JSON: a list of names or of `KeywrightPermission`. */
  permissions?: string;
  /** `read` hides everything that changes a key. */
  access?: "read" | "write";
  /** The milliseconds within which every server rejects a revoked key. 0 means at once. */
  "revocation-bound"?: string | number;
  /** `key` asks for an API key, for pages without a session. */
  "sign-in"?: "key";
  /** `hash` keeps the current view in the fragment of the address, so that "back" works. */
  routing?: "hash";
  /** Texts in another language, as JSON. */
  strings?: string;
  lang?: string;
}

/** The events of the element. Both bubble. */
export interface KeywrightKeysEvents {
  /** A key was created, changed, rotated or revoked. */
  "keywright-change": CustomEvent<null>;
  /** The API responded with 401. */
  "keywright-session-expired": CustomEvent<null>;
}

declare global {
  interface HTMLElementTagNameMap {
    "keywright-keys": KeywrightKeys;
  }
}
