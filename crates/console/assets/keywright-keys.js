/** The web component `<keywright-keys>`. */

import { activity } from "./activity.js";
import { Api, covers } from "./api.js";
import { edit, detail } from "./detail.js";
import { h } from "./dom.js";
import { createForm } from "./form.js";
import { Texts } from "./format.js";
import { list, newFilters } from "./list.js";
import { report } from "./report.js";
import { signIn } from "./sign-in.js";
import { ask, button, info } from "./ui.js";

/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./ui.js").Context} Context */
/** @typedef {import("./ui.js").View} View */
/** @typedef {{element: HTMLElement, markStale?: () => void, refresh?: () => void}} Shown */

const STYLESHEET = new URL("keywright-keys.css", import.meta.url).href;

/** The permissions of the API itself, for hosts that give no catalogue. */
const OWN_PERMISSIONS = ["api_keys:read", "api_keys:write", "api_keys:verify", "api_keys.self:rotate"];

const KEY_ID = /^key_[0-9A-Za-z]{16}$/;
const REFRESH = 30_000;

export class KeywrightKeys extends HTMLElement {
  static observedAttributes = ["api", "permissions", "access", "lang", "strings", "revocation-bound"];

  #root = this.attachShadow({ mode: "open" });
  #body = h("div", { class: "root", part: "root" });
  #toast = h("div", { class: "toast", part: "toast", role: "status" });
  #api = new Api("");
  /** @type {import("./format.js").Catalogue} */
  #strings = {};
  /** @type {unknown} */
  #permissions = null;
  /** @type {Key | null} */
  #self = null;
  #filters = newFilters();
  #left = new AbortController();
  /** @type {Shown | null} */
  #shown = null;
  /** @type {View} */
  #view = { name: "keys" };
  #isDirty = false;
  #isQueued = false;
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #clock;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #toastEnd;
  /** The address of the page before an unsaved form was opened. */
  #hash = "";

  constructor() {
    super();
    const stylesheet = h("link", { rel: "stylesheet", href: STYLESHEET });
    // Nothing is shown without its style.
    this.#body.hidden = true;
    const show = () => (this.#body.hidden = false);
    stylesheet.addEventListener("load", show);
    stylesheet.addEventListener("error", show);
    this.#root.append(stylesheet, this.#body, this.#toast);
  }

  /** An API key for the requests, which is kept in memory only. Empty: the session of the host. */
  set token(/** @type {string} */ token) {
    if (!this.#api.replaceToken(token)) return;
    this.#self = null;
    this.#restart();
  }

  /** The permissions that the form offers: names, or objects with `value`, `label`, `description`. */
  set permissions(/** @type {unknown} */ permissions) {
    // Frameworks set an equal list each time that they render. That must not reset a form.
    if (isEqual(this.#permissions, permissions)) return;
    this.#permissions = permissions;
    this.#restart();
  }

  /** Texts in another language. A text that is missing is English. */
  set strings(/** @type {import("./format.js").Catalogue} */ strings) {
    if (isEqual(this.#strings, strings)) return;
    this.#strings = strings;
    this.#restart();
  }

  /** Loads the current view again. */
  refresh() {
    this.#show();
  }

  connectedCallback() {
    // A page may set properties before this class is defined.
    for (const name of /** @type {const} */ (["token", "permissions", "strings"])) {
      if (!Object.hasOwn(this, name)) continue;
      const value = /** @type {any} */ (this)[name];
      delete (/** @type {any} */ (this)[name]);
      /** @type {any} */ (this)[name] = value;
    }
    this.#channel = new BroadcastChannel("keywright-keys");
    this.#channel.onmessage = () => this.#shown?.markStale?.();
    this.#clock = setInterval(() => this.#texts.refresh(this.#root), REFRESH);
    window.addEventListener("hashchange", this.#onHash);
    window.addEventListener("beforeunload", this.#onLeave);
    this.#view = this.#fromHash();
    this.#restart();
  }

  disconnectedCallback() {
    this.#left.abort();
    // A dialog with a secret wipes it when it closes.
    for (const dialog of this.#root.querySelectorAll("dialog")) dialog.close();
    this.#channel?.close();
    clearInterval(this.#clock);
    window.removeEventListener("hashchange", this.#onHash);
    window.removeEventListener("beforeunload", this.#onLeave);
  }

  /** @param {string} _ @param {string | null} before @param {string | null} after */
  attributeChangedCallback(_, before, after) {
    if (before !== after) this.#restart();
  }

  #texts = new Texts("", {});

  /** Applies all settings together, after the host has made its last change. */
  #restart() {
    if (this.#isQueued || !this.isConnected) return;
    this.#isQueued = true;
    queueMicrotask(() => {
      this.#isQueued = false;
      if (!this.isConnected) return;
      const api = this.getAttribute("api") ?? "/v1/api-keys";
      if (this.#api.base !== api) this.#api.base = api.replace(/\/+$/, "");
      const language = /** @type {HTMLElement | null} */ (this.closest("[lang]"))?.lang;
      const strings = { ...json(this.getAttribute("strings"), {}), ...this.#strings };
      this.#texts = new Texts(language ?? "", strings);
      this.#show();
    });
  }

  get #needsKey() {
    return this.getAttribute("sign-in") === "key" && !this.#api.hasToken;
  }

  /** @returns {Context} */
  #context() {
    const bound = this.getAttribute("revocation-bound");
    return {
      api: this.#api,
      texts: this.#texts,
      catalogue: catalogue(this.#permissions ?? json(this.getAttribute("permissions"), OWN_PERMISSIONS)),
      self: this.#self,
      canWrite: this.getAttribute("access") !== "read" && may(this.#self, "write"),
      bound: bound === null || bound === "" ? null : Number(bound) || 0,
      signal: this.#left.signal,
      go: (view) => this.#go(view),
      toast: (text) => this.#say(text),
      changed: (key) => {
        this.#channel?.postMessage("changed");
        this.dispatchEvent(new CustomEvent("keywright-change", { bubbles: true, composed: true }));
        if (key && key.id === this.#self?.id) this.#signOut(true);
      },
      signedOut: () => {
        const event = new CustomEvent("keywright-session-expired", { bubbles: true, composed: true });
        this.dispatchEvent(event);
        if (this.#self && this.getAttribute("sign-in") === "key" && !this.#isDirty) this.#signOut(true);
      },
      setDirty: (isDirty) => (this.#isDirty = isDirty),
      root: this.#root,
    };
  }

  /** @param {string} text */
  #say(text) {
    clearTimeout(this.#toastEnd);
    this.#toast.replaceChildren(text);
    this.#toastEnd = setTimeout(() => this.#toast.replaceChildren(), 8000);
  }

  /** @param {View} view */
  #go(view) {
    const leave = () => {
      this.#isDirty = false;
      this.#view = view;
      if (this.getAttribute("routing") === "hash") {
        const hash = toHash(view);
        if (location.hash !== hash) history.pushState(null, "", hash || location.pathname + location.search);
        this.#hash = hash;
      }
      this.#show(true);
    };
    if (!this.#isDirty) return leave();
    const { texts } = this.#context();
    ask(this.#context(), {
      title: texts.text("form.leave"),
      content: null,
      confirm: texts.text("form.discard"),
      kind: "danger",
      submit: async () => leave(),
    });
  }

  #onHash = () => {
    if (this.getAttribute("routing") !== "hash" || location.hash === this.#hash) return;
    const view = this.#fromHash();
    // The address stays that of the form until the person has decided.
    if (this.#isDirty) history.pushState(null, "", this.#hash);
    this.#go(view);
  };

  #onLeave = (/** @type {Event} */ event) => {
    if (this.#isDirty) event.preventDefault();
  };

  /** @returns {View} */
  #fromHash() {
    const [name = "", id = ""] = location.hash.slice(1).split("/");
    if (this.getAttribute("routing") !== "hash") return this.#view;
    this.#hash = location.hash;
    if (KEY_ID.test(name)) return { name: id === "edit" ? "edit" : "key", id: name };
    if (name === "create" || name === "activity" || name === "report") return { name };
    return { name: "keys" };
  }

  /** @param {boolean} [wasRejected] */
  #signOut(wasRejected = false) {
    this.#api.token = "";
    this.#self = null;
    this.#filters = newFilters();
    this.#isDirty = false;
    this.#show(true, wasRejected);
  }

  /** @param {boolean} [moveFocus] whether the person has asked for this view */
  #show(moveFocus = false, wasRejected = false) {
    this.#left.abort();
    this.#left = new AbortController();
    const context = this.#context();
    const focus = () => {
      const target = this.#body.querySelector(".first") ?? this.#body.querySelector(".heading");
      if (moveFocus && target instanceof HTMLElement) target.focus({ preventScroll: true });
    };
    if (this.#needsKey) {
      const accept = async () => {
        this.#self = await this.#api.get("/self");
        this.#show(true);
      };
      this.#shown = signIn(context, wasRejected, accept);
      this.#body.replaceChildren(this.#shown.element);
      return focus();
    }
    if (!may(this.#self, "read")) {
      const { texts } = context;
      const text = info(h("strong", null, texts.text("error.noAccess")), h("p", null, texts.text("error.noAccessHint")));
      this.#body.replaceChildren(this.#header(context), text);
      return;
    }
    this.#shown = this.#open(context, focus);
    this.#body.replaceChildren(this.#header(context), this.#shown.element);
    focus();
  }

  /** @param {Context} context @param {() => void} focus @returns {Shown} */
  #open(context, focus) {
    const view = this.#view;
    switch (view.name) {
      case "key":
        return detail(context, view.id, focus);
      case "edit":
        return context.canWrite ? edit(context, view.id, focus) : detail(context, view.id, focus);
      case "create":
        return context.canWrite ? createForm(context) : list(context, this.#filters);
      case "activity":
        return activity(context);
      case "report":
        return report(context);
      default:
        return list(context, this.#filters);
    }
  }

  /** @param {Context} context */
  #header({ texts, canWrite }) {
    const current = this.#view.name;
    const tab = (/** @type {"keys" | "activity" | "report"} */ name) => {
      const isCurrent = name === current || (name === "keys" && !["activity", "report"].includes(current));
      return h(
        "button",
        {
          type: "button",
          class: "tab",
          part: isCurrent ? "tab tab-current" : "tab",
          "aria-current": isCurrent ? "page" : null,
          onclick: () => this.#go({ name }),
        },
        texts.text(`nav.${name}`),
      );
    };
    const create = button(texts.text("nav.create"), () => this.#go({ name: "create" }), { kind: "primary" });
    const signOut = button(texts.text("nav.signOut"), () => this.#signOut(), { kind: "quiet" });
    return h(
      "header",
      { part: "header" },
      h("nav", { "aria-label": texts.text("nav.label") }, tab("keys"), tab("activity"), tab("report")),
      h(
        "div",
        { class: "actions" },
        this.getAttribute("sign-in") === "key" && signOut,
        canWrite && current !== "create" && create,
      ),
    );
  }
}

/** @param {unknown} a @param {unknown} b */
const isEqual = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** @param {View} view */
function toHash(view) {
  if (view.name === "keys") return "";
  if (view.name === "key") return `#${view.id}`;
  return view.name === "edit" ? `#${view.id}/edit` : `#${view.name}`;
}

/** @param {Key | null} self @param {"read" | "write"} action */
const may = (self, action) =>
  !self || ["api_keys", "api_keys.own"].some((scope) => covers(self.permissions, `${scope}:${action}`));

/**
 * @template T
 * @param {string | null} text
 * @param {T} otherwise
 * @returns {T}
 */
function json(text, otherwise) {
  if (!text) return otherwise;
  try {
    return JSON.parse(text);
  } catch (error) {
    console.error("<keywright-keys>: an attribute is not JSON", error);
    return otherwise;
  }
}

/** @param {unknown} permissions */
function catalogue(permissions) {
  const items = Array.isArray(permissions) ? permissions : [];
  return items.map((item) =>
    typeof item === "string"
      ? { value: item, label: "", description: "" }
      : { value: String(item.value), label: String(item.label ?? ""), description: String(item.description ?? "") },
  );
}

customElements.define("keywright-keys", KeywrightKeys);
