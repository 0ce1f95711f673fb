/** The dialogs that pause, rotate and revoke a key. */

import { h, visible, visibleText } from "./dom.js";
import { expiryPicker } from "./form.js";
import { showSecret } from "./secret.js";
import { ask, boundText, choice, field, info, input, select } from "./ui.js";

/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./ui.js").Context} Context */

/** The most pages of keys that are read to count descendants. */
const MAX_PAGES = 10;

/** @param {Context} context @param {Key} key @param {boolean} enabled @param {() => void} done */
export async function setEnabled(context, key, enabled, done) {
  await context.api.request("PATCH", `/${key.id}`, { body: { enabled } });
  context.changed();
  context.toast(context.text(enabled ? "Resumed {name}." : "Paused {name}.", { name: key.name }));
  done();
}

/** @param {Context} context @param {Key} key @param {() => void} done */
export function pause(context, key, done) {
  const { text, nodes } = context;
  const content = h("p", boundText(context), " ", text("You can resume it at any time."));
  ask(context, nodes("Pause {name}?", { name: visible(key.name) }), { content, label: "Pause" }, () =>
    setEnabled(context, key, false, done),
  );
}

/** @param {Context} context @param {Key} key */
export function rotate(context, key) {
  const { api, text, nodes, at, inTime } = context;
  const overlap = select(
    "86400",
    [
      ["0", text("Now")],
      ["3600", inTime(1, "hour")],
      ["86400", inTime(24, "hour")],
      ["604800", inTime(7, "day")],
      ["2592000", inTime(30, "day")],
    ],
    { onchange: () => update() },
  );
  const { element, hint } = field(text("The old key stops working"), overlap, " ");
  const update = () => {
    const seconds = Number(overlap.value);
    const end = Math.min(Date.now() + seconds * 1000, Date.parse(key.expires_at ?? "9999-12-31"));
    hint.textContent = seconds ? text("Both keys work until {when}.", { when: at(end) }) : boundText(context);
  };
  update();
  // Without an end in the request, the successor has the lifetime of its predecessor.
  const lifetime = Date.parse(key.expires_at ?? "") - Date.parse(key.created_at);
  const end = key.expires_at && new Date(Date.now() + lifetime).toISOString();
  const keep = /** @type {const} */ ({ label: "Same lifetime: {when}", end });
  const expiry = expiryPicker(context, text("The new key expires"), keep, false);
  const create = api.creation(`/${key.id}/rotate`);
  const advice = text("The new key has the same settings. Use it in your programs before the old one stops working.");
  const content = [h("p", advice), element, expiry.element];
  ask(context, nodes("Rotate {name}", { name: visible(key.name) }), { content, label: "Rotate" }, async () => {
    const expires_at = expiry.value();
    if (expires_at === undefined) return false;
    const expire_previous = Number(overlap.value);
    const issued = await create({ expire_previous, ...(!expiry.isKept() && { expires_at }) });
    context.changed();
    // The dialog closes first: the one with the secret opens over the page.
    queueMicrotask(async () => {
      await showSecret(context, issued);
      context.go("key", issued.id);
    });
  });
}

/** @param {Context} context @param {Key} previous @param {() => void} done */
export function endOverlap(context, previous, done) {
  const { text, nodes, time } = context;
  const values = { name: visible(previous.name), used: time(previous.last_used_at, "Not used yet") };
  const content = [
    h("p", nodes("This revokes the previous key {name}. Last used: {used}.", values)),
    h("p", boundText(context), " ", text("This cannot be undone.")),
  ];
  const question = /** @type {const} */ ({ content, label: "Revoke the previous key", kind: "danger" });
  ask(context, text("End the overlap now?"), question, () => revokeKey(context, previous, false, done));
}

/** @param {Context} context @param {Key} key @param {boolean} cascade @param {() => void} done */
async function revokeKey(context, key, cascade, done) {
  const { body } = await context.api.request("DELETE", `/${key.id}`, { query: { cascade: cascade ? "true" : null } });
  const count = cascade ? body.revoked : 1;
  const { name } = key;
  const many = () => context.count("Revoked {count} keys: {name} and its descendants.", count, { name });
  context.changed(key);
  context.toast(count === 1 ? context.text("Revoked {name}.", { name }) : many());
  done();
}

/** @param {Context} context @param {Key} key @param {() => void} done */
export function revoke(context, key, done) {
  const { text, nodes, count, self } = context;
  // A name with hidden characters or of great length cannot be typed.
  const isTypable = visibleText(key.name) === key.name && key.name.length <= 40;
  const expected = isTypable ? key.name : key.id;
  const normal = (/** @type {string} */ text) => text.normalize("NFC").replace(/\s+/g, " ").trim();
  const typed = input({ oninput: () => (accept.disabled = normal(typed.value) !== normal(expected)) });
  const label = nodes(isTypable ? "Type {name} to confirm" : "Type the ID {name} to confirm", {
    name: h("strong", visible(expected)),
  });
  const scope = h("span");
  const cascade = choice(scope, text("If you do not select this, they continue to work."));
  cascade.element.hidden = true;
  const counting = h("p.muted", { role: "status" }, text("Looking for keys that this key created …"));
  const content = [
    h("p", boundText(context), " ", text("This cannot be undone.")),
    self?.id === key.id && info(text("You signed in with this key. You will be signed out.")),
    h("div.descendants", counting, cascade.element),
    field(label, typed).element,
  ];
  const { accept, dialog } = ask(
    context,
    nodes("Revoke {name}?", { name: visible(key.name) }),
    { content, label: "Revoke", kind: "danger" },
    () => revokeKey(context, key, cascade.box.checked, done),
  );
  accept.disabled = true;
  typed.focus();

  const offer = (/** @type {string} */ text) => {
    scope.textContent = text;
    counting.hidden = true;
    cascade.element.hidden = false;
  };
  const closed = new AbortController();
  dialog.addEventListener("close", () => closed.abort());
  // If the number is not known, the choice remains.
  countDescendants(context, key, closed.signal).catch(() => null).then((found) => {
    if (found === 0) counting.textContent = text("This key has created no other key that still works.");
    else if (found) offer(count("Also revoke {count} keys that it created or obtained by rotation", found));
    else offer(text("Also revoke every key that it created or obtained by rotation"));
  });
}

/**
 * Counts the descendants of a key that are not revoked. They are newer than the key, and the list
 * begins with the newest key, so the count ends at the key itself. After a number of pages, it is
 * unknown.
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
  for (let page = 0; !isComplete; page++) {
    if (page === MAX_PAGES) return null;
    /** @type {import("./api.js").KeyPage} */
    const { data, meta } = await api.get("", { limit: 100, cursor }, signal);
    newer.push(...data.filter(({ created_at }) => created_at >= key.created_at));
    cursor = meta.nextCursor;
    isComplete = !cursor || data.some(({ created_at }) => created_at < key.created_at);
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
  return newer.filter(({ id, status }) => id !== key.id && family.has(id) && status !== "revoked").length;
}
