// The types of the element, as a host uses them.
import type { KeywrightKeys, KeywrightKeysAttributes } from "./assets/keywright-keys.js";

const element: KeywrightKeys = document.createElement("keywright-keys");
element.permissions = ["calls:read", { value: "calls:write", label: "Make calls" }];
element.strings = { "Create key": "Schlüssel erstellen" };
element.token = "";
element.refresh();

const attributes: KeywrightKeysAttributes = { api: "/v1/api-keys", "revocation-bound": 100, access: "read" };
for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
