/** The form that creates a key or changes its settings. */

import { newIdempotencyKey } from "./api.js";
import { h, visible } from "./dom.js";
import { showSecret } from "./secret.js";
import { button, code, field, heading, info, newId, run, select } from "./ui.js";

/** @typedef {import("./api.js").Key} Key */
/** @typedef {import("./api.js").Problem} Problem */
/** @typedef {import("./dom.js").Child} Child */
/** @typedef {import("./ui.js").Context} Context */

const DAY = 86_400_000;
const DEFAULT_DAYS = 90;

/** @param {string} text */
const words = (text) => text.split(/[\s,]+/).filter(Boolean);

/** @param {Context} context */
export function createForm(context) {
  const { api, texts } = context;
  const name = nameField(context, "");
  const permissions = permissionPicker(context, null);
  const expires = expiryPicker(context, String(DEFAULT_DAYS), null);
  const more = moreFields(context, null);
  const isTestCaller = context.self?.environment === "test";
  const environment = radios(
    texts.text("field.environment"),
    ["live", "test"].map((value) => ({
      value,
      label: texts.text(value === "live" ? "environment.live" : "environment.test"),
      hint: value === "test" ? texts.text("form.testHint") : "",
    })),
    isTestCaller ? "test" : "live",
  );
  environment.element.hidden = isTestCaller;
  // A repeated request with the same key and body creates no second API key.
  let sent = "";
  let once = "";
  return view(context, {
    title: texts.text("form.create"),
    submitLabel: texts.text("form.submit"),
    fields: [name.element, permissions.element, expires.element, environment.element, more.element],
    errors: {
      name: name.fail,
      permissions: permissions.fail,
      expires_at: expires.fail,
      allowed_ips: more.failAddresses,
      metadata: more.failMetadata,
    },
    async submit() {
      const values = {
        name: name.value(),
        permissions: permissions.value(),
        expires_at: expires.value(),
        environment: environment.value(),
        ...more.value(),
      };
      if (Object.values(values).includes(undefined)) return false;
      // The end is counted from the click, so a repetition sends the first one again.
      const body = JSON.stringify({ ...values, expires_at: expires.choice() });
      if (body !== sent) [sent, once] = [body, newIdempotencyKey()];
      const { permissions: chosen, ...rest } = values;
      const request = { ...rest, ...(chosen && { permissions: chosen }), expires_at: expires.pinned(once) };
      const { body: issued } = await api.request("POST", "", { body: request, once });
      sent = "";
      context.setDirty(false);
      context.changed();
      await showSecret(context, issued);
      context.go({ name: "keys" });
      return true;
    },
    leave: () => context.go({ name: "keys" }),
  });
}

/**
 * @param {Context} context
 * @param {Key} key
 * @param {string} etag the version that the form shows
 * @param {() => void} reload shows the form again, with the current version
 */
export function editForm(context, key, etag, reload) {
  const { api, texts } = context;
  const name = nameField(context, key.name);
  const permissions = permissionPicker(context, key.permissions);
  const expires = expiryPicker(context, "keep", key.expires_at);
  const more = moreFields(context, key);
  return view(context, {
    title: texts.nodes("form.edit", { name: visible(key.name) }),
    submitLabel: texts.text("action.save"),
    fields: [name.element, permissions.element, expires.element, more.element],
    errors: {
      name: name.fail,
      permissions: permissions.fail,
      expires_at: expires.fail,
      allowed_ips: more.failAddresses,
      metadata: more.failMetadata,
    },
    async submit(slot) {
      const values = { name: name.value(), permissions: permissions.value(), ...more.value() };
      const end = expires.value();
      if (end === undefined || Object.values(values).includes(undefined)) return false;
      const current = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (key));
      const changes = Object.entries({ ...values, expires_at: expires.choice() === "keep" ? key.expires_at : end });
      const body = Object.fromEntries(
        changes.filter(([field, value]) => JSON.stringify(value) !== JSON.stringify(current[field])),
      );
      if (Object.keys(body).length === 0) {
        slot.replaceChildren(info(texts.text("form.nothingChanged")));
        return false;
      }
      await api.request("PATCH", `/${key.id}`, { body, etag });
      context.setDirty(false);
      context.changed();
      context.toast(texts.text("save.done", { name: key.name }));
      context.go({ name: "key", id: key.id });
      return true;
    },
    handle(problem, slot) {
      if (problem.status !== 412) return false;
      const load = button(texts.text("form.loadCurrent"), reload);
      slot.replaceChildren(info(h("p", { role: "alert" }, texts.text("form.conflict")), load));
      return true;
    },
    leave: () => context.go({ name: "key", id: key.id }),
  });
}

/**
 * @param {Context} context
 * @param {object} options
 * @param {Child} options.title
 * @param {string} options.submitLabel
 * @param {HTMLElement[]} options.fields
 * @param {Record<string, (message: string) => void>} options.errors
 * @param {(slot: HTMLElement) => Promise<boolean>} options.submit
 * @param {(problem: Problem, slot: HTMLElement) => boolean} [options.handle]
 * @param {() => void} options.leave
 */
function view(context, { title, submitLabel, fields, errors, submit, handle, leave }) {
  const { texts } = context;
  const slot = h("div");
  const focusInvalid = () => {
    const invalid = /** @type {HTMLElement | null} */ (form.querySelector('[aria-invalid="true"]'));
    invalid?.closest("details")?.setAttribute("open", "");
    invalid?.focus();
  };
  const form = h(
    "form",
    {
      novalidate: true,
      part: "form",
      oninput: () => context.setDirty(true),
      onsubmit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        for (const show of Object.values(errors)) show("");
        const action = async () => {
          if (!(await submit(slot))) focusInvalid();
        };
        await run(context, form, slot, action, (problem) => {
          const shown = problem.fields.filter(({ field }) => errors[field]);
          for (const { field, message } of shown) errors[field]?.(message);
          if (shown.length) focusInvalid();
          return shown.length > 0 || (handle?.(problem, slot) ?? false);
        });
      },
    },
    fields,
    slot,
    h(
      "div",
      { class: "actions" },
      button(submitLabel, () => {}, { kind: "primary", type: "submit" }),
      button(texts.text("action.cancel"), leave),
    ),
  );
  return { element: h("section", { class: "narrow" }, heading(title), form) };
}

/** @param {Context} context @param {string} value */
function nameField({ texts }, value) {
  const input = h("input", { type: "text", value, maxlength: 255, required: true, autocomplete: "off", class: "first" });
  const { element, fail } = field(texts.text("field.name"), input, texts.text("form.nameHint"));
  return { element, fail, value: () => input.value.trim() };
}

/**
 * @param {Child} label
 * @param {{value: string, label: Child, hint: string}[]} options
 * @param {string} chosen
 */
function radios(label, options, chosen) {
  const name = newId();
  const inputs = options.map(({ value }) =>
    h("input", { type: "radio", name, value, id: newId(), checked: value === chosen }),
  );
  const element = h(
    "fieldset",
    { part: "field" },
    h("legend", null, label),
    options.map(({ label, hint }, index) =>
      h(
        "label",
        { class: "choice" },
        inputs[index],
        h("span", null, label, hint && h("span", { class: "hint" }, hint)),
      ),
    ),
  );
  return { element, value: () => inputs.find((input) => input.checked)?.value ?? chosen };
}

/**
 * The permissions of a key: a choice from the catalogue of the host, others by name, or, for a new
 * key, everything that its creator may do.
 *
 * @param {Context} context
 * @param {string[] | null} current
 */
function permissionPicker({ texts, catalogue }, current) {
  const offered = catalogue.map(({ value }) => value);
  const boxes = catalogue.map(({ value, label, description }) => {
    const box = h("input", { type: "checkbox", value, checked: current?.includes(value) });
    const text = [label || code(value), h("span", { class: "hint" }, description, " ", label && code(value))];
    return { box, element: h("label", { class: "choice" }, box, h("span", null, text)) };
  });
  const input = h("input", {
    type: "text",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    value: current?.filter((permission) => !offered.includes(permission)).join(" ") ?? "",
  });
  const other = field(
    texts.text(offered.length ? "form.other" : "field.permissions"),
    input,
    texts.text("form.otherHint"),
  );
  const chosen = h("div", { class: "permissions", part: "permissions" }, boxes.map(({ element }) => element), other.element);
  const scope = radios(
    texts.text("field.permissions"),
    [
      { value: "chosen", label: texts.text("form.chosen"), hint: texts.text("form.chosenHint") },
      { value: "all", label: texts.text("form.all"), hint: texts.text("form.allHint") },
    ],
    "chosen",
  );
  const isAll = () => current === null && scope.value() === "all";
  // The boxes are part of the first choice.
  scope.element.querySelector("label")?.after(chosen);
  scope.element.addEventListener("change", () => (chosen.hidden = isAll()));
  return {
    element:
      current === null
        ? scope.element
        : h("fieldset", { part: "field" }, h("legend", null, texts.text("field.permissions")), chosen),
    fail: other.fail,
    /** Returns null for everything, and undefined if nothing is chosen. */
    value() {
      if (isAll()) return null;
      const ticked = boxes.filter(({ box }) => box.checked).map(({ box }) => box.value);
      const permissions = [...new Set([...ticked, ...words(input.value)])];
      // An order that is not the person's choice is no change.
      if (current && current.length === permissions.length && current.every((name) => permissions.includes(name))) {
        return current;
      }
      if (permissions.length) return permissions;
      other.fail(texts.text("form.choosePermission"));
      return undefined;
    },
  };
}

/**
 * @param {Context} context
 * @param {string} initial a number of days, `keep` or `never`
 * @param {string | null} current the present end of the key
 * @param {{label?: string, keepLabel?: import("./format.js").TextKey}} [labels]
 */
export function expiryPicker({ texts }, initial, current, { label, keepLabel = "form.keepExpiry" } = {}) {
  const days = ["7", "30", "90"].map((count) => [count, texts.count("form.days", Number(count))]);
  const when = current ? texts.at(current) : texts.text("time.never");
  const choices = [
    ...(initial === "keep" ? [["keep", texts.text(keepLabel, { when })]] : []),
    ...days,
    ["365", texts.text("form.year")],
    ["date", texts.text("form.custom")],
    ["never", texts.text("time.never")],
  ];
  const choice = select(initial, /** @type {[string, string][]} */ (choices), { onchange: () => update() });
  const date = h("input", { type: "date", "aria-label": texts.text("form.date"), oninput: () => update() });
  date.part.add("input");
  const { element, hint, fail } = field(label ?? texts.text("field.expires_at"), choice, " ");
  choice.after(date);
  /** Returns null for no end, and undefined if there is no valid date. */
  const value = () => {
    if (choice.value === "never") return null;
    if (choice.value === "keep") return current;
    if (choice.value !== "date") return new Date(Date.now() + Number(choice.value) * DAY).toISOString();
    // The end of the day, where the person is.
    const end = new Date(`${date.value}T23:59:59.999`);
    if (end.getTime() > Date.now()) return end.toISOString();
    fail(texts.text("form.chooseDate"));
    return undefined;
  };
  const update = () => {
    fail("");
    date.hidden = choice.value !== "date";
    const end = choice.value === "date" && !date.value ? undefined : value();
    hint(end ? texts.text("form.expiryAt", { when: texts.at(end) }) : end === null ? texts.text("form.expiryNever") : " ");
  };
  update();
  /** @type {{once: string, end: string | null | undefined}} */
  let pin = { once: "", end: null };
  return {
    element,
    fail,
    value,
    choice: () => (choice.value === "date" ? date.value : choice.value),
    /** Returns the end that the first request with this idempotency key had. */
    pinned(/** @type {string} */ once) {
      if (pin.once !== once) pin = { once, end: value() };
      return pin.end;
    },
  };
}

/** @param {Context} context @param {Key | null} key */
function moreFields({ texts }, key) {
  const addresses = h("textarea", { rows: 3, spellcheck: "false", value: key?.allowed_ips?.join("\n") ?? "" });
  const metadata = h("textarea", {
    rows: 4,
    spellcheck: "false",
    value: key?.metadata ? JSON.stringify(key.metadata, null, 2) : "",
  });
  const addressField = field(texts.text("field.allowed_ips"), addresses, texts.text("form.addressesHint"));
  const metadataField = field(texts.text("field.metadata"), metadata, texts.text("form.metadataHint"));
  const isOpen = Boolean(key?.allowed_ips || key?.metadata);
  return {
    element: h(
      "details",
      { open: isOpen },
      h("summary", null, texts.text("form.more")),
      addressField.element,
      metadataField.element,
    ),
    failAddresses: addressField.fail,
    failMetadata: metadataField.fail,
    value() {
      const list = words(addresses.value);
      return { allowed_ips: list.length ? list : null, metadata: parse() };
    },
  };

  function parse() {
    if (!metadata.value.trim()) return null;
    try {
      const parsed = JSON.parse(metadata.value);
      if (parsed && typeof parsed === "object" && !Array.isArray(parsed)) return parsed;
    } catch {
      // The same message as for JSON that is not an object.
    }
    metadataField.fail(texts.text("form.badMetadata"));
    return undefined;
  }
}
