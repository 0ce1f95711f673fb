/** Texts in the language of the page: translations, numbers and times. */

import { h } from "./dom.js";

/**
 * A text in English, which is also the key of its translations.
 *
 * @typedef {keyof typeof import("./de.js").german} Text
 */
/** @typedef {Record<string, string>} Catalogue */

/** The English texts for a count of one. In a catalogue, the keys of such texts end in `.one`. @type {Catalogue} */
const SINGULAR = {
  "{count} keys": "{count} key",
  "{count} keys checked.": "{count} key checked.",
  "Also revoke {count} keys that it created or obtained by rotation":
    "Also revoke {count} key that it created or obtained by rotation",
};

/**
 * The units of relative times, and how much time of each is enough: 90 days are not "in 3 months".
 *
 * @type {[Intl.RelativeTimeFormatUnit, number, number][]}
 */
const UNITS = [
  ["year", 31_536_000_000, 1],
  ["month", 2_628_000_000, 4],
  ["day", 86_400_000, 1.5],
  ["hour", 3_600_000, 1],
  ["minute", 60_000, 1],
];

/**
 * @template T
 * @param {Record<string, T>} table
 * @param {string} name
 */
export const lookUp = (table, name) => (Object.hasOwn(table, name) ? table[name] : undefined);

/**
 * @param {string} language
 * @param {Catalogue} catalogue
 */
export function createTexts(language, catalogue) {
  // A language that the browser does not know falls back to its own.
  const [locale] = language ? Intl.DateTimeFormat.supportedLocalesOf(language) : [];
  const plural = new Intl.PluralRules(locale);
  const number = new Intl.NumberFormat(locale);
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const exact = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  const full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "long" });

  /**
   * Replaces each `{name}` in a text by its value.
   *
   * @param {string} text
   * @param {Record<string, string | number | Node>} values
   */
  const fill = (text, values) =>
    text.split(/\{(\w+)\}/).map((part, index) => {
      const value = index % 2 ? (values[part] ?? "") : part;
      return typeof value === "number" ? number.format(value) : value;
    });
  const nodes = (/** @type {Text} */ key, /** @type {Record<string, string | number | Node>} */ values) =>
    fill(lookUp(catalogue, key) ?? key, values);
  const text = (/** @type {Text} */ key, /** @type {Record<string, string | number>} */ values = {}) =>
    nodes(key, values).join("");
  /** Returns the form of a text for a count. @param {Text} key @param {number} count @param {Record<string, string>} [values] */
  const counted = (key, count, values) => {
    const form = plural.select(count);
    const own = lookUp(catalogue, `${key}.${form}`) ?? lookUp(catalogue, key);
    return fill(own ?? ((form === "one" && lookUp(SINGULAR, key)) || key), { ...values, count }).join("");
  };

  /** @param {number} time in milliseconds since 1970 */
  const ago = (time) => {
    const difference = time - Date.now();
    for (const [unit, length, least] of UNITS) {
      const count = difference / length;
      if (Math.abs(count) >= least) return relative.format(Math.round(count), unit);
    }
    return text("just now");
  };

  /** @param {string | number} time */
  const at = (time) => exact.format(new Date(time));

  /**
   * Returns a relative time, which shows the exact one on hover.
   *
   * @param {string | null} time
   * @param {Text} missing
   */
  const time = (time, missing = "Never") =>
    time
      ? h("time", { datetime: time, title: full.format(new Date(time)) }, ago(Date.parse(time)))
      : h("span.muted", text(missing));

  return {
    text,
    nodes,
    number: (/** @type {number} */ value) => number.format(value),
    /** Translates a message of the API. @param {string} message */
    translate: (message) => lookUp(catalogue, message) ?? message,
    count: counted,
    at,
    time,
    /** Returns a relative time and the exact one. */
    bothTimes: (/** @type {string} */ when) => [time(when), " ", h("span.muted", `(${at(when)})`)],
    /** @param {number} count @param {Intl.RelativeTimeFormatUnit} unit */
    inTime: (count, unit) => relative.format(count, unit),
    /** @param {number} count @param {string} unit */
    duration: (count, unit) =>
      new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }).format(count),
    /** Updates the relative times in an element. @param {ParentNode} root */
    refresh(root) {
      for (const element of root.querySelectorAll("time")) {
        const text = ago(Date.parse(element.dateTime));
        if (element.textContent !== text) element.textContent = text;
      }
    },
  };
}
