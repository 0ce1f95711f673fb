/** The page of the console: German for readers of German, and the element itself. */

import { german } from "./de.js";
import { KeywrightKeys } from "./keywright-keys.js";

const [language = "en"] = navigator.languages;
const title = document.querySelector("h1");
const element = document.querySelector("keywright-keys");
if (element instanceof KeywrightKeys && title && language.startsWith("de")) {
  document.documentElement.lang = language;
  element.strings = german;
  document.title = title.textContent = german["nav.label"];
}
