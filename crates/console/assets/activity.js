/** The changes of keys: who did what, when and from where. */

import { h, visible } from "./dom.js";
import { code, heading, info, keyLink, loadInto, pager } from "./ui.js";

/** @typedef {import("./api.js").KeyEvent} KeyEvent */
/** @typedef {import("./api.js").EventPage} EventPage */
/** @typedef {import("./dom.js").Child} Child */
/** @typedef {import("./ui.js").Context} Context */

/** @param {Context} context */
export function activity(context) {
  const { texts } = context;
  return {
    element: h(
      "section",
      null,
      heading(texts.text("activity.title")),
      h("p", { class: "muted" }, texts.text("activity.hint")),
      eventList(context, {}, 50),
    ),
  };
}

/**
 * A list of events with pages.
 *
 * @param {Context} context
 * @param {{key_id?: string}} filter
 * @param {number} limit
 */
export function eventList(context, filter, limit) {
  const { api, texts, signal } = context;
  const region = h("div", { class: "region" });
  const load = () =>
    loadInto(
      context,
      region,
      texts.text("activity.loading"),
      () =>
        api.get("/events", { ...filter, limit, cursor: pages.cursor }, signal).catch((error) => {
          if (error.code === "no_event_log") return null;
          throw error;
        }),
      (/** @type {EventPage | null} */ page) => {
        if (!page) return info(texts.text("activity.off"));
        pages.update(page.meta.nextCursor);
        const items = page.data.map((event) => item(context, event, !filter.key_id));
        return [
          items.length ? h("ol", { class: "events", part: "events" }, items) : h("p", { class: "muted" }, texts.text("activity.none")),
          pages.element,
        ];
      },
    );
  const pages = pager(texts, load);
  load();
  return region;
}

/** @param {Context} context @param {KeyEvent} event @param {boolean} withKey */
function item(context, event, withKey) {
  const { texts } = context;
  const { name } = event.changes ?? {};
  const isNew = Array.isArray(name) && event.type === "api_key.created";
  const more = [
    event.successor_id && texts.nodes("event.successor", { id: keyLink(context, event.successor_id) }),
    event.client_ip && texts.nodes("event.from", { address: code(event.client_ip) }),
    event.request_id && texts.nodes("event.request", { id: code(event.request_id) }),
  ].filter(Boolean);
  return h(
    "li",
    null,
    h(
      "div",
      null,
      h("strong", null, actor(context, event)),
      " ",
      action(context, event),
      withKey && [" ", keyLink(context, event.key_id, isNew ? visible(String(name[1])) : undefined)],
    ),
    changes(context, event),
    h("div", { class: "muted" }, texts.time(event.created_at), more.map((part) => [" · ", part])),
  );
}

/** @param {Context} context @param {KeyEvent} event @returns {Child} */
function actor({ texts }, { actor: { type, id, owner } }) {
  if (type === "key" && id) return texts.nodes("actor.key", { id: code(id) });
  if (type === "host") return owner ? visible(owner) : texts.text("actor.hostUnknown");
  const key = `actor.${type}`;
  return texts.has(key) ? texts.text(key) : visible(type);
}

/** @param {Context} context @param {KeyEvent} event @returns {Child} */
function action({ texts }, { type, count = 1, changes = {} }) {
  const { enabled, ...others } = changes;
  if (Array.isArray(enabled) && Object.keys(others).length === 0) {
    return texts.text(enabled[1] ? "event.resumed" : "event.paused");
  }
  if (type === "api_key.revoked" && count > 1) return texts.text("event.revokedMany", { count });
  const key = type.replace("api_key.", "event.");
  return texts.has(key) ? texts.text(key) : visible(type);
}

/** @param {Context} context @param {KeyEvent} event @returns {Child} */
function changes({ texts }, { type, changes = {} }) {
  const isNew = type === "api_key.created";
  const isShown = (/** @type {string} */ name) =>
    name === "enabled" ? Object.keys(changes).length > 1 : !(isNew && name === "name");
  const rows = Object.entries(changes).filter(([name]) => isShown(name));
  if (rows.length === 0) return null;
  /** @param {unknown} value @param {string} name @returns {Child} */
  const show = (value, name) => {
    if (value === null) {
      const nothing = name === "expires_at" ? "time.never" : name === "allowed_ips" ? "value.any" : "value.none";
      return texts.text(nothing);
    }
    if (typeof value === "string" && name.endsWith("_at")) return texts.at(value);
    if (typeof value === "string") return visible(value);
    return visible(Array.isArray(value) ? value.join(", ") || "–" : JSON.stringify(value));
  };
  const row = (/** @type {[string, unknown]} */ [name, change]) => {
    const label = `field.${name}`;
    const field = texts.has(label) ? texts.text(label) : name;
    const [before, after] = Array.isArray(change) ? change : [];
    const element = (/** @type {unknown} */ value) => h("span", null, show(value, name));
    if (!Array.isArray(change)) return h("li", null, `${field}: ${texts.text(isNew ? "value.set" : "value.changed")}`);
    if (isNew) return h("li", null, `${field}: `, element(after));
    return h("li", null, texts.nodes("event.change", { field, before: element(before), after: element(after) }));
  };
  return h("ul", { class: "changes" }, rows.map(row));
}
