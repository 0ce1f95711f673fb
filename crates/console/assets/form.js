/** The form that creates a key or changes its settings. */

import { parseJson } from "./api.js";
import { h, visible } from "./dom.js";
import { showSecret } from "./secret.js";
import { button, choice, code, field, form, heading, info, input, select } from "./ui.js";

/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./ui.js").Context} Context */

const DAY = 86_400_000;

/** @param {string} text */
const words = (text) => text.split(/[\s,]+/).filter(Boolean);

/** @param {string[]} list */
const nonEmpty = (list) => (list.length ? list : null);

/** @param {unknown} a @param {unknown} b */
const isEqual = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/**
 * @param {Context} context
 * @param {{key: Key, etag: string}} [stored] the key to change, and the version that the form shows
 * @param {() => void} [reload] shows the form again, with the current version
 */
export function keyForm(context, stored, reload) {
  const { api, text, nodes, go, setDirty } = context;
  const { key, etag } = stored ?? {};
  const name = field(
    text("Name"),
    input({ value: key?.name, maxlength: 255, class: "first" }),
    text("The program that will use it, such as “Deploy pipeline”."),
  );
  const addresses = field(
    text("Allowed addresses"),
    area(key?.allowed_ips?.join("\n")),
    text("Addresses or prefixes, one per line, such as 192.0.2.0/24. Leave it empty to allow any address."),
  );
  const metadata = field(
    text("Metadata"),
    area(key?.metadata && JSON.stringify(key.metadata, null, 2)),
    text("Your notes as a JSON object. Optional."),
  );
  const checked = context.self?.environment === "test";
  const test = choice(text("Test key"), text("For development. A test key can manage only test keys."), { checked });
  test.element.hidden = checked || Boolean(key);
  /** @type {Record<string, {element: HTMLElement, value: () => unknown, fail: (text: string) => void}>} */
  const fields = {
    name: { ...name, value: () => name.control.value.trim() },
    permissions: permissionPicker(context, key?.permissions),
    expires_at: expiryPicker(context, text("Expires"), key && { label: "As it is: {when}", end: key.expires_at }),
    allowed_ips: { ...addresses, value: () => nonEmpty(words(addresses.control.value)) },
    metadata: { ...metadata, value: () => parseObject(context, metadata) },
  };
  const more = h("details", { open: Boolean(key?.allowed_ips || key?.metadata) });
  more.append(h("summary", text("Addresses and metadata")), addresses.element, metadata.element);

  /** Shows errors at their fields. @param {[string, string][]} errors */
  const fail = (errors) => {
    for (const [name, message] of errors) fields[name]?.fail(message);
    const invalid = element.querySelector('[aria-invalid="true"]');
    invalid?.closest("details")?.setAttribute("open", "");
    if (invalid instanceof HTMLElement) invalid.focus();
  };
  const create = api.creation("");
  const leave = () => (key ? go("key", key.id) : go("keys"));
  const { element } = form(context, {
    content: [name.element, fields.permissions?.element, fields.expires_at?.element, test.element, more],
    label: key ? "Save changes" : "Create key",
    cancel: leave,
    async submit() {
      for (const { fail } of Object.values(fields)) fail("");
      const values = Object.entries(fields).map(([name, { value }]) => /** @type {const} */ ([name, value()]));
      if (values.some(([, value]) => value === undefined)) return fail([]);
      if (!key) {
        // All permissions of the caller are none in the request.
        const given = values.filter(([name, value]) => name !== "permissions" || value);
        const issued = await create({ ...Object.fromEntries(given), environment: test.box.checked ? "test" : "live" });
        setDirty(false);
        context.changed();
        await showSecret(context, issued);
        return leave();
      }
      const changes = values.filter(([name, value]) => !isEqual(value, key[/** @type {keyof Key} */ (name)]));
      if (changes.length) {
        const { body } = await api.request("PATCH", `/${key.id}`, { body: Object.fromEntries(changes), etag });
        context.changed();
        context.toast(text("Saved {name}.", { name: body.name }));
      }
      setDirty(false);
      leave();
    },
    handle({ status, fields: errors }, slot) {
      const shown = errors.filter(({ field }) => fields[field]);
      if (shown.length) fail(shown.map(({ field, message }) => [field, context.translate(message)]));
      if (status !== 412 || !reload) return shown.length > 0;
      const conflict = text("Someone else changed this key after you opened it. Nothing was saved.");
      slot.replaceChildren(
        info(h("p", { role: "alert" }, conflict), button(text("Load the current values"), reload)),
      );
      return true;
    },
  });
  element.addEventListener("input", () => setDirty(true));
  const title = key ? nodes("Edit {name}", { name: visible(key.name) }) : text("Create a key");
  return h("section.narrow", heading(title), element);
}

/** @param {string | null} [value] */
const area = (value) => h("textarea", { rows: 3, spellcheck: "false", value });

/** @param {Context} context @param {ReturnType<typeof field<HTMLTextAreaElement>>} field */
function parseObject({ text }, { control, fail }) {
  const json = control.value.trim() || "null";
  try {
    if (/^[{n]/.test(json)) return parseJson(json);
  } catch {
    // The same error as for JSON that is not an object.
  }
  fail(text("This is not a JSON object."));
  return undefined;
}

/**
 * The permissions of a key: a choice from the catalogue of the host, others by name, or, for a new
 * key, everything that its creator may do.
 *
 * @param {Context} context
 * @param {string[]} [current]
 */
function permissionPicker({ text, catalogue }, current) {
  const offered = catalogue.map(({ value }) => value);
  const choices = catalogue.map(({ value, label, description }) =>
    choice(label || code(value), [description, " ", label && code(value)], { checked: current?.includes(value) }),
  );
  const others = current?.filter((permission) => !offered.includes(permission));
  const control = input({ value: others?.join(" ") });
  const other = field(
    text(offered.length ? "Other permissions" : "Permissions"),
    control,
    text("Separated by spaces, such as calls:read calls:*"),
  );
  const chosen = h("div.permissions", choices.map(({ element }) => element), other.element);
  const all = choice(text("Everything that I may do"), text("Anyone who has the key can act as you do here."), {
    onchange: () => (chosen.hidden = all.box.checked),
  });
  return {
    element: h("fieldset.field", h("legend", text("Permissions")), !current && all.element, chosen),
    fail: other.fail,
    /** Returns null for everything, and undefined if nothing is chosen. */
    value() {
      if (all.box.checked) return null;
      const ticked = offered.filter((_, index) => choices[index]?.box.checked);
      const permissions = [...new Set([...ticked, ...words(control.value)])];
      // An order that is not the person's choice is no change.
      if (current && isEqual(current.toSorted(), permissions.toSorted())) return current;
      if (permissions.length) return permissions;
      other.fail(text("Choose at least one permission."));
      return undefined;
    },
  };
}

/**
 * A choice of the end of a key. What it shows is what a request contains, however often it is sent.
 *
 * @param {Context} context
 * @param {string} label
 * @param {{label: import("./texts.js").Text, end: string | null}} [keep] a choice that is no change
 * @param {boolean} [canBeEndless]
 */
export function expiryPicker({ text, at, duration }, label, keep, canBeEndless = true) {
  /** @type {[string, string][]} */
  const choices = [
    ["7", duration(7, "day")],
    ["30", duration(30, "day")],
    ["90", duration(90, "day")],
    ["365", duration(1, "year")],
    ["date", text("On a date …")],
  ];
  if (canBeEndless) choices.push(["never", text("Never")]);
  if (keep) choices.unshift(["keep", text(keep.label, { when: keep.end ? at(keep.end) : text("Never") })]);
  const preset = select(keep ? "keep" : "90", choices, { onchange: () => update() });
  const date = h("input.input", { type: "date", "aria-label": text("Last day"), oninput: () => update() });
  const { element, hint, fail } = field(label, preset, " ");
  preset.after(date);
  /** @type {string | null | undefined} */
  let end;
  const update = () => {
    fail("");
    const isDate = preset.value === "date";
    date.hidden = !isDate;
    // The end of the day, where the person is.
    const time = isDate ? Date.parse(`${date.value}T23:59:59.999`) : Date.now() + Number(preset.value) * DAY;
    if (keep && preset.value === "keep") end = keep.end;
    else if (preset.value === "never") end = null;
    else end = time > Date.now() ? new Date(time).toISOString() : undefined;
    hint.textContent =
      end === null
        ? text("Works until someone revokes it. An expiry limits the damage if the key leaks.")
        : end ? text("Stops working on {when}.", { when: at(end) }) : "\u00A0";
  };
  update();
  return {
    element,
    fail,
    isKept: () => preset.value === "keep",
    /** Returns null for no end, and undefined if there is no valid date. */
    value() {
      if (end === undefined) fail(text("Choose a day that has not ended."));
      return end;
    },
  };
}
