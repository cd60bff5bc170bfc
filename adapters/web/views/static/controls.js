// The parameters as controls. They hold no truth of their own: the line does, and the server reads it.

import { boot, t } from "./boot.js";
import { byId, el } from "./dom.js";
import { decimal } from "./format.js";

const RANGES = ["factor", "creativity", "guidance", "steps"];

export class Controls {
  /** `onEdit(words)` is told the parameters as text whenever a person moves a control; `onSave()` saves them. */
  constructor(onEdit, onSave) {
    this.onEdit = onEdit;
    this.preset = null;
    this.inputs = {};
    this.outputs = {};
    this.box = byId("controls");
    this.box.append(this.#presets(), ...RANGES.map((name) => this.#range(name)), this.#seed(), this.#safety(), this.#foot(onSave));
    this.set({ ...this.#base(null), seed: null, safety: true }, null);
    byId("adjust").addEventListener("click", () => this.toggle());
  }

  toggle(open = this.box.hidden) {
    this.box.hidden = !open;
    byId("adjust").setAttribute("aria-expanded", String(open));
    if (open) this.box.querySelector("input:checked, input").focus({ preventScroll: true });
  }

  /** Show what the server read from the line. */
  set(values, preset) {
    this.preset = preset;
    for (const name of RANGES) {
      this.inputs[name].value = String(values[name]);
      this.#label(name);
    }
    this.inputs.seed.value = values.seed ?? "";
    this.inputs.safety.checked = values.safety;
    const shown = preset ?? Object.keys(boot.presets).find((name) => boot.presets[name].creativity === values.creativity);
    for (const radio of this.radios) radio.checked = radio.value === shown;
    this.mark({});
  }

  /** Mark the controls whose values were refused. */
  mark(fields) {
    for (const [name, input] of Object.entries(this.inputs)) {
      const bad = name in fields;
      input.toggleAttribute("aria-invalid", false);
      if (bad) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
      input.closest(".control").toggleAttribute("data-bad", bad);
    }
  }

  /** What counts where the line says nothing: the model's defaults, the saved ones, the preset. */
  #base(preset) {
    const values = Object.fromEntries(RANGES.map((name) => [name, boot.controls[name].default]));
    const saved = boot.defaults;
    return { ...values, ...(boot.presets[saved.preset] ?? {}), ...saved, ...(boot.presets[preset] ?? {}) };
  }

  /** The controls as the shortest line that means the same. */
  words() {
    const base = this.#base(this.preset);
    const words = this.preset ? [this.preset] : [];
    for (const name of RANGES) {
      const value = Number(this.inputs[name].value);
      if (value !== Number(base[name])) words.push(name === "factor" ? `${value}x` : `${name}=${value}`);
    }
    const seed = this.inputs.seed.value.trim();
    if (seed !== "") words.push(`seed=${seed}`);
    const safety = this.inputs.safety.checked;
    if (safety !== (base.safety ?? true)) words.push(`safety=${safety ? "on" : "off"}`);
    return words.join(" ");
  }

  #edited() {
    for (const name of RANGES) this.#label(name);
    this.onEdit(this.words());
  }

  #label(name) {
    const value = Number(this.inputs[name].value);
    const text = name === "factor" ? `${decimal(value)}×` : decimal(value);
    this.outputs[name].textContent = text;
    this.inputs[name].setAttribute("aria-valuetext", text);
  }

  #presets() {
    this.radios = Object.keys(boot.presets).map((name) => el("input", {
      type: "radio", name: "preset", value: name,
      onchange: () => { this.#choose(name); },
    }));
    return el("fieldset", { class: "control wide" }, el("legend", {}, t("preset")),
      el("div", { class: "segments" }, this.radios.map((radio) => el("label", {}, radio, el("span", {}, t(`preset_${radio.value}`))))));
  }

  #choose(name) {
    const factor = this.inputs.factor.value;
    this.preset = name;
    const base = this.#base(name);
    for (const range of RANGES) this.inputs[range].value = String(base[range]);
    this.inputs.factor.value = factor;
    this.#edited();
  }

  #range(name) {
    const { low, high, step } = boot.controls[name];
    const id = `c-${name}`;
    const input = el("input", { id, type: "range", min: String(low), max: String(high), step: String(step), "aria-describedby": `${id}-hint` });
    input.addEventListener("input", () => { this.#label(name); });
    input.addEventListener("change", () => this.#edited());
    this.inputs[name] = input;
    this.outputs[name] = el("output", { for: id });
    return el("div", { class: "control" },
      el("div", { class: "head" }, el("label", { for: id }, t(name)), this.outputs[name]), input,
      el("p", { class: "fine", id: `${id}-hint` }, t(`${name}_hint`)));
  }

  #seed() {
    const { low, high } = boot.controls.seed;
    const input = el("input", { id: "c-seed", type: "number", min: String(low), max: String(high), step: "1", inputMode: "numeric", placeholder: t("seed_random"), "aria-describedby": "c-seed-hint" });
    input.addEventListener("change", () => this.#edited());
    this.inputs.seed = input;
    return el("div", { class: "control" }, el("label", { for: "c-seed" }, t("seed")), input, el("p", { class: "fine", id: "c-seed-hint" }, t("seed_hint")));
  }

  #safety() {
    const input = el("input", { id: "c-safety", type: "checkbox", role: "switch", checked: true, disabled: !boot.allow_unsafe, "aria-describedby": "c-safety-hint" });
    input.addEventListener("change", () => this.#edited());
    this.inputs.safety = input;
    return el("div", { class: "control" }, el("div", { class: "switch" }, input, el("label", { for: "c-safety" }, t("safety"))),
      el("p", { class: "fine", id: "c-safety-hint" }, boot.allow_unsafe ? t("safety_hint") : t("safety_fixed")));
  }

  #foot(onSave) {
    return el("div", { class: "foot" },
      el("button", { type: "button", class: "quiet", onclick: onSave }, t("save_defaults")),
      el("button", { type: "button", onclick: () => { this.set({ ...this.#base(null), seed: null, safety: true }, null); this.onEdit(""); } }, t("reset")));
  }
}
