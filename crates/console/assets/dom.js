/** Building of DOM nodes. Text of users and servers becomes text nodes, never markup. */

/** @typedef {Node | string | number | null | undefined | false | any[]} Child */

/**
 * Characters that change the appearance of a text without being seen: controls, bidirectional
 * formatting, fillers, unusual spaces and variation selectors. Those of emoji are permitted.
 */
const HIDDEN =
  /(?<!\p{Emoji})[\uFE00-\uFE0F]|\u200D(?!\p{Extended_Pictographic})|(?!\n|\u200D|[\uFE00-\uFE0F])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\u034F\u115F\u1160\u17B4\u17B5\u180B-\u180F\u2800\u3164\uFFA0\u00A0\u1680\u2000-\u200A\u202F\u205F\u{E0100}-\u{E01EF}]/gu;

/**
 * @template {string} T
 * @typedef {T extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[T] : never} Tag
 */

/**
 * Creates an element. Properties may come before its children: a function becomes a listener of the
 * event that it is named after (`onclick`), `true` an attribute without a value, and any other value
 * an attribute.
 *
 * @template {string} S
 * @param {S} selector a tag and classes (`p.muted`). Each class is also a part, for hosts.
 * @param {...(Child | Record<string, any>)} children
 * @returns {S extends `${infer T}.${string}` ? Tag<T> : Tag<S>}
 */
export function h(selector, ...children) {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElement(/** @type {string} */ (tag));
  if (classes.length) element.className = element.part.value = classes.join(" ");
  const properties = children[0]?.constructor === Object && children.shift();
  for (const [name, value] of Object.entries(properties || {})) {
    if (value == null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "value") Object.assign(element, { value });
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...nodes(children));
  return /** @type {any} */ (element);
}

/**
 * @param {Child} child
 * @returns {(Node | string)[]}
 */
export function nodes(child) {
  if (child == null || child === false) return [];
  if (typeof child !== "object") return [String(child)];
  return child instanceof Node ? [child] : child.flatMap(nodes);
}

/** @param {string} character */
const codePoint = (character) =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

/**
 * Returns an element with an untrusted text. Hidden characters are shown by their code points, and
 * the direction of the text does not affect the text around it.
 *
 * @param {string} text
 */
export function visible(text) {
  const element = h("bdi");
  let end = 0;
  for (const { 0: hidden, index } of text.matchAll(HIDDEN)) {
    element.append(text.slice(end, index), h("span.hidden-character", codePoint(hidden)));
    end = index + hidden.length;
  }
  element.append(text.slice(end));
  return element;
}

/**
 * Returns an untrusted text for an attribute, with hidden characters shown by their code points.
 *
 * @param {string} text
 */
export const visibleText = (text) => text.replace(HIDDEN, (hidden) => `[${codePoint(hidden)}]`);
