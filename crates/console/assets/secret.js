/** The secret of a new key, which is shown once. */

import { h, visible } from "./dom.js";
import { button, code, copyButton, info, openDialog } from "./ui.js";

/**
 * Shows the secret of a key in a dialog, until the person closes it. The secret is in this function
 * and, while it is shown, in one text node. Both are cleared at the end.
 *
 * @param {import("./ui.js").Context} context
 * @param {import("./api.js").IssuedKey} issued the secret is removed from it
 * @returns {Promise<void>}
 */
export function showSecret(context, issued) {
  const { text, nodes } = context;
  const name = visible(issued.name);
  let secret = issued.secret || null;
  issued.secret = null;
  if (!context.root.isConnected) return Promise.resolve();
  // Without a secret there is nothing to lose.
  let isCopied = secret === null;
  const masked = secret && `${secret.slice(0, secret.lastIndexOf("_") + 1)}${"•".repeat(16)}`;
  const shown = h("code.secret-text", { translate: "no" }, masked);
  const state = h("span.unseen", text("hidden"));
  const slot = h("div", { role: "status" });

  const reveal = (/** @type {boolean} */ isShown) => {
    shown.textContent = isShown ? secret : masked;
    state.hidden = isShown;
    toggle.textContent = text(isShown ? "Hide" : "Show");
  };
  const toggle = button(text("Show"), () => reveal(!state.hidden));
  const copy = copyButton(context, () => secret ?? "", (hasWorked) => {
    // The page cannot know whether the person copies a selection.
    isCopied = true;
    slot.replaceChildren();
    if (hasWorked) return;
    reveal(true);
    getSelection()?.selectAllChildren(shown);
    slot.append(info(text("This page may not copy. The key is selected: copy it with the keyboard.")));
  });
  copy.className += " button-primary";
  const warning = info(
    h("p", text("You have not copied the key. Once you close this, no one can see it again.")),
    button(text("Close without copying"), () => dialog.close(), "danger"),
  );
  const leave = () => (isCopied ? dialog.close() : slot.replaceChildren(warning));
  const lost = text("The key exists, but the response with its secret did not arrive. Rotate or revoke it.");
  const dialog = openDialog(
    context,
    text(secret === null ? "This did not work" : "Copy your new key"),
    [
      h("p", secret === null ? lost : text("You can see it only now. Store it where your program reads its secrets.")),
      h("p.label", nodes("Key {name}", { name })),
      secret === null
        ? h("p", code(issued.id))
        : h("div.secret", shown, state, h("div.actions", toggle, copy)),
      issued.confirmed === false &&
        info(text("The key works, but too few replicas of the store have confirmed it. It may be lost if this server fails.")),
      h("div.actions", button(text(secret === null ? "Close" : "Done"), leave)),
      // The warning is below the button, so that a second click cannot hit what it offers.
      slot,
    ],
    // It stays when the view behind it changes.
    null,
  );
  dialog.setAttribute("closedby", "none");
  dialog.querySelector("h2")?.focus();
  // The browser would close the dialog at the second Escape without asking.
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    leave();
  });
  const stay = (/** @type {Event} */ event) => event.preventDefault();
  dialog.addEventListener("cancel", stay);
  window.addEventListener("beforeunload", stay);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      secret = null;
      shown.replaceChildren();
      window.removeEventListener("beforeunload", stay);
      resolve();
    });
  });
}
