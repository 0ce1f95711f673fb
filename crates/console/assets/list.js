/** The list of keys. */

import { h, visible } from "./dom.js";
import { badges, button, code, heading, input, keyLink, pager, region, select, FIELDS, STATUSES } from "./ui.js";

/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./ui.js").Context} Context */

const SOON = 7 * 86_400_000;

const COLUMNS = ["name", "status", "owner", "last_used_at", "expires_at"];

/** The filters, which stay as they are while the person looks at a key. */
export const newFilters = () => ({ search: "", status: "", owner: "" });

/**
 * @param {Context} context
 * @param {ReturnType<typeof newFilters>} filters
 */
export function list(context, filters) {
  const { api, text, signal, tabs, canWrite, go } = context;
  const count = h("p.muted", { role: "status" });
  const load = (/** @type {AbortSignal} */ signal) => {
    stale.hidden = true;
    return api.get("", { ...filters, limit: 50, cursor: pages.cursor() }, signal);
  };
  const show = (/** @type {import("./api.js").KeyPage} */ { data, meta }) => {
    pages.update(meta.nextCursor);
    // Only the first page has the total. It stays visible on the others.
    if (meta.total !== undefined) count.textContent = context.count("{count} keys", meta.total);
    const none = Object.values(filters).some(Boolean) ? nothingFound : empty;
    return [data.length ? table(context, data) : none(), pages.element];
  };
  const { element, reload } = region(context, load, show);
  const pages = pager(context, () => {
    reload();
    title.scrollIntoView({ block: "nearest" });
  });
  const apply = () => {
    pages.reset();
    reload();
  };
  const clear = () => {
    Object.assign(filters, newFilters());
    search.value = status.value = owner.value = "";
    apply();
    search.focus();
  };
  const nothingFound = () =>
    h("div.empty", h("p", text("No key matches these filters.")), button(text("Clear filters"), clear));
  const empty = () => {
    const title = h("h3", text("No keys yet"));
    if (!canWrite) return h("div.empty", title);
    const hint = text("Create a key for each program, so that you can revoke them one by one.");
    return h("div.empty", title, h("p", hint), button(text("Create key"), () => go("create"), "primary"));
  };

  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  /** @param {"search" | "owner"} name @param {string} label @param {number} maxlength */
  const filter = (name, label, maxlength) => {
    const oninput = () => {
      filters[name] = control.value.trim();
      clearTimeout(timer);
      timer = setTimeout(apply, 250);
    };
    const properties = { part: "input", "aria-label": label, placeholder: label, value: filters[name] };
    const control = input({ type: "search", maxlength, oninput, ...properties });
    return control;
  };
  const search = filter("search", text("Search by name"), 255);
  const owner = filter("owner", text("Owner, such as user:42"), 128);
  /** @type {[string, string][]} */
  const statuses = Object.entries(STATUSES).map(([name, label]) => [name, text(label)]);
  const status = select(filters.status, [["", text("Any status")], ...statuses], {
    part: "input",
    "aria-label": text("Status"),
    onchange: () => {
      filters.status = status.value;
      apply();
    },
  });
  // Another tab changes nothing here until the person wants to see it.
  const stale = h("p.stale", { role: "status", hidden: true }, text("Another tab changed the keys."), button(text("Reload"), reload));
  tabs.addEventListener("message", () => (stale.hidden = false), { signal });

  const title = heading(text("Keys"));
  reload();
  return h("section", h("div.title", title, count), h("div.filters", search, status, owner), stale, element);
}

/**
 * A table, which narrow layouts show as a list.
 *
 * @param {Context} context
 * @param {Key[]} keys
 */
function table(context, keys) {
  const { text, time, self } = context;
  const labels = COLUMNS.map((name) => text(FIELDS[name] ?? "Status"));
  const head = COLUMNS.map((name, index) => h(`th.${name}`, { scope: "col" }, labels[index]));
  const row = (/** @type {Key} */ key) => {
    const cells = [
      [
        keyLink(context, key.id, visible(key.name)),
        h("div.muted", code(key.id)),
        self?.id === key.id && h("div.muted", text("You signed in with this key")),
      ],
      badges(context, key),
      key.owner ? visible(key.owner) : h("span.muted", "–"),
      time(key.last_used_at, "Not used yet"),
      expiry(context, key),
    ];
    return h(
      `tr.row.${key.status}`,
      COLUMNS.map((name, index) => h(`td.${name}`, { "data-label": labels[index] }, cells[index])),
    );
  };
  return h(
    "table.table",
    { "aria-label": text("API keys") },
    h("thead", h("tr", head)),
    h("tbody", keys.map(row)),
  );
}

/** @param {Context} context @param {Key} key */
function expiry({ time }, { expires_at, status }) {
  if (status === "revoked") return h("span.muted", "–");
  const element = time(expires_at);
  const left = Date.parse(expires_at ?? "") - Date.now();
  if (status === "active" && left < SOON) element.className = "soon";
  return element;
}
