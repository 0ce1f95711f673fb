/** Texts in the language of the page: translations, numbers and times. */

import { h } from "./dom.js";

/**
 * A text in English, which is also the key of its translations.
 *
 * @typedef {keyof typeof import("./de.js").german} Text
 */
/** @typedef {Record<string, string>} Catalogue */

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
  const { format } = new Intl.NumberFormat(locale);
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const exact = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });

  /** @param {string} key */
  const find = (key) => {
    const found = lookUp(catalogue, key);
    return typeof found === "string" ? found : undefined;
  };
  /** Translates a text of this page or a message of the API. @param {string} text */
  const translate = (text) => find(text) ?? text;

  /**
   * Replaces each `{name}` in a text by its value.
   *
   * @param {string} text
   * @param {Record<string, string | number | Node>} values
   */
  const fill = (text, values) =>
    text.split(/\{(\w+)\}/).map((part, index) => {
      const value = index % 2 ? (values[part] ?? "") : part;
      return typeof value === "number" ? format(value) : value;
    });
  const nodes = (/** @type {Text} */ key, /** @type {Record<string, string | number | Node>} */ values) =>
    fill(translate(key), values);
  const text = (/** @type {Text} */ key, /** @type {Record<string, string | number>} */ values = {}) =>
    nodes(key, values).join("");
  /**
   * Returns the form of a text for a count. In a catalogue, the key of a form ends in `.one`, or in
   * another plural category of the language.
   *
   * @param {Text} key
   * @param {number} total
   * @param {Record<string, string>} [values]
   */
  const count = (key, total, values) => {
    const form = plural.select(total);
    // All English texts with a count are about keys.
    const english = form === "one" ? key.replace("keys", "key") : key;
    const translated = find(`${key}.${form}`) ?? find(key);
    return fill(translated ?? english, { ...values, count: total }).join("");
  };

  /** @param {number} time in milliseconds since 1970 */
  const ago = (time) => {
    for (const [unit, length, least] of UNITS) {
      const count = (time - Date.now()) / length;
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
      ? h("time", { datetime: time, title: at(time) }, ago(Date.parse(time)))
      : h("span.muted", text(missing));

  return {
    text,
    nodes,
    number: format,
    translate,
    count,
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
