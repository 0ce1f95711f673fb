/** Pieces that several views share: buttons, fields, notices, forms, dialogs and pages of a list. */

import { Problem, covers } from "./api.js";
import { h, visible } from "./dom.js";
import { lookUp } from "./texts.js";

/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./dom.js").Child} Child */
/** @typedef {import("./texts.js").Text} Text */
/** @typedef {ReturnType<typeof import("./texts.js").createTexts>} Texts */
/** @typedef {{name: string, id?: string}} View */

/**
 * What every view works with.
 *
 * @typedef {object} Shared
 * @property {import("./api.js").Api} api
 * @property {{value: string, label: string, description: string}[]} catalogue
 * @property {Key | null} self the key of the caller, if it is known
 * @property {boolean} canWrite
 * @property {number | null} bound the time until a revocation is effective everywhere, in ms
 * @property {AbortSignal} signal aborted when the view is left
 * @property {BroadcastChannel} tabs receives a message when another tab changes a key
 * @property {ShadowRoot} root
 * @property {() => void} focus moves the focus to the heading, if the person has asked for the view
 * @property {(name: string, id?: string) => void} go
 * @property {(text: string) => void} toast
 * @property {(key?: Key) => void} changed records a change of a key
 * @property {() => void} signedOut
 * @property {false | ((done: () => void) => void)} signIn asks for another API key
 * @property {(isDirty: boolean) => void} setDirty
 */
/** @typedef {Shared & Texts} Context */

/** @type {Record<string, Text>} */
export const STATUSES = { active: "Active", disabled: "Paused", expired: "Expired", revoked: "Revoked" };

/** The names of the fields of a key. @type {Record<string, Text>} */
export const FIELDS = {
  name: "Name",
  id: "ID",
  enabled: "Active",
  owner: "Owner",
  environment: "Environment",
  permissions: "Permissions",
  created_at: "Created",
  last_used_at: "Last used",
  expires_at: "Expires",
  revoked_at: "Revoked",
  allowed_ips: "Allowed addresses",
  metadata: "Metadata",
  attributes: "Attributes",
  parent_id: "Created by key",
  predecessor_id: "Replaces",
  successor_id: "Replaced by",
};

/** What the codes of problems mean to a person. For the others, the API has a message. @type {Record<string, Text>} */
const PROBLEMS = {
  offline: "You are offline. This page continues when the connection is back.",
  unreachable: "This page cannot reach the server.",
  unconfirmed: "This page cannot reach the server. The change may have been made. Try again: it is not made twice.",
  insufficient_scope: "You do not have permission to do this.",
  not_found: "This key does not exist, or you may not see it.",
  unavailable: "The key store is not responding. Try again.",
};

let ids = 0;
/** Returns an id that is unique in the page. */
const newId = () => `kw-${++ids}`;

/**
 * @param {Child} label
 * @param {(() => void) | null} onclick
 * @param {"primary" | "danger" | "quiet" | ""} [kind]
 * @param {string} [type]
 */
export const button = (label, onclick, kind = "", type = "button") =>
  h(`button.button${kind && `.button-${kind}`}`, { type, onclick }, label);

/** A view's heading, which receives the focus when the view opens. @param {Child[]} children */
export const heading = (...children) => h("h2.heading", { tabindex: -1 }, children);

/** @param {Child[]} children */
export const info = (...children) => h("div.notice", children);

/** @param {string} text */
export const code = (text) => h("code", visible(text));

/**
 * A control with its label, hint and error.
 *
 * @template {HTMLElement} T
 * @param {Child} label
 * @param {T} control
 * @param {Child} [text]
 */
export function field(label, control, text) {
  control.id = newId();
  control.part.add("input");
  const hint = h("p.hint", { id: newId() }, text);
  const error = h("p.field-error", { id: newId(), hidden: true });
  control.setAttribute("aria-describedby", `${error.id} ${hint.id}`);
  return {
    control,
    hint,
    element: h("div.field", h("label", { for: control.id }, label), text && hint, control, error),
    /** @param {string} text the error, or an empty text */
    fail(text) {
      control.ariaInvalid = String(text !== "");
      error.hidden = text === "";
      error.textContent = text;
    },
  };
}

/** A field for a name or a code, which no browser completes or corrects. @param {object} [more] */
export const input = (more) => h("input", { autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...more });

/**
 * A checkbox with its label and hint.
 *
 * @param {Child} label
 * @param {Child} hint
 * @param {object} [properties]
 */
export function choice(label, hint, properties) {
  const box = h("input", { type: "checkbox", ...properties });
  return { box, element: h("label.choice", box, h("span", label, h("span.hint", hint))) };
}

/** @param {string} value @param {[string, string][]} options @param {object} properties */
export function select(value, options, properties) {
  const element = h("select", properties, options.map(([value, label]) => h("option", { value }, label)));
  element.value = value;
  return element;
}

/** @param {Context} context @param {Key} key */
export const badges = ({ text }, { status, environment }) => [
  h(`span.badge.badge-${status}`, text(STATUSES[status] ?? "Active")),
  environment === "test" && [" ", h("span.badge", text("Test"))],
];

/** @param {Context} context @param {string} id @param {Child} [label] */
export const keyLink = ({ go }, id, label = code(id)) =>
  h("button.link", { type: "button", onclick: () => go("key", id) }, label);

/** @param {Context} context @param {() => string} value @param {(isCopied: boolean) => void} done */
export function copyButton({ text }, value, done) {
  const element = button(text("Copy"), async () => {
    try {
      await navigator.clipboard.writeText(value());
    } catch {
      return done(false);
    }
    element.textContent = text("Copied");
    setTimeout(() => (element.textContent = text("Copy")), 3000);
    done(true);
  });
  element.classList.add("copy");
  return element;
}

/** @param {Context} context @param {Key} key */
export const mayChange = ({ canWrite, self }, key) =>
  canWrite && (!self || key.permissions.every((permission) => covers(self.permissions, permission)));

/** How soon a key stops working. @param {Context} context */
export function boundText({ text, duration, bound }) {
  if (!bound) return text(bound === 0 ? "Programs that use it stop working at once." : "Programs that use it stop working.");
  const span = bound % 1000 ? duration(bound, "millisecond") : duration(bound / 1000, "second");
  return text("Programs that use it stop working within {bound}.", { bound: span });
}

/** @param {Problem} problem */
const secondsLeft = ({ retryAt }) => Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));

/** @param {Context} context @param {Problem} problem */
function describe({ text, translate, inTime, signIn }, problem) {
  const { status, code, message } = problem;
  if (status === 401) {
    return text(
      signIn
        ? "The server no longer accepts the key that you signed in with."
        : "Your session has ended. Sign in again in another tab, then try again here.",
    );
  }
  if (status === 429) {
    return text("Too many requests. You can try again {when}.", { when: inTime(secondsLeft(problem), "second") });
  }
  const known = lookUp(PROBLEMS, code);
  return known || !message ? text(known ?? "The server sent a response that this page does not understand.") : translate(message);
}

/**
 * A problem, with the id of its request and a button that repeats it. After 429, the button works
 * when the wait is over. Without a connection, `retry` is called when the connection is back.
 *
 * @param {Context} context
 * @param {Problem} problem
 * @param {() => void} [retry]
 */
function notice(context, problem, retry) {
  const { text, signal, signIn } = context;
  const description = h("p");
  const again = button(text("Try again"), retry ?? null);
  again.hidden = !retry;
  const update = () => {
    description.textContent = describe(context, problem);
    again.disabled = secondsLeft(problem) > 0;
    if (again.disabled && !signal.aborted) setTimeout(update, 500);
  };
  update();
  if (problem.code === "offline") {
    window.addEventListener("online", () => again.isConnected && again.click(), { once: true, signal });
  }
  const element = h(
    "div.notice.notice-error",
    { role: "alert" },
    h("strong", text("This did not work")),
    description,
    // The API names the permission.
    problem.code === "insufficient_scope" && h("p.muted", problem.message),
    problem.requestId && h("p.muted", text("Request ID"), " ", code(problem.requestId)),
    problem.status === 401 && signIn && button(text("Sign in"), () => signIn(() => element.remove())),
    again,
  );
  return element;
}

/**
 * Runs an action. If it fails, shows the problem in an element. Returns false if it was aborted.
 *
 * @param {Context} context
 * @param {HTMLElement} slot
 * @param {() => Promise<void>} action
 * @param {() => void} [retry]
 * @param {(problem: Problem, slot: HTMLElement) => boolean} [handle] whether it has shown the problem itself
 */
export async function attempt(context, slot, action, retry, handle) {
  try {
    await action();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return false;
    // The page does not understand a response that causes another error.
    const problem = error instanceof Problem ? error : new Problem({});
    if (problem.status === 401) context.signedOut();
    if (!handle?.(problem, slot)) slot.replaceChildren(notice(context, problem, retry));
  }
  return true;
}

/**
 * A region that loads data, with rows in its place meanwhile, and then shows the data or the problem.
 * What was there before stays until the data has arrived.
 *
 * @template T
 * @param {Context} context
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {(data: T) => Child} show
 */
export function region(context, load, show) {
  const element = h("div.region");
  element.append(h("p.unseen", { role: "status" }, context.text("Loading")));
  for (let row = 0; row < 5; row++) element.append(h("div.placeholder"));
  let request = new AbortController();
  const reload = async () => {
    // An earlier response must not replace a later one.
    request.abort();
    request = new AbortController();
    const signal = AbortSignal.any([context.signal, request.signal]);
    element.ariaBusy = "true";
    const action = async () => {
      const data = await load(signal);
      signal.throwIfAborted();
      element.replaceChildren(h("div", show(data)));
    };
    if (await attempt(context, element, action, reload)) element.ariaBusy = "false";
  };
  return { element, reload };
}

/**
 * A form whose button does nothing while `submit` runs. A problem is shown above the button.
 *
 * @param {Context} context
 * @param {object} options
 * @param {Child} options.content
 * @param {Text} options.label of the button that submits it
 * @param {"primary" | "danger"} [options.kind]
 * @param {() => Promise<void>} options.submit
 * @param {() => void} [options.cancel]
 * @param {(problem: Problem, slot: HTMLElement) => boolean} [options.handle]
 */
export function form(context, { content, label, kind = "primary", submit, cancel, handle }) {
  const { text } = context;
  const slot = h("div");
  const accept = button(text(label), null, kind, "submit");
  const onsubmit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (accept.disabled || element.ariaBusy) return;
    element.ariaBusy = "true";
    slot.replaceChildren();
    await attempt(context, slot, submit, undefined, handle);
    element.ariaBusy = null;
  };
  const actions = h("div.actions", cancel && button(text("Cancel"), cancel), accept);
  const element = h("form.form", { novalidate: true, onsubmit }, content, slot, actions);
  return { element, accept };
}

/**
 * Opens a dialog, which closes when the view is left.
 *
 * @param {Context} context
 * @param {Child} title
 * @param {Child} content
 * @param {AbortSignal | null} [end] aborted when the dialog must close
 */
export function openDialog({ root, signal }, title, content, end = signal) {
  const heading = h("h2", { id: newId(), tabindex: -1 }, title);
  const dialog = h("dialog.dialog", { "aria-labelledby": heading.id }, heading, content);
  dialog.addEventListener("close", () => dialog.remove());
  end?.addEventListener("abort", () => dialog.close());
  root.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Opens a dialog that asks before something is done.
 *
 * @param {Context} context
 * @param {Child} title
 * @param {Omit<Parameters<typeof form>[1], "cancel" | "handle" | "submit">} question
 * @param {() => Promise<void | false>} action false if the dialog stays open
 */
export function ask(context, title, question, action) {
  const close = () => dialog.close();
  const submit = async () => {
    if ((await action()) !== false) close();
  };
  const { element, accept } = form(context, { ...question, submit, cancel: close });
  const dialog = openDialog(context, title, element);
  return { dialog, accept };
}

/**
 * The pages of a list, and the buttons between them.
 *
 * @param {Context} context
 * @param {() => void} load
 */
export function pager({ text }, load) {
  /** The cursors of the pages, as far as they are known. @type {(string | null)[]} */
  const cursors = [null];
  let page = 0;
  const turn = (/** @type {Text} */ label, /** @type {number} */ step) =>
    button(text(label), () => {
      page += step;
      newer.disabled = older.disabled = true;
      load();
    });
  const newer = turn("Newer", -1);
  const older = turn("Older", 1);
  const label = h("span.muted");
  const element = h("nav.pager", newer, label, older);
  return {
    element,
    cursor: () => cursors[page],
    reset: () => void (page = 0),
    /** @param {string | null} next the cursor of the next page */
    update(next) {
      cursors[page + 1] = next;
      newer.disabled = !page;
      older.disabled = !next;
      element.hidden = !page && !next;
      label.textContent = text("Page {page}", { page: page + 1 });
    },
  };
}
