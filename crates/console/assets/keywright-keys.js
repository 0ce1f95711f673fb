/** The web component `<keywright-keys>`. */

import { activity } from "./activity.js";
import { Api, Problem, covers } from "./api.js";
import { detail, edit } from "./detail.js";
import { h, visibleText } from "./dom.js";
import { keyForm } from "./form.js";
import { list, newFilters } from "./list.js";
import { report } from "./report.js";
import { signIn } from "./sign-in.js";
import { createTexts } from "./texts.js";
import { ask, button, heading, info, openDialog } from "./ui.js";

/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./texts.js").Text} Text */
/** @typedef {import("./ui.js").Context} Context */
/** @typedef {import("./ui.js").View} View */

/** The permissions of the API itself, for hosts that give no catalogue. */
const OWN_PERMISSIONS = ["api_keys:read", "api_keys:write", "api_keys:verify", "api_keys.self:rotate"];

/** @type {[string, Text][]} */
const TABS = [
  ["keys", "Keys"],
  ["activity", "Activity"],
  ["report", "Review"],
];

const KEY_ID = /^key_[0-9A-Za-z]{16}$/;

export class KeywrightKeys extends HTMLElement {
  static observedAttributes = ["api", "permissions", "access", "lang", "strings", "revocation-bound"];

  #root = this.attachShadow({ mode: "open" });
  #body = h("div.root");
  #toast = h("div.toast", { role: "status" });
  #api = new Api();
  #texts = createTexts("", {});
  /** What the host has set as properties. @type {Record<string, any>} */
  #settings = {};
  /** @type {Key | null} */
  #self = null;
  #filters = newFilters();
  /** @type {View} */
  #view = { name: "keys" };
  /** Aborted when the view is left. */
  #left = new AbortController();
  /** Aborted when the element is removed. @type {AbortController | null} */
  #connection = null;
  #tabs = new BroadcastChannel("keywright-keys");
  #isDirty = false;
  #isQueued = false;
  #toastEnd = 0;
  /** The address of the page before an unsaved form was opened. */
  #hash = "";

  constructor() {
    super();
    // Nothing is shown without its style.
    this.#body.hidden = true;
    const show = () => (this.#body.hidden = false);
    const href = new URL("keywright-keys.css", import.meta.url);
    this.#root.append(h("link", { rel: "stylesheet", href, onload: show, onerror: show }), this.#body, this.#toast);
  }

  /** An API key for the requests, which is kept in memory only. Empty: the session of the host. */
  set token(/** @type {string} */ token) {
    if (!this.#api.setToken(token)) return;
    this.#self = null;
    this.#restart();
  }

  /** The permissions that the form offers: names, or objects with `value`, `label`, `description`. */
  set permissions(/** @type {unknown} */ permissions) {
    this.#set("permissions", permissions);
  }

  /** Texts in another language. A text that is missing is English. */
  set strings(/** @type {import("./texts.js").Catalogue} */ strings) {
    this.#set("strings", strings);
  }

  /** @param {string} name @param {unknown} value */
  #set(name, value) {
    // Frameworks set an equal value each time that they render. That must not reset a form.
    if (JSON.stringify(this.#settings[name]) === JSON.stringify(value)) return;
    this.#settings[name] = value;
    this.#restart();
  }

  /** Loads the current view again. A form with unsaved input stays. */
  refresh() {
    this.#restart();
  }

  connectedCallback() {
    if (this.#connection) {
      // The element has moved, so its dialogs are no longer modal.
      for (const dialog of this.#root.querySelectorAll("dialog")) {
        if (!dialog.open) continue;
        dialog.open = false;
        dialog.showModal();
      }
      return;
    }
    // A page may set properties before this class is defined.
    const element = /** @type {any} */ (this);
    for (const name of ["token", "permissions", "strings"]) {
      if (!Object.hasOwn(this, name)) continue;
      const value = element[name];
      delete element[name];
      element[name] = value;
    }
    this.#connection = new AbortController();
    const { signal } = this.#connection;
    const clock = setInterval(() => this.#texts.refresh(this.#root), 30_000);
    signal.addEventListener("abort", () => clearInterval(clock));
    window.addEventListener("hashchange", () => this.#followHash(), { signal });
    window.addEventListener("beforeunload", (event) => this.#isDirty && event.preventDefault(), { signal });
    this.#view = this.#readHash();
    this.#restart();
  }

  disconnectedCallback() {
    queueMicrotask(() => {
      // An element that moves is connected again.
      if (this.isConnected) return;
      this.#left.abort();
      this.#connection?.abort();
      this.#connection = null;
      this.#isDirty = false;
      // One may show a secret.
      for (const dialog of this.#root.querySelectorAll("dialog")) dialog.close();
    });
  }

  /** @param {string} _ @param {string | null} before @param {string | null} after */
  attributeChangedCallback(_, before, after) {
    if (before !== after) this.#restart();
  }

  /**
   * Applies all settings together, after the host has made its last change. A form with unsaved
   * input stays. The view after it has the settings.
   */
  #restart() {
    if (this.#isQueued || !this.isConnected) return;
    this.#isQueued = true;
    queueMicrotask(() => {
      this.#isQueued = false;
      if (!this.isConnected) return;
      this.#api.base = (this.getAttribute("api") ?? "/v1/api-keys").replace(/\/+$/, "");
      const language = /** @type {HTMLElement | null} */ (this.closest("[lang]"))?.lang;
      this.#texts = createTexts(language ?? "", { ...this.#json("strings"), ...this.#settings.strings });
      if (!this.#isDirty) this.#show();
    });
  }

  /** Returns the value of an attribute that contains JSON, or an empty one. @param {string} name */
  #json(name) {
    try {
      return JSON.parse(this.getAttribute(name) || "null");
    } catch (error) {
      console.error(`${name} is not JSON`, error);
      return [];
    }
  }

  /** Whether an attribute has a value. @param {string} name @param {string} value */
  #has(name, value) {
    return this.getAttribute(name) === value;
  }

  /** @param {"read" | "write"} action */
  #may(action) {
    const granted = this.#self?.permissions;
    return !granted || ["api_keys", "api_keys.own"].some((scope) => covers(granted, `${scope}:${action}`));
  }

  /** @param {boolean} moveFocus @returns {Context} */
  #context(moveFocus = false) {
    const bound = this.getAttribute("revocation-bound");
    const permissions = this.#settings.permissions ?? this.#json("permissions") ?? OWN_PERMISSIONS;
    const notify = (/** @type {string} */ name) =>
      this.dispatchEvent(new CustomEvent(`keywright-${name}`, { bubbles: true, composed: true }));
    return {
      ...this.#texts,
      api: this.#api,
      catalogue: toCatalogue(permissions),
      self: this.#self,
      canWrite: !this.#has("access", "read") && this.#may("write"),
      bound: bound ? Number(bound) || 0 : null,
      signal: this.#left.signal,
      tabs: this.#tabs,
      root: this.#root,
      focus: () => {
        const target = this.#body.querySelector(".first") ?? this.#body.querySelector(".heading");
        if (moveFocus && target instanceof HTMLElement) target.focus({ preventScroll: true });
      },
      go: (name, id) => this.#go({ name, id }),
      toast: (text) => {
        clearTimeout(this.#toastEnd);
        this.#toast.textContent = visibleText(text);
        this.#toastEnd = window.setTimeout(() => this.#toast.replaceChildren(), 8000);
      },
      changed: (key) => {
        this.#tabs.postMessage("changed");
        notify("change");
        if (key && key.id === this.#self?.id) this.#signOut(true);
      },
      signedOut: () => {
        notify("session-expired");
        if (this.#self && this.#has("sign-in", "key") && !this.#isDirty) this.#signOut(true);
      },
      signIn: this.#has("sign-in", "key") && ((done) => this.#signInAgain(done)),
      setDirty: (isDirty) => void (this.#isDirty = isDirty),
    };
  }

  /** @param {View} view */
  #go(view) {
    // A request may end after the host has removed the element.
    if (!this.isConnected) return;
    const leave = async () => {
      this.#isDirty = false;
      this.#view = view;
      if (this.#has("routing", "hash")) {
        this.#hash = toHash(view);
        if (location.hash !== this.#hash) history.pushState(null, "", this.#hash || location.pathname + location.search);
      }
      this.#show(true);
    };
    if (!this.#isDirty) return void leave();
    const question = /** @type {const} */ ({ content: null, label: "Discard", kind: "danger" });
    ask(this.#context(), this.#texts.text("Discard what you entered?"), question, leave);
  }

  #followHash() {
    if (!this.#has("routing", "hash") || location.hash === this.#hash) return;
    const hash = this.#hash;
    const view = this.#readHash();
    // The address stays that of the form until the person has decided.
    if (this.#isDirty) history.pushState(null, "", (this.#hash = hash));
    this.#go(view);
  }

  /** @returns {View} */
  #readHash() {
    if (!this.#has("routing", "hash")) return this.#view;
    this.#hash = location.hash;
    const [name = "", id] = location.hash.slice(1).split("/");
    if (KEY_ID.test(name)) return { name: id === "edit" ? "edit" : "key", id: name };
    return { name: ["create", "activity", "report"].includes(name) ? name : "keys" };
  }

  /** Asks for another key in a dialog, so that a form stays. @param {() => void} done */
  #signInAgain(done) {
    const context = this.#context();
    const close = () => dialog.close();
    const enter = async () => {
      await this.#enter(context);
      done();
      close();
    };
    const dialog = openDialog(context, context.text("Sign in with an API key"), signIn(context, false, enter, close));
  }

  /** Reads the permissions of the caller's key. @param {Context} context */
  async #enter({ api, signal }) {
    const self = await api.get("/self", {}, signal);
    if (!Array.isArray(self.permissions)) throw new Problem({});
    this.#self = self;
  }

  #signOut(wasRejected = false) {
    this.#api.setToken("");
    this.#self = null;
    this.#filters = newFilters();
    this.#isDirty = false;
    this.#show(true, wasRejected);
  }

  /** @param {boolean} [moveFocus] whether the person has asked for this view */
  #show(moveFocus = false, wasRejected = false) {
    this.#left.abort();
    this.#left = new AbortController();
    const context = this.#context(moveFocus);
    const isSignedIn = this.#api.hasToken || !this.#has("sign-in", "key");
    const enter = async () => {
      await this.#enter(context);
      this.#show(true);
    };
    const title = heading(context.text("Sign in with an API key"));
    if (isSignedIn) this.#body.replaceChildren(this.#header(context), this.#open(context));
    else this.#body.replaceChildren(h("section.narrow", title, signIn(context, wasRejected, enter)));
    context.focus();
  }

  /** @param {Context} context */
  #open(context) {
    const { text, canWrite } = context;
    const { name, id = "" } = this.#view;
    if (!this.#may("read")) {
      const hint = text("Ask an administrator for the permission api_keys:read.");
      return info(h("strong", text("You may not see API keys here.")), h("p", hint));
    }
    if (name === "edit" && canWrite) return edit(context, id);
    if (id) return detail(context, id);
    if (name === "create" && canWrite) return keyForm(context);
    if (name === "activity") return activity(context);
    return name === "report" ? report(context) : list(context, this.#filters);
  }

  /** @param {Context} context */
  #header({ text, go, canWrite }) {
    const { name } = this.#view;
    const current = name === "activity" || name === "report" ? name : "keys";
    const tab = (/** @type {[string, Text]} */ [name, label]) => {
      const state = name === current ? { "aria-current": "page", part: "tab tab-current" } : {};
      return h("button.tab", { type: "button", onclick: () => go(name), ...state }, text(label));
    };
    return h(
      "header.header",
      h("nav", { "aria-label": text("API keys") }, TABS.map(tab)),
      h(
        "div.actions",
        this.#has("sign-in", "key") && button(text("Sign out"), () => this.#signOut(), "quiet"),
        canWrite && name !== "create" && button(text("Create key"), () => go("create"), "primary"),
      ),
    );
  }
}

/** @param {View} view */
function toHash({ name, id }) {
  if (id) return `#${id}${name === "edit" ? "/edit" : ""}`;
  return name === "keys" ? "" : `#${name}`;
}

/**
 * Returns the permissions that the form offers. A value that is no list of permissions offers none.
 *
 * @param {unknown} permissions
 */
function toCatalogue(permissions) {
  const list = Array.isArray(permissions) ? permissions : [];
  const catalogue = list.map((entry) => {
    const { value = entry, label = "", description = "" } = entry ?? {};
    return { value, label, description };
  });
  const isText = (/** @type {unknown} */ text) => typeof text === "string";
  return catalogue.every((entry) => Object.values(entry).every(isText)) ? catalogue : [];
}

customElements.define("keywright-keys", KeywrightKeys);
