/** The dialogs that pause, rotate and revoke a key. */

import { newIdempotencyKey } from "./api.js";
import { h, visible, visibleText } from "./dom.js";
import { expiryPicker } from "./form.js";
import { showSecret } from "./secret.js";
import { ask, boundText, field, info, select } from "./ui.js";

/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./ui.js").Context} Context */

/** The most pages of keys that are read to count descendants. */
const MAX_PAGES = 10;

/** @param {Context} context @param {Key} key @param {boolean} enabled @param {() => void} done */
const setEnabled = async (context, key, enabled, done) => {
  await context.api.request("PATCH", `/${key.id}`, { body: { enabled } });
  const name = visibleText(key.name);
  context.changed();
  context.toast(context.texts.text(enabled ? "resume.done" : "pause.done", { name }));
  done();
};

/** @param {Context} context @param {Key} key @param {() => void} done */
export function pause(context, key, done) {
  const { texts } = context;
  ask(context, {
    title: texts.nodes("pause.title", { name: visible(key.name) }),
    content: h("p", null, boundText(context), " ", texts.text("pause.undo")),
    confirm: texts.text("action.pause"),
    kind: "primary",
    submit: () => setEnabled(context, key, false, done),
  });
}

/** @param {Context} context @param {Key} key @param {() => void} done */
export const resume = (context, key, done) => setEnabled(context, key, true, done);

/** @param {Context} context @param {Key} key */
export function rotate(context, key) {
  const { api, texts } = context;
  const overlap = select(
    "24h",
    [
      ["24h", texts.text("rotate.day")],
      ["604800", texts.text("rotate.week")],
      ["2592000", texts.text("rotate.month")],
      ["3600", texts.text("rotate.hour")],
      ["now", texts.text("rotate.now")],
    ],
    { onchange: () => update() },
  );
  const overlapField = field(texts.text("rotate.overlap"), overlap, " ");
  // Without an end in the request, the successor has the lifetime of its predecessor.
  const lifetime = Date.parse(key.expires_at ?? "") - Date.parse(key.created_at);
  const sameEnd = key.expires_at && new Date(Date.now() + lifetime).toISOString();
  const expiry = expiryPicker(context, "keep", sameEnd, {
    label: texts.text("rotate.expiry"),
    keepLabel: "form.sameExpiry",
  });
  const seconds = () => (overlap.value === "24h" ? 86_400 : Number(overlap.value));
  const update = () => {
    if (overlap.value === "now") return overlapField.hint(boundText(context));
    const end = Math.min(Date.now() + seconds() * 1000, Date.parse(key.expires_at ?? "9999-12-31"));
    overlapField.hint(texts.text("rotate.until", { when: texts.at(end) }));
  };
  update();
  let sent = "";
  let once = "";
  ask(context, {
    title: texts.nodes("rotate.title", { name: visible(key.name) }),
    content: [h("p", null, texts.text("rotate.hint")), overlapField.element, expiry.element],
    confirm: texts.text("action.rotate"),
    kind: "primary",
    async submit() {
      const choice = `${overlap.value} ${expiry.choice()}`;
      if (choice !== sent) [sent, once] = [choice, newIdempotencyKey()];
      const end = expiry.choice() === "keep" ? null : expiry.pinned(once);
      if (end === undefined) return false;
      const expire_previous = Number(overlap.value) || overlap.value;
      const body = { expire_previous, ...(end && { expires_at: end }) };
      const { body: issued } = await api.request("POST", `/${key.id}/rotate`, { body, once });
      context.changed();
      // The dialog closes first: the one with the secret opens over the page.
      queueMicrotask(async () => {
        await showSecret(context, issued);
        context.go({ name: "key", id: issued.id });
      });
      return true;
    },
  });
}

/** @param {Context} context @param {Key} previous @param {() => void} done */
export function endOverlap(context, previous, done) {
  const { texts } = context;
  const name = visible(previous.name);
  ask(context, {
    title: texts.text("overlap.title"),
    content: [
      h("p", null, texts.nodes("overlap.text", { name, used: texts.time(previous.last_used_at, "time.neverUsed") })),
      h("p", null, boundText(context), " ", texts.text("revoke.forever")),
    ],
    confirm: texts.text("overlap.confirm"),
    kind: "danger",
    submit: () => revokeKey(context, previous, false, done),
  });
}

/** @param {Context} context @param {Key} key @param {boolean} cascade @param {() => void} done */
async function revokeKey(context, key, cascade, done) {
  const { texts, api } = context;
  const query = cascade ? { cascade: "true" } : {};
  const { body } = await api.request("DELETE", `/${key.id}`, { query });
  const count = cascade ? body.revoked : 1;
  context.changed(key);
  context.toast(texts.text(texts.form("revoke.done", count), { count, name: visibleText(key.name) }));
  done();
}

/** @param {Context} context @param {Key} key @param {() => void} done */
export function revoke(context, key, done) {
  const { texts, self } = context;
  // A name with hidden characters or of great length cannot be typed.
  const isTypable = visibleText(key.name) === key.name && key.name.length <= 40;
  const expected = isTypable ? key.name : key.id;
  const normal = (/** @type {string} */ text) => text.normalize("NFC").replace(/\s+/g, " ").trim();
  const typed = h("input", {
    type: "text",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    oninput: () => (accept.disabled = normal(typed.value) !== normal(expected)),
  });
  const label = texts.nodes(isTypable ? "revoke.type" : "revoke.typeId", { name: h("strong", null, visible(expected)) });
  const cascade = h("input", { type: "checkbox" });
  const cascadeText = h("span");
  const choice = h("label", { class: "choice", hidden: true }, cascade, h("span", null, cascadeText, h("span", { class: "hint" }, texts.text("revoke.keeps"))));
  const counting = h("p", { class: "muted counting", role: "status" }, texts.text("revoke.counting"));
  const { accept, dialog } = ask(context, {
    title: texts.nodes("revoke.title", { name: visible(key.name) }),
    content: [
      h("p", null, boundText(context), " ", texts.text("revoke.forever")),
      self?.id === key.id && info(texts.text("revoke.self")),
      h("div", { class: "descendants" }, counting, choice),
      field(label, typed).element,
    ],
    confirm: texts.text("revoke.confirm"),
    kind: "danger",
    submit: () => revokeKey(context, key, cascade.checked, done),
  });
  accept.disabled = true;
  typed.focus();

  const closed = new AbortController();
  dialog.addEventListener("close", () => closed.abort());
  countDescendants(context, key, closed.signal).then(
    ({ count, isComplete }) => {
      if (isComplete && count === 0) return counting.replaceChildren(texts.text("revoke.none"));
      counting.hidden = true;
      choice.hidden = false;
      cascadeText.append(
        isComplete ? texts.count("revoke.cascade", count) : texts.text("revoke.cascadeMore", { count }),
      );
    },
    () => {
      // The number is not known, but the choice remains.
      counting.hidden = true;
      choice.hidden = false;
      cascadeText.append(texts.text("revoke.cascadeUnknown"));
    },
  );
}

/**
 * Counts the descendants of a key that are not revoked. They are newer than the key, and the list
 * begins with the newest key, so the count ends at the key itself, or after a number of pages.
 *
 * @param {Context} context
 * @param {Key} key
 * @param {AbortSignal} signal
 */
async function countDescendants({ api }, key, signal) {
  /** @type {Key[]} */
  const newer = [];
  /** @type {string | null} */
  let cursor = null;
  let isComplete = false;
  for (let page = 0; page < MAX_PAGES && !isComplete; page++) {
    /** @type {import("./api.js").KeyPage} */
    const { data, meta } = await api.get("", { limit: 100, cursor }, signal);
    newer.push(...data.filter(({ created_at }) => created_at >= key.created_at));
    cursor = meta.nextCursor;
    isComplete = cursor === null || data.some(({ created_at }) => created_at < key.created_at);
  }
  // Oldest first, so that each parent is known before its children. Keys of one millisecond are in
  // no order, so the walk repeats until it finds no more.
  const family = new Set([key.id]);
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const { id, parent_id, predecessor_id, rotated_by_id } of newer.toReversed()) {
      if ([parent_id, predecessor_id, rotated_by_id].some((from) => from && family.has(from))) family.add(id);
    }
  }
  const live = newer.filter(({ id, status }) => id !== key.id && family.has(id) && status !== "revoked");
  return { count: live.length, isComplete };
}
