/** One key: its settings, what can be done with it, and its activity. */

import { h, visible } from "./dom.js";
import { eventList } from "./activity.js";
import { endOverlap, pause, resume, revoke, rotate } from "./changes.js";
import { editForm } from "./form.js";
import { badges, button, code, copyButton, heading, info, keyLink, loadInto, mayChange, run } from "./ui.js";

/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./dom.js").Child} Child */
/** @typedef {import("./ui.js").Context} Context */

/** @param {Key | null} key */
const works = (key) => key?.status === "active";

/** @param {Context} context @param {string} id @param {() => void} focus moves the focus to the heading */
export function detail(context, id, focus) {
  const { api, texts } = context;
  const region = h("div", { class: "region" });
  const load = async () => {
    const key = /** @type {Key} */ (await api.get(`/${id}`, {}, context.signal));
    // A key whose predecessor or successor cannot be read is shown without it.
    const other = (/** @type {string | null} */ id) => id && api.get(`/${id}`, {}, context.signal).catch(() => null);
    const [predecessor, successor] = await Promise.all([other(key.predecessor_id), other(key.successor_id)]);
    return { key, predecessor, successor };
  };
  const reload = async () => {
    await loadInto(context, region, texts.text("detail.loading"), load, show);
    focus();
  };
  /** @param {{key: Key, predecessor: Key | null, successor: Key | null}} loaded */
  const show = ({ key, predecessor, successor }) => {
    const isChangeable = mayChange(context, key) && key.status !== "revoked";
    return [
      h("div", { class: "view-title" }, heading(visible(key.name)), h("span", { class: "badges" }, badges(texts, key))),
      isChangeable && actions(context, key, reload),
      overlap(context, predecessor, successor, key, isChangeable, reload),
      key.status === "disabled" && info(texts.text("detail.paused")),
      context.canWrite && !mayChange(context, key) && info(texts.text("detail.notCovered")),
      facts(context, key),
      h("h3", null, texts.text("detail.activity")),
      eventList(context, { key_id: id }, 10),
      isChangeable &&
        h(
          "section",
          { class: "danger-zone", part: "danger-zone" },
          h("div", null, h("h3", null, texts.text("detail.revokeTitle")), h("p", null, texts.text("detail.revokeHint"))),
          button(`${texts.text("action.revoke")} …`, () => revoke(context, key, reload), { kind: "danger" }),
        ),
    ];
  };
  reload();
  return { element: h("section", null, region), refresh: reload };
}

/** @param {Context} context @param {Key} key @param {() => void} reload */
function actions(context, key, reload) {
  const { texts, go } = context;
  const slot = h("div");
  const element = h(
    "div",
    { class: "actions", role: "group", "aria-label": texts.text("detail.actions") },
    key.status !== "expired" && button(texts.text("action.edit"), () => go({ name: "edit", id: key.id })),
    works(key) && !key.successor_id && button(`${texts.text("action.rotate")} …`, () => rotate(context, key)),
    works(key) && button(`${texts.text("action.pause")} …`, () => pause(context, key, reload)),
    key.status === "disabled" &&
      button(
        texts.text("action.resume"),
        () => run(context, element, slot, async () => resume(context, key, reload)),
        { kind: "primary" },
      ),
  );
  return [element, slot];
}

/**
 * A rotation in progress: a predecessor or this key works until the overlap ends.
 *
 * @param {Context} context
 * @param {Key | null} predecessor
 * @param {Key | null} successor
 * @param {Key} key
 * @param {boolean} isChangeable
 * @param {() => void} reload
 * @returns {Child}
 */
function overlap(context, predecessor, successor, key, isChangeable, reload) {
  const { texts } = context;
  const until = (/** @type {Key} */ { expires_at }) => (expires_at ? texts.at(expires_at) : "");
  const end = (/** @type {Key} */ old) =>
    isChangeable && button(`${texts.text("detail.endOverlap")} …`, () => endOverlap(context, old, reload));
  if (predecessor && works(predecessor)) {
    const used = texts.time(predecessor.last_used_at, "time.neverUsed");
    const name = keyLink(context, predecessor.id, visible(predecessor.name));
    const form = predecessor.expires_at ? "detail.overlap" : "detail.overlapNever";
    return info(h("p", null, texts.nodes(form, { name, when: until(predecessor), used })), end(predecessor));
  }
  if (successor && works(key)) {
    const name = keyLink(context, successor.id, visible(successor.name));
    const form = key.expires_at ? "detail.replaced" : "detail.replacedNever";
    return info(h("p", null, texts.nodes(form, { name, when: until(key) })), end(key));
  }
  return null;
}

/** @param {Context} context @param {Key} key */
function facts(context, key) {
  const { texts } = context;
  const none = (/** @type {import("./format.js").TextKey} */ text) => h("span", { class: "muted" }, texts.text(text));
  const time = (/** @type {string | null} */ time) => time && texts.bothTimes(time);
  const link = (/** @type {string | null} */ id) => id && keyLink(context, id);
  const codes = (/** @type {string[]} */ values) =>
    h("ul", { class: "codes" }, values.map((value) => h("li", null, value === "*" ? texts.text("value.all") : code(value))));
  const shownId = code(key.id);
  // Without access to the clipboard, the person copies the selection.
  const copy = copyButton(texts, () => key.id, (copied) => copied || getSelection()?.selectAllChildren(shownId));
  const id = h("span", { class: "copyable" }, shownId, copy);
  /** @type {[string, Child][]} */
  const rows = [
    ["id", id],
    ["permissions", key.permissions.length ? codes(key.permissions) : none("value.none")],
    ["last_used_at", key.last_used_at ? time(key.last_used_at) : none("time.neverUsed")],
    ["expires_at", time(key.expires_at) ?? none("time.never")],
    ["revoked_at", time(key.revoked_at)],
    ["created_at", time(key.created_at)],
    ["owner", key.owner && visible(key.owner)],
    ["environment", texts.text(`environment.${key.environment}`)],
    ["allowed_ips", key.allowed_ips ? codes(key.allowed_ips) : none("value.any")],
    ["metadata", key.metadata && h("pre", { tabindex: "0" }, visible(JSON.stringify(key.metadata, null, 2)))],
    ["parent_id", link(key.parent_id)],
    ["predecessor_id", link(key.predecessor_id)],
    ["successor_id", link(key.successor_id)],
  ];
  return h(
    "dl",
    { part: "facts" },
    rows
      .filter(([, value]) => value)
      .map(([name, value]) =>
        h("div", null, h("dt", null, texts.text(/** @type {any} */ (`field.${name}`))), h("dd", null, value)),
      ),
  );
}

/** Loads a key and shows the form with its settings. @param {Context} context @param {string} id @param {() => void} focus */
export function edit(context, id, focus) {
  const region = h("div", { class: "region" });
  const load = async () => {
    const { body, etag } = await context.api.request("GET", `/${id}`, { signal: context.signal });
    return { key: /** @type {Key} */ (body), etag };
  };
  const reload = async () => {
    const label = context.texts.text("detail.loading");
    context.setDirty(false);
    await loadInto(context, region, label, load, ({ key, etag }) => editForm(context, key, etag, reload).element);
    focus();
  };
  reload();
  return { element: region };
}
