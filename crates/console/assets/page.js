/** The page of the console: the element, in German for readers of German. */

import { KeywrightKeys } from "./keywright-keys.js";

const [language = "en"] = navigator.languages;
const title = document.querySelector("h1");
const element = document.querySelector("keywright-keys");
if (element instanceof KeywrightKeys && title && language.startsWith("de")) {
  const { german } = await import("./de.js");
  document.documentElement.lang = language;
  element.strings = german;
  document.title = title.textContent = german["API keys"];
}
