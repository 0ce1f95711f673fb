/** The form that asks for an API key, which stays in memory. */

import { field, form, input } from "./ui.js";

/**
 * @param {import("./ui.js").Context} context
 * @param {boolean} wasRejected whether the server no longer accepts an earlier key
 * @param {() => Promise<void>} accept verifies the key, and continues
 * @param {() => void} [cancel]
 */
export function signIn(context, wasRejected, accept, cancel) {
  const { api, text } = context;
  const control = input({ type: "password", class: "first" });
  const hint = text("It needs api_keys:read, and api_keys:write for changes. This tab forgets it when you close or reload it.");
  const { element, fail } = field(text("API key"), control, hint);
  const reject = (/** @type {import("./texts.js").Text} */ reason) => {
    fail(text(reason));
    control.focus();
  };
  const rejected = "The server does not accept this key. It may be mistyped, paused, expired or revoked.";
  const view = form(context, {
    content: element,
    label: "Sign in",
    cancel,
    async submit() {
      const token = control.value.trim();
      if (!token) return reject("Enter an API key.");
      // A header cannot contain other characters.
      if (!/^[\x21-\x7e]+$/.test(token)) return reject(rejected);
      fail("");
      api.setToken(token);
      await accept();
    },
    handle({ status }) {
      api.setToken("");
      if (status !== 401) return false;
      reject(rejected);
      return true;
    },
  });
  if (wasRejected) fail(text("The server no longer accepts the key that you signed in with."));
  return view.element;
}
