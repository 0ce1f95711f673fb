/** The secret of a new key, which is shown once. */

import { h, visible } from "./dom.js";
import { button, code, copyButton, info, newId } from "./ui.js";

/** @typedef {import("./ui.js").Context} Context */
/** @typedef {import("./api.js").IssuedKey} IssuedKey */

/**
 * Shows the secret of a key in a dialog, until the person closes it. The secret is in this function
 * and, while it is shown, in one text node. Both are cleared at the end.
 *
 * @param {Context} context
 * @param {IssuedKey} issued the secret is removed from it
 * @returns {Promise<void>}
 */
export function showSecret({ texts, root }, issued) {
  let { secret } = issued;
  issued.secret = null;
  const name = visible(issued.name);
  const slot = h("div", { role: "status" });
  if (secret === null) return alertLost();

  let isCopied = false;
  const masked = `${secret.slice(0, secret.lastIndexOf("_") + 1)}${"•".repeat(16)}`;
  const text = h("code", { id: newId(), class: "secret-text", translate: "no" }, masked);
  const state = h("span", { class: "unseen" }, texts.text("secret.hidden"));
  const reveal = (/** @type {boolean} */ shown) => {
    text.replaceChildren((shown ? secret : masked) ?? "");
    state.hidden = shown;
    toggle.replaceChildren(texts.text(shown ? "secret.hide" : "secret.show"));
  };
  const toggle = button(
    texts.text("secret.show"),
    () => reveal(!state.hidden),
  );
  const copy = copyButton(texts, () => secret ?? "", (copied) => {
    isCopied ||= copied;
    if (copied) return slot.replaceChildren();
    reveal(true);
    getSelection()?.selectAllChildren(text);
    slot.replaceChildren(info(texts.text("secret.selected")));
    // The page cannot know whether the person copied it.
    isCopied = true;
  });
  copy.classList.add("button-primary");
  copy.part.add("button-primary");

  const { close, closed } = open();
  const done = button(texts.text("secret.done"), () => (isCopied ? close() : warn()));
  const warn = () =>
    slot.replaceChildren(
      info(
        h("p", null, texts.text("secret.notCopied")),
        button(texts.text("secret.closeAnyway"), close, { kind: "danger" }),
      ),
    );
  return closed;

  function open() {
    return dialogOf(
      texts.text("secret.title"),
      [
        h("p", null, texts.text("secret.once")),
        h("p", { class: "label" }, texts.nodes("secret.label", { name })),
        h("div", { class: "secret", part: "secret" }, text, state, h("div", { class: "actions" }, toggle, copy)),
        issued.confirmed === false && info(texts.text("secret.unconfirmed")),
      ],
      () => done,
      () => (isCopied ? close() : warn()),
      () => {
        secret = null;
        text.replaceChildren();
      },
    );
  }

  function alertLost() {
    const { close, closed } = dialogOf(
      texts.text("error.title"),
      [h("p", null, texts.nodes("secret.lost", { name })), h("p", null, code(issued.id))],
      () => button(texts.text("action.close"), () => close(), { kind: "primary" }),
      () => close(),
      () => {},
    );
    return closed;
  }

  /**
   * @param {string} title
   * @param {import("./dom.js").Child} content
   * @param {() => HTMLElement} action the button that closes the dialog
   * @param {() => void} cancel called for the Escape key
   * @param {() => void} wipe
   */
  function dialogOf(title, content, action, cancel, wipe) {
    const heading = h("h2", { id: newId(), tabindex: "-1" }, title);
    const dialog = h(
      "dialog",
      { part: "dialog", class: "secret-dialog", "aria-labelledby": heading.id, closedby: "none" },
      heading,
      content,
    );
    // The browser would close the dialog at the second Escape without asking.
    dialog.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      cancel();
    });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    const stay = (/** @type {Event} */ event) => event.preventDefault();
    window.addEventListener("beforeunload", stay);
    const closed = new Promise((/** @type {(value: void) => void} */ resolve) => {
      dialog.addEventListener("close", () => {
        wipe();
        window.removeEventListener("beforeunload", stay);
        dialog.remove();
        resolve();
      });
    });
    root.append(dialog);
    queueMicrotask(() => {
      // The warning appears below the button, so that a second click cannot hit what it offers.
      dialog.append(h("div", { class: "actions end" }, action()), slot);
      dialog.showModal();
      heading.focus();
    });
    return { close: () => dialog.close(), closed };
  }
}
