/** The list of keys. */

import { h, visible } from "./dom.js";
import { badges, button, code, heading, keyLink, loadInto, pager, select } from "./ui.js";

/** @typedef {import("./ui.js").Context} Context */
/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./api.js").KeyPage} KeyPage */

const PAGE = 50;
const SOON = 7 * 86_400_000;
const STATUSES = /** @type {const} */ (["active", "disabled", "expired", "revoked"]);

/** The filters, which stay as they are while the person looks at a key. */
export const newFilters = () => ({ search: "", status: "", owner: "" });

/**
 * @param {Context} context
 * @param {ReturnType<typeof newFilters>} filters
 */
export function list(context, filters) {
  const { api, texts } = context;
  const region = h("div", { class: "region", "aria-live": "off" });
  const count = h("p", { class: "count", role: "status" });
  let request = new AbortController();
  context.signal.addEventListener("abort", () => request.abort());

  const load = () => {
    request.abort();
    request = new AbortController();
    const { signal } = request;
    const query = { ...filters, limit: PAGE, cursor: pages.cursor };
    stale.hidden = true;
    return loadInto(context, region, texts.text("list.loading"), () => api.get("", query, signal), show);
  };
  const pages = pager(texts, () => {
    load();
    title.scrollIntoView({ block: "nearest" });
  });

  /** @param {KeyPage} page */
  const show = ({ data, meta }) => {
    pages.update(meta.nextCursor);
    // Only the first page has the total. It stays visible on the others.
    if (meta.total !== undefined) count.replaceChildren(texts.count("list.count", meta.total));
    if (data.length) return [table(context, data), pages.element];
    return [Object.values(filters).some(Boolean) ? nothingFound() : empty(context), pages.element];
  };

  const nothingFound = () => {
    const clear = button(texts.text("list.clear"), () => {
      Object.assign(filters, newFilters());
      search.value = status.value = owner.value = "";
      apply();
      search.focus();
    });
    return h("div", { class: "empty" }, h("p", null, texts.text("list.none")), clear);
  };

  const apply = () => {
    pages.reset();
    load();
  };
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(apply, 250);
  };
  /** @param {"search" | "owner"} name @param {string} label */
  const input = (name, label) => {
    const element = h("input", {
      type: "search",
      part: "input",
      "aria-label": label,
      placeholder: label,
      autocomplete: "off",
      spellcheck: "false",
      maxlength: name === "owner" ? 128 : 255,
      value: filters[name],
      oninput: () => {
        filters[name] = element.value.trim();
        later();
      },
    });
    return element;
  };
  const search = input("search", texts.text("list.search"));
  const owner = input("owner", texts.text("list.ownerFilter"));
  const status = select(
    filters.status,
    ["", ...STATUSES].map((name) => [name, texts.text(/** @type {any} */ (`status.${name || "any"}`))]),
    {
      part: "input",
      "aria-label": texts.text("field.status"),
      onchange: () => {
        filters.status = status.value;
        apply();
      },
    },
  );
  // Another tab changes nothing here until the person wants to see it.
  const stale = h("p", { class: "stale", role: "status", hidden: true }, texts.text("list.changed"), " ");
  stale.append(button(texts.text("action.reload"), load));

  const title = heading(texts.text("nav.keys"));
  load();
  return {
    element: h(
      "section",
      null,
      h("div", { class: "view-title" }, title, count),
      h("div", { class: "filters", part: "filters" }, search, status, owner),
      stale,
      region,
    ),
    markStale: () => void (stale.hidden = false),
  };
}

/** @param {Context} context */
function empty({ canWrite, texts, go }) {
  return h(
    "div",
    { class: "empty" },
    h("h3", null, texts.text("list.empty")),
    h("p", null, texts.text(canWrite ? "list.emptyHint" : "list.emptyRead")),
    canWrite && button(texts.text("nav.create"), () => go({ name: "create" }), { kind: "primary" }),
  );
}

/**
 * A table, which narrow layouts show as a list. The roles keep its meaning there.
 *
 * @param {Context} context
 * @param {Key[]} keys
 */
function table(context, keys) {
  const { texts, self } = context;
  /** @param {"name" | "status" | "owner" | "last_used_at" | "expires_at"} name */
  const column = (name) =>
    h("th", { scope: "col", role: "columnheader", class: name }, texts.text(`field.${name}`));
  /** @param {string} name @param {import("./dom.js").Child} content */
  const cell = (name, content) =>
    h("td", { role: "cell", class: name, "data-label": texts.text(/** @type {any} */ (`field.${name}`)) }, content);
  const row = (/** @type {Key} */ key) =>
    h(
      "tr",
      { role: "row", class: `row ${key.status}`, part: "row", "data-id": key.id },
      cell("name", [
        keyLink(context, key.id, visible(key.name)),
        h("div", { class: "muted" }, code(key.id)),
        self?.id === key.id && h("div", { class: "muted" }, texts.text("list.yours")),
      ]),
      cell("status", badges(texts, key)),
      cell("owner", key.owner ? visible(key.owner) : h("span", { class: "muted" }, "–")),
      cell("last_used_at", texts.time(key.last_used_at, "time.neverUsed")),
      cell("expires_at", expiry(context, key)),
    );
  return h(
    "table",
    { role: "table", part: "table", "aria-label": texts.text("nav.label") },
    h(
      "thead",
      { role: "rowgroup" },
      h("tr", { role: "row" }, column("name"), column("status"), column("owner"), column("last_used_at"), column("expires_at")),
    ),
    h("tbody", { role: "rowgroup" }, keys.map(row)),
  );
}

/** @param {Context} context @param {Key} key */
function expiry({ texts }, { expires_at, status }) {
  if (status === "revoked") return h("span", { class: "muted" }, "–");
  const time = texts.time(expires_at);
  const left = Date.parse(expires_at ?? "") - Date.now();
  if (status === "active" && left < SOON) time.classList.add("soon");
  return time;
}
