/** Texts in the language of the page: translations, numbers and times. */

import { english } from "./english.js";
import { h, nodes } from "./dom.js";

/** @typedef {keyof typeof english} TextKey */
/** @typedef {Partial<Record<TextKey, string>>} Catalogue */
/** @typedef {Record<string, string | number | Node>} Values */

const MINUTE = 60_000;
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["year", 525_600 * MINUTE],
  ["month", 43_800 * MINUTE],
  ["day", 1440 * MINUTE],
  ["hour", 60 * MINUTE],
  ["minute", MINUTE],
];
/**
 * How many of a unit a time must be away, so that 90 days are not "in 3 months".
 *
 * @type {Partial<Record<string, number>>}
 */
const AT_LEAST = { month: 4, day: 1.5 };

export class Texts {
  /**
   * @param {string} language
   * @param {Catalogue} catalogue
   */
  constructor(language, catalogue) {
    this.catalogue = { ...english, ...catalogue };
    // A language that the browser does not know falls back to its own.
    const [known] = language ? Intl.DateTimeFormat.supportedLocalesOf(language) : [];
    this.plural = new Intl.PluralRules(known);
    this.number = new Intl.NumberFormat(known);
    this.relative = new Intl.RelativeTimeFormat(known, { numeric: "auto" });
    this.exact = new Intl.DateTimeFormat(known, { dateStyle: "medium", timeStyle: "short" });
    this.full = new Intl.DateTimeFormat(known, { dateStyle: "full", timeStyle: "long" });
  }

  /** @param {string} key @returns {key is TextKey} */
  has(key) {
    return Object.hasOwn(this.catalogue, key);
  }

  /**
   * Returns a text, with each `{name}` replaced by its value, as nodes.
   *
   * @param {TextKey} key
   * @param {Values} [values]
   * @returns {(Node | string)[]}
   */
  nodes(key, values = {}) {
    return this.catalogue[key].split(/\{(\w+)\}/).map((part, index) => {
      if (index % 2 === 0) return part;
      const value = values[part] ?? "";
      return typeof value === "number" ? this.number.format(value) : value;
    });
  }

  /**
   * @param {TextKey} key
   * @param {Record<string, string | number>} [values]
   */
  text(key, values) {
    return this.nodes(key, values).join("");
  }

  /**
   * Returns the form of a text for a count.
   *
   * @param {string} key
   * @param {number} count
   * @returns {TextKey}
   */
  form(key, count) {
    const form = `${key}.${this.plural.select(count)}`;
    return /** @type {TextKey} */ (this.has(form) ? form : `${key}.other`);
  }

  /** @param {string} key @param {number} count */
  count(key, count) {
    return this.text(this.form(key, count), { count });
  }

  /** @param {number} time in milliseconds since 1970 */
  ago(time) {
    const difference = time - Date.now();
    for (const [unit, length] of UNITS) {
      const count = difference / length;
      if (Math.abs(count) >= (AT_LEAST[unit] ?? 1)) return this.relative.format(Math.round(count), unit);
    }
    return this.text("time.now");
  }

  /** @param {string | number | Date} time */
  at(time) {
    return this.exact.format(new Date(time));
  }

  /**
   * Returns a relative time, which shows the exact one on hover.
   *
   * @param {string | null} time
   * @param {TextKey} missing
   */
  time(time, missing = "time.never") {
    if (!time) return h("span", { class: "muted" }, this.text(missing));
    return h("time", { datetime: time, title: this.full.format(new Date(time)) }, this.ago(Date.parse(time)));
  }

  /** @param {string} time a relative time and the exact one */
  bothTimes(time) {
    return h("span", null, this.time(time), " ", h("span", { class: "muted" }, `(${this.at(time)})`));
  }

  /**
   * Updates the relative times in an element. Their width is reserved, so nothing moves.
   *
   * @param {ParentNode} root
   */
  refresh(root) {
    for (const element of root.querySelectorAll("time")) {
      const text = this.ago(Date.parse(element.dateTime));
      if (element.textContent !== text) element.replaceChildren(...nodes(text));
    }
  }
}
