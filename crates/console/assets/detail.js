/** One key: its settings, what can be done with it, and its activity. */

import { h, visible } from "./dom.js";
import { eventList } from "./activity.js";
import { endOverlap, pause, revoke, rotate, setEnabled } from "./changes.js";
import { keyForm } from "./form.js";
import { FIELDS, attempt, badges, button, code, copyButton, heading, info, keyLink, mayChange, region } from "./ui.js";

/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./dom.js").Child} Child */
/** @typedef {import("./ui.js").Context} Context */

/** @param {Context} context @param {string} id */
export function detail(context, id) {
  const { api, text, focus, canWrite } = context;
  const load = async (/** @type {AbortSignal} */ signal) => {
    const read = (/** @type {string} */ id) => api.get(`/${id}`, {}, signal);
    /** @type {Key} */
    const key = await read(id);
    // A key whose predecessor or successor cannot be read is shown without it.
    const others = [key.predecessor_id, key.successor_id].map((id) => id && read(id).catch(() => null));
    return { key, others: await Promise.all(others) };
  };
  /** @param {{key: Key, others: (Key | null)[]}} loaded */
  const show = ({ key, others }) => {
    const isCovered = mayChange(context, key);
    const isChangeable = isCovered && key.status !== "revoked";
    return [
      h("div.title", heading(visible(key.name)), h("span", badges(context, key))),
      isChangeable && actions(context, key, open),
      overlap(context, key, others, isChangeable && open),
      key.status === "disabled" &&
        info(text("This key is paused. Requests with it are rejected.")),
      canWrite && !isCovered && info(text("You cannot change this key, because it has permissions that you do not have.")),
      facts(context, key),
      h("h3", text("Activity of this key")),
      eventList(context, { key_id: id }, 10),
      isChangeable &&
        h(
          "div.danger-zone",
          h("div", h("h3", text("Revoke this key")), h("p", text("A revoked key never works again."))),
          button(`${text("Revoke")} …`, () => revoke(context, key, open), "danger"),
        ),
    ];
  };
  const { element, reload } = region(context, load, show);
  const open = () => reload().then(focus);
  open();
  return h("section", element);
}

/** @param {Context} context @param {Key} key @param {() => void} reload */
function actions(context, key, reload) {
  const { text, go } = context;
  const slot = h("div");
  const isActive = key.status === "active";
  const resume = () => attempt(context, slot, () => setEnabled(context, key, true, reload));
  return [
    h(
      "div.actions",
      { role: "group", "aria-label": text("Actions") },
      key.status !== "expired" && button(text("Edit"), () => go("edit", key.id)),
      isActive && !key.successor_id && button(`${text("Rotate")} …`, () => rotate(context, key)),
      isActive && button(`${text("Pause")} …`, () => pause(context, key, reload)),
      key.status === "disabled" && button(text("Resume"), resume, "primary"),
    ),
    slot,
  ];
}

/**
 * A rotation in progress: a predecessor or this key works until the overlap ends.
 *
 * @param {Context} context
 * @param {Key} key
 * @param {(Key | null | undefined)[]} others its predecessor and its successor
 * @param {false | (() => void)} reload false if the key cannot be changed
 */
function overlap(context, key, [predecessor, successor], reload) {
  const { text, nodes, at, time } = context;
  const isAfter = predecessor?.status === "active";
  const old = isAfter ? predecessor : key;
  const other = isAfter ? predecessor : successor;
  if (!other || old.status !== "active") return null;
  const values = {
    name: keyLink(context, other.id, visible(other.name)),
    when: old.expires_at ? at(old.expires_at) : text("someone revokes it"),
    used: time(old.last_used_at, "Not used yet"),
  };
  const before = "The previous key {name} still works until {when}. Last used: {used}.";
  const after = "This key has been replaced by {name}. It works until {when}.";
  return info(
    h("p", nodes(isAfter ? before : after, values)),
    reload && button(`${text("End the overlap now")} …`, () => endOverlap(context, old, reload)),
  );
}

/** @param {Context} context @param {Key} key */
function facts(context, key) {
  const { text, bothTimes } = context;
  const none = (/** @type {import("./texts.js").Text} */ key) => h("span.muted", text(key));
  const time = (/** @type {string | null} */ time) => time && bothTimes(time);
  const link = (/** @type {string | null} */ id) => id && keyLink(context, id);
  const codes = (/** @type {string[]} */ values) =>
    h("ul.codes", values.map((value) => h("li", value === "*" ? text("Everything (*)") : code(value))));
  const id = code(key.id);
  // Without access to the clipboard, the person copies the selection.
  const copy = copyButton(context, () => key.id, (isCopied) => isCopied || getSelection()?.selectAllChildren(id));
  /** @type {Record<string, Child>} */
  const values = {
    id: h("span", id, " ", copy),
    permissions: key.permissions.length ? codes(key.permissions) : none("None"),
    last_used_at: time(key.last_used_at) ?? none("Not used yet"),
    expires_at: time(key.expires_at) ?? none("Never"),
    revoked_at: time(key.revoked_at),
    created_at: time(key.created_at),
    owner: key.owner && visible(key.owner),
    environment: text(key.environment === "test" ? "Test" : "Live"),
    allowed_ips: key.allowed_ips ? codes(key.allowed_ips) : none("Any address"),
    metadata: key.metadata && h("pre", { tabindex: 0 }, visible(JSON.stringify(key.metadata, null, 2))),
    parent_id: link(key.parent_id),
    predecessor_id: link(key.predecessor_id),
    successor_id: link(key.successor_id),
  };
  const rows = Object.entries(values).filter(([, value]) => value);
  return h("dl.facts", rows.map(([name, value]) => h("div", h("dt", text(FIELDS[name] ?? "ID")), h("dd", value))));
}

/** Loads a key and shows the form with its settings. @param {Context} context @param {string} id */
export function edit(context, id) {
  const { api, setDirty, focus } = context;
  const load = async (/** @type {AbortSignal} */ signal) => {
    const { body, etag } = await api.request("GET", `/${id}`, { signal });
    return { key: /** @type {Key} */ (body), etag };
  };
  const { element, reload } = region(context, load, (stored) => keyForm(context, stored, open));
  const open = () => {
    setDirty(false);
    reload().then(focus);
  };
  open();
  return element;
}
