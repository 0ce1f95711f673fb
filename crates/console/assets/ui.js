/** Pieces that several views share: buttons, fields, notices, dialogs and pages of a list. */

import { Problem, covers } from "./api.js";
import { h, visible } from "./dom.js";

/** @typedef {import("./api.js").Api} Api */
/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./dom.js").Child} Child */
/** @typedef {import("./format.js").Texts} Texts */
/** @typedef {{name: "keys" | "create" | "activity" | "report"} | {name: "key" | "edit", id: string}} View */

/**
 * What every view works with.
 *
 * @typedef {object} Context
 * @property {Api} api
 * @property {Texts} texts
 * @property {{value: string, label: string, description: string}[]} catalogue
 * @property {Key | null} self the key of the caller, if it is known
 * @property {boolean} canWrite
 * @property {number | null} bound the time until a revocation is effective everywhere, in ms
 * @property {AbortSignal} signal aborted when the view is left
 * @property {(view: View) => void} go
 * @property {(text: string) => void} toast
 * @property {(key?: Key) => void} changed records a change of a key
 * @property {(problem: Problem) => void} signedOut
 * @property {(dirty: boolean) => void} setDirty
 * @property {ShadowRoot} root
 */

/** @type {Record<number, string>} */
const STATUS_CODES = { 404: "not_found", 429: "wait" };

/**
 * @param {Child} label
 * @param {(event: Event) => void} onclick
 * @param {{kind?: "primary" | "danger" | "quiet", type?: string, [name: string]: any}} [more]
 */
export function button(label, onclick, { kind, type = "button", ...more } = {}) {
  const part = kind ? `button button-${kind}` : "button";
  return h("button", { type, part, class: part, onclick, ...more }, label);
}

let ids = 0;
/** Returns an id that is unique in the page. */
export const newId = () => `kw-${++ids}`;

/**
 * A control with its label, hint and error.
 *
 * @param {Child} label
 * @param {HTMLElement} control
 * @param {Child} [hint]
 */
export function field(label, control, hint) {
  control.id ||= newId();
  const about = h("p", { id: newId(), class: "hint" }, hint);
  const error = h("p", { id: newId(), class: "field-error", hidden: true });
  control.setAttribute("aria-describedby", `${error.id} ${about.id}`);
  control.part.add("input");
  const element = h(
    "div",
    { class: "field", part: "field" },
    h("label", { for: control.id }, label),
    hint ? about : null,
    control,
    error,
  );
  return {
    element,
    /** @param {string} text */
    hint: (text) => about.replaceChildren(text),
    /** @param {string} text the error, or an empty text */
    fail: (text) => fail(control, error, text),
  };
}

/**
 * @param {HTMLElement} control
 * @param {HTMLElement} error
 * @param {string} text
 */
export function fail(control, error, text) {
  control.setAttribute("aria-invalid", String(text !== ""));
  error.hidden = text === "";
  error.replaceChildren(text);
}

/**
 * @param {string} value
 * @param {[string, string][]} options
 * @param {Record<string, any>} [properties]
 */
export function select(value, options, properties) {
  const element = h(
    "select",
    properties,
    options.map(([value, label]) => h("option", { value }, label)),
  );
  element.value = value;
  return element;
}

/** @param {Texts} texts @param {Key} key */
export const badges = (texts, { status, environment }) => [
  h("span", { class: `badge ${status}`, part: `badge badge-${status}` }, texts.text(`status.${status}`)),
  environment === "test" && h("span", { class: "badge test", part: "badge" }, texts.text("environment.test")),
];

/** @param {string} id */
export const code = (id) => h("code", null, visible(id));

/** @param {Context} context @param {string} id @param {Child} [label] */
export const keyLink = (context, id, label = code(id)) =>
  h("button", { type: "button", class: "link", onclick: () => context.go({ name: "key", id }) }, label);

/** @param {Texts} texts @param {() => string} text @param {(copied: boolean) => void} [oncopy] */
export function copyButton(texts, text, oncopy = () => {}) {
  const element = button(texts.text("action.copy"), async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      return oncopy(false);
    }
    element.replaceChildren(texts.text("action.copied"));
    setTimeout(() => element.replaceChildren(texts.text("action.copy")), 3000);
    oncopy(true);
  });
  element.classList.add("copy");
  return element;
}

/** @param {Context} context @param {Key} key */
export const mayChange = ({ canWrite, self }, key) =>
  canWrite && (!self || key.permissions.every((permission) => covers(self.permissions, permission)));

/** @param {Context} context */
export function boundText({ texts, bound }) {
  if (bound === null) return texts.text("bound.none");
  if (bound === 0) return texts.text("bound.zero");
  const span = bound % 1000 ? `${bound}\u00A0ms` : `${bound / 1000}\u00A0s`;
  return texts.text("bound.ms", { bound: span });
}

/** @param {Texts} texts @param {Problem} problem */
export function describe(texts, problem) {
  const { status, code, message } = problem;
  if (problem.isSignedOut) return texts.text("error.signedOut");
  const key = `error.${STATUS_CODES[status] ?? code}`;
  if (texts.has(key) && !(status === 404 && code !== "not_found")) {
    return texts.text(key, { seconds: secondsLeft(problem) });
  }
  return message || texts.text("error.unexpected");
}

/** @param {Problem} problem */
const secondsLeft = ({ retryAt }) => Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));

/**
 * A problem, with the id of its request and a button that repeats it. After 429, the button works
 * when the wait is over. Without a connection, `retry` is called when the connection is back.
 *
 * @param {Context} context
 * @param {Problem} problem
 * @param {(() => void) | null} retry
 */
export function notice(context, problem, retry) {
  const { texts, signal } = context;
  const text = h("p", null, describe(texts, problem));
  const again = retry && button(texts.text("action.retry"), retry);
  if (problem.status === 429) {
    const update = () => {
      text.replaceChildren(describe(texts, problem));
      if (again) again.disabled = secondsLeft(problem) > 0;
      if (secondsLeft(problem) === 0) clearInterval(timer);
    };
    const timer = setInterval(update, 500);
    signal.addEventListener("abort", () => clearInterval(timer));
    update();
  }
  if (problem.code === "offline" && retry) {
    window.addEventListener("online", () => again?.isConnected && retry(), { once: true, signal });
  }
  return h(
    "div",
    { class: "notice error", part: "notice notice-error", role: "alert" },
    h("strong", null, texts.text("error.title")),
    text,
    // The API names the permission.
    problem.code === "insufficient_scope" && h("p", { class: "muted" }, problem.message),
    problem.requestId && h("p", { class: "muted" }, texts.text("error.requestId"), " ", code(problem.requestId)),
    again,
  );
}

/** @param {Child[]} children */
export const info = (...children) => h("div", { class: "notice", part: "notice" }, children);

/**
 * Loads data into a region of a view, which shows rows in their place meanwhile, and then the data
 * or the problem. What was there before stays until the data has arrived.
 *
 * @template T
 * @param {Context} context
 * @param {HTMLElement} region
 * @param {string} label
 * @param {() => Promise<T>} load
 * @param {(data: T) => Child} show
 */
export async function loadInto(context, region, label, load, show) {
  region.setAttribute("aria-busy", "true");
  if (!region.hasChildNodes()) {
    const rows = Array.from({ length: 5 }, () => h("div", { class: "placeholder" }));
    region.append(h("p", { class: "unseen", role: "status" }, label), ...rows);
  }
  /** @type {Child} */
  let content;
  try {
    content = show(await load());
  } catch (error) {
    if (!(error instanceof Problem)) {
      if (context.signal.aborted || (error instanceof DOMException && error.name === "AbortError")) return;
      throw error;
    }
    if (error.isSignedOut) context.signedOut(error);
    content = notice(context, error, () => loadInto(context, region, label, load, show));
  }
  region.setAttribute("aria-busy", "false");
  region.replaceChildren(h("div", null, content));
}

/**
 * Runs the action of a form or dialog. Its buttons are disabled meanwhile, and a problem is shown in
 * `slot`. Returns whether it succeeded.
 *
 * @param {Context} context
 * @param {HTMLElement} element
 * @param {HTMLElement} slot
 * @param {() => Promise<void>} action
 * @param {(problem: Problem) => boolean} [handle] whether it has shown the problem itself
 * @returns {Promise<boolean>}
 */
export async function run(context, element, slot, action, handle = () => false) {
  if (element.getAttribute("aria-busy") === "true") return false;
  element.setAttribute("aria-busy", "true");
  slot.replaceChildren();
  try {
    await action();
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.isSignedOut) context.signedOut(error);
    if (!handle(error)) slot.replaceChildren(notice(context, error, null));
    return false;
  } finally {
    element.removeAttribute("aria-busy");
  }
}

/**
 * Opens a dialog with a form. It closes when `submit` has succeeded, unless that returns `false`.
 *
 * @param {Context} context
 * @param {object} options
 * @param {Child} options.title
 * @param {Child} options.content
 * @param {string} options.confirm
 * @param {"primary" | "danger"} options.kind
 * @param {() => Promise<boolean | void>} options.submit
 */
export function ask(context, { title, content, confirm, kind, submit }) {
  const { texts, root, signal } = context;
  const heading = h("h2", { id: newId() }, title);
  const slot = h("div");
  const accept = button(confirm, () => {}, { kind, type: "submit" });
  const form = h(
    "form",
    {
      novalidate: true,
      onsubmit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        if (accept.disabled) return;
        let isDone = false;
        await run(context, form, slot, async () => void (isDone = (await submit()) !== false));
        if (isDone) dialog.close();
      },
    },
    heading,
    content,
    slot,
    h("div", { class: "actions" }, button(texts.text("action.cancel"), () => dialog.close()), accept),
  );
  const dialog = h(
    "dialog",
    { part: "dialog", "aria-labelledby": heading.id, onclose: () => dialog.remove() },
    form,
  );
  root.append(dialog);
  signal.addEventListener("abort", () => dialog.close());
  dialog.showModal();
  return { dialog, accept };
}

/** A view's heading, which receives the focus when the view opens. @param {Child[]} children */
export const heading = (...children) => h("h2", { tabindex: "-1", class: "heading" }, children);

/**
 * The cursors of the pages of a list that were visited, and the buttons between the pages.
 *
 * @param {Texts} texts
 * @param {() => void} load
 */
export function pager(texts, load) {
  /** @type {string[]} */
  let cursors = [];
  /** @type {string | null} */
  let next = null;
  const move = (/** @type {() => void} */ change) => () => {
    change();
    load();
  };
  const newer = button(texts.text("action.newer"), move(() => cursors.pop()));
  const older = button(texts.text("action.older"), move(() => next && cursors.push(next)));
  const page = h("span", { class: "muted" });
  const element = h("nav", { class: "pager", part: "pager", hidden: true }, newer, page, older);
  return {
    element,
    get cursor() {
      return cursors.at(-1);
    },
    reset: () => void (cursors = []),
    /** @param {string | null} cursor the cursor of the next page */
    update(cursor) {
      next = cursor;
      newer.disabled = cursors.length === 0;
      older.disabled = next === null;
      element.hidden = newer.disabled && older.disabled;
      page.replaceChildren(texts.text("list.page", { page: cursors.length + 1 }));
    },
  };
}
