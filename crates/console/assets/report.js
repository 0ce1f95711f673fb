/** The keys that deserve attention. */

import { h, visible } from "./dom.js";
import { badges, button, heading, keyLink, region } from "./ui.js";

/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./dom.js").Child} Child */
/** @typedef {import("./texts.js").Text} Text */
/** @typedef {import("./ui.js").Context} Context */

/** The sections, the most urgent first, with what to do. @type {[string, Text, Text][]} */
const SECTIONS = [
  ["replaced_but_used", "Replaced, but still used", "A program still has the old key. It stops when the overlap ends."],
  ["expire_soon", "Expire within 30 days", "Rotate them before the programs that use them stop."],
  ["all_permissions", "All permissions", "Reduce them to what the program needs."],
  ["never_expire", "Never expire", "If one leaks, it works until someone notices. Set an expiry."],
  ["unused", "Not used for 90 days", "If you are not sure, pause them first."],
  ["never_used", "Never used", "Revoke keys that no program needs."],
];

/** The most keys of a section that are shown. */
const MAX_KEYS = 20;

/** @param {Context} context */
export function report(context) {
  const { api, text, count } = context;
  let read = 0;
  /** @type {string | null} */
  let cursor = null;
  const sections = SECTIONS.map(([name, title, advice]) => ({
    name,
    title,
    advice,
    count: 0,
    keys: /** @type {Key[]} */ ([]),
  }));
  const load = (/** @type {AbortSignal} */ signal) => api.get("/report", { cursor }, signal);
  /** @param {import("./api.js").Report} page @returns {Child} */
  const show = (page) => {
    read += page.meta.keysRead;
    cursor = page.meta.nextCursor;
    for (const section of sections) {
      const found = page.sections[section.name];
      section.count += found?.count ?? 0;
      section.keys = [...section.keys, ...(found?.data ?? [])].slice(0, MAX_KEYS);
    }
    const filled = sections.filter(({ count }) => count);
    return [
      h("p.muted", { role: "status" }, count("{count} keys checked.", read)),
      filled.length
        ? filled.map((section) => details(context, section))
        : h("p.empty", text("Nothing needs your attention.")),
      cursor && button(text("Check older keys"), reload),
    ];
  };
  const { element, reload } = region(context, load, show);
  reload();
  const hint = h("p.muted", text("Keys that deserve attention. One may be in several lists."));
  return h("section", heading(text("Keys to review")), hint, element);
}

/** @param {Context} context @param {{name: string, title: Text, advice: Text, count: number, keys: Key[]}} section */
function details(context, { name, title, advice, count, keys }) {
  const { text, time, number } = context;
  const isAboutEnd = name === "expire_soon" || name === "replaced_but_used";
  const when = (/** @type {Key} */ key) =>
    isAboutEnd
      ? [text("Expires"), ": ", time(key.expires_at)]
      : [text("Last used"), ": ", time(key.last_used_at, "Not used yet")];
  const item = (/** @type {Key} */ key) =>
    h("li", h("span", keyLink(context, key.id, visible(key.name)), " ", badges(context, key)), h("span.muted", when(key)));
  return h(
    "details.report",
    h("summary", text(title), " ", h("span.badge", number(count))),
    h("p.muted", text(advice)),
    h("ul", keys.map(item)),
    count > keys.length && h("p.muted", text("The newest {count} are shown.", { count: keys.length })),
  );
}
