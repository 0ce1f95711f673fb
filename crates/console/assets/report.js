/** The keys that deserve attention. */

import { h, visible } from "./dom.js";
import { badges, button, heading, keyLink, loadInto } from "./ui.js";

/** @typedef {import("./api.js").Report} Report */
/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./format.js").TextKey} TextKey */
/** @typedef {import("./ui.js").Context} Context */

/** The sections, the most urgent first. */
const SECTIONS = /** @type {const} */ ([
  "replaced_but_used",
  "expire_soon",
  "all_permissions",
  "never_expire",
  "unused",
  "never_used",
]);

/** The most keys of a section that are shown. */
const MAX_KEYS = 20;

/** @param {Context} context */
export function report(context) {
  const { api, texts, signal } = context;
  const region = h("div", { class: "region" });
  let read = 0;
  /** @type {Map<string, {count: number, data: Key[]}>} */
  const sections = new Map(SECTIONS.map((name) => [name, { count: 0, data: [] }]));
  /** @type {string | null} */
  let cursor = null;

  const load = () =>
    loadInto(context, region, texts.text("report.loading"), () => api.get("/report", { cursor }, signal), show);
  /** @param {Report} page */
  const show = (page) => {
    read += page.meta.keysRead;
    cursor = page.meta.nextCursor;
    for (const [name, { count, data }] of Object.entries(page.sections)) {
      const section = sections.get(name);
      if (!section) continue;
      section.count += count;
      section.data = [...section.data, ...data].slice(0, MAX_KEYS);
    }
    const shown = SECTIONS.filter((name) => sections.get(name)?.count);
    return [
      h("p", { class: "muted", role: "status" }, texts.count("report.read", read)),
      shown.length === 0 && h("p", { class: "empty" }, texts.text("report.clean")),
      shown.map((name) => sectionOf(context, name, sections.get(name) ?? { count: 0, data: [] })),
      cursor && button(texts.text("report.more"), load),
    ];
  };
  load();
  return {
    element: h(
      "section",
      null,
      heading(texts.text("report.title")),
      h("p", { class: "muted" }, texts.text("report.hint")),
      region,
    ),
  };
}

/** @param {Context} context @param {string} name @param {{count: number, data: Key[]}} section */
function sectionOf(context, name, { count, data }) {
  const { texts } = context;
  const title = texts.text(/** @type {TextKey} */ (`report.${name}`));
  return h(
    "details",
    { class: "report", part: "report" },
    h("summary", null, h("span", null, title), " ", h("span", { class: "badge" }, texts.number.format(count))),
    h("p", { class: "muted" }, texts.text(/** @type {TextKey} */ (`report.${name}.why`))),
    h(
      "ul",
      { class: "report-keys" },
      data.map((key) =>
        h(
          "li",
          null,
          h("span", null, keyLink(context, key.id, visible(key.name)), " ", badges(texts, key)),
          h("span", { class: "muted" }, when(context, name, key)),
        ),
      ),
    ),
    count > data.length && h("p", { class: "muted" }, texts.text("report.shown", { count: data.length })),
  );
}

/** @param {Context} context @param {string} name @param {Key} key */
function when({ texts }, name, key) {
  const isAboutEnd = name === "expire_soon" || name === "replaced_but_used";
  const label = texts.text(isAboutEnd ? "field.expires_at" : "field.last_used_at");
  const time = isAboutEnd ? texts.time(key.expires_at) : texts.time(key.last_used_at, "time.neverUsed");
  return [`${label}: `, time];
}
