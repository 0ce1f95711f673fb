/** The changes of keys: who did what, when and from where. */

import { h, visible } from "./dom.js";
import { lookUp } from "./texts.js";
import { FIELDS, code, heading, info, keyLink, pager, region } from "./ui.js";

/** @typedef {import("./api.js").KeyEvent} KeyEvent */
/** @typedef {import("./dom.js").Child} Child */
/** @typedef {import("./texts.js").Text} Text */
/** @typedef {import("./ui.js").Context} Context */

/** @type {Record<string, Text>} */
const ACTORS = {
  host: "Someone signed in",
  operator: "An operator on the command line",
  system: "The system",
};

/** What a missing value means. @type {Record<string, Text>} */
const NOTHING = { expires_at: "Never", allowed_ips: "Any address" };

/** @param {Context} context */
export function activity(context) {
  const { text } = context;
  const hint = h("p.muted", text("Changes to keys, newest first."));
  return h("section", heading(text("Activity")), hint, eventList(context, {}, 50));
}

/**
 * A list of events with pages.
 *
 * @param {Context} context
 * @param {{key_id?: string}} filter
 * @param {number} limit
 */
export function eventList(context, filter, limit) {
  const { api, text } = context;
  const load = (/** @type {AbortSignal} */ signal) =>
    api.get("/events", { ...filter, limit, cursor: pages.cursor() }, signal).catch((error) => {
      if (error.code !== "no_event_log") throw error;
    });
  const show = (/** @type {import("./api.js").EventPage | undefined} */ page) => {
    if (!page) return info(text("This server does not record changes."));
    pages.update(page.meta.nextCursor);
    const items = page.data.map((event) => item(context, event, !filter.key_id));
    return [items.length ? h("ol.events", items) : h("p.muted", text("No changes recorded yet.")), pages.element];
  };
  const { element, reload } = region(context, load, show);
  const pages = pager(context, reload);
  reload();
  return element;
}

/** @param {Context} context @param {KeyEvent} event @param {boolean} withKey */
function item(context, event, withKey) {
  const { nodes, time } = context;
  const { key_id, changes: { name } = {}, successor_id, client_ip, request_id } = event;
  const isNew = Array.isArray(name) && event.type === "api_key.created";
  const more = [
    successor_id && nodes("successor {id}", { id: keyLink(context, successor_id) }),
    client_ip && nodes("from {address}", { address: code(client_ip) }),
    request_id && nodes("request {id}", { id: code(request_id) }),
  ].filter(Boolean);
  return h(
    "li",
    h("strong", actor(context, event)),
    " ",
    action(context, event),
    withKey && [" ", keyLink(context, key_id, isNew ? visible(String(name[1])) : undefined)],
    changes(context, event),
    h("div.muted", time(event.created_at), more.map((part) => [" · ", part])),
  );
}

/** @param {Context} context @param {KeyEvent} event */
function actor({ text, nodes }, { actor: { type, id, owner } }) {
  if (type === "key" && id) return nodes("Key {id}", { id: code(id) });
  if (type === "host" && owner) return visible(owner);
  const known = lookUp(ACTORS, type);
  return known ? text(known) : visible(type);
}

/** @param {Context} context @param {KeyEvent} event */
function action({ text, count, translate }, { type, count: total = 1, changes = {} }) {
  const { enabled, ...others } = changes;
  if (Array.isArray(enabled) && !Object.keys(others).length) {
    return text(enabled[1] ? "resumed the key" : "paused the key");
  }
  if (total > 1) return count("revoked the key and its descendants, {count} in all", total);
  return visible(translate(`${type.replace("api_key.", "")} the key`));
}

/** @param {Context} context @param {KeyEvent} event */
function changes({ text, nodes, at }, { type, changes = {} }) {
  const isNew = type === "api_key.created";
  const rows = Object.entries(changes).filter(([name], _, { length }) =>
    name === "enabled" ? length > 1 : !(isNew && name === "name"),
  );
  /** @param {string} name @param {unknown} value @returns {Child} */
  const show = (name, value) => {
    if (value === null) return text(lookUp(NOTHING, name) ?? "None");
    if (typeof value !== "string") return visible(Array.isArray(value) ? value.join(", ") || "–" : JSON.stringify(value));
    return name.endsWith("_at") ? at(value) : visible(value);
  };
  const row = (/** @type {[string, unknown]} */ [name, change]) => {
    const label = lookUp(FIELDS, name);
    const field = label ? text(label) : name;
    if (!Array.isArray(change)) return h("li", field, ": ", text(isNew ? "set" : "changed"));
    const before = h("span", show(name, change[0]));
    const after = h("span", show(name, change[1]));
    return h("li", isNew ? [field, ": ", after] : nodes("{field}: {before} → {after}", { field, before, after }));
  };
  return rows.length > 0 && h("ul.changes", rows.map(row));
}
