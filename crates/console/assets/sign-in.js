/** The form that asks for an API key, which stays in memory. */

import { h } from "./dom.js";
import { button, field, heading, run } from "./ui.js";

/** @typedef {import("./ui.js").Context} Context */

/**
 * @param {Context} context
 * @param {boolean} wasRejected whether the server no longer accepts an earlier key
 * @param {() => Promise<void>} accept verifies the key, and continues
 */
export function signIn(context, wasRejected, accept) {
  const { api, texts } = context;
  const input = h("input", { type: "password", autocomplete: "off", spellcheck: "false", class: "first" });
  const { element, fail } = field(texts.text("signIn.label"), input, texts.text("signIn.hint"));
  const slot = h("div");
  if (wasRejected) fail(texts.text("error.signedOutKey"));
  const form = h(
    "form",
    {
      novalidate: true,
      onsubmit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        const token = input.value.trim();
        // A header cannot contain other characters.
        if (!/^[\x21-\x7e]+$/.test(token)) {
          fail(texts.text(token ? "signIn.rejected" : "signIn.enter"));
          return input.focus();
        }
        fail("");
        api.token = token;
        await run(context, form, slot, accept, (problem) => {
          api.token = "";
          if (problem.isSignedOut) {
            fail(texts.text("signIn.rejected"));
            input.focus();
          }
          return problem.isSignedOut;
        });
      },
    },
    element,
    slot,
    h("div", { class: "actions" }, button(texts.text("signIn.submit"), () => {}, { kind: "primary", type: "submit" })),
  );
  return { element: h("section", { class: "narrow" }, heading(texts.text("signIn.title")), form) };
}
