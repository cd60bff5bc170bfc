// The parameters as controls. They hold no truth of their own: the line does, and the server reads it.

import { boot, t } from "./boot.js";
import { byId, el } from "./dom.js";
import { decimal } from "./format.js";

const SLIDER_STEPS = 300; // more values than that are a number to type

export class Controls {
  /** `onEdit(words)` is told the parameters as text whenever a person moves a control; `onSave()` saves them. */
  constructor(onEdit, onSave) {
    this.onEdit = onEdit;
    this.preset = null;
    this.inputs = {};
    this.outputs = {};
    this.box = byId("controls");
    const made = boot.controls.map((control) => this.#control(control)).filter(Boolean);
    this.box.append(this.#presets(), ...made, this.#foot(onSave));
    this.set(this.#base(null), null);
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
    this.#fit(this.#model(values.model));
    for (const [name, input] of Object.entries(this.inputs)) {
      if (input.type === "checkbox") input.checked = values[name] ?? true;
      else input.value = values[name] ?? "";
      this.#label(name);
    }
    const shown = preset ?? Object.keys(boot.preset_names).find((name) => boot.presets[name].creativity === values.creativity);
    for (const radio of this.radios) radio.checked = radio.value === shown;
    this.mark({});
  }

  /** Mark the controls whose values were refused. */
  mark(fields) {
    for (const [name, input] of Object.entries(this.inputs)) {
      const bad = name in fields;
      if (bad) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
      input.closest(".control").toggleAttribute("data-bad", bad);
    }
  }

  #model(id) {
    return boot.models.find((model) => model.id === id) ?? boot.models[0];
  }

  /** The ranges of this model; what it does not have is hidden. */
  #fit(model) {
    this.presets.hidden = !("creativity" in model.inputs);
    for (const [name, input] of Object.entries(this.inputs)) {
      if (name === "model" || name === "to") continue;
      const range = model.inputs[name];
      input.closest(".control").hidden = !range;
      if (range && input.type !== "checkbox") Object.assign(input, { min: String(range.low), max: String(range.high) });
    }
  }

  /** What counts where the line says nothing: the model's defaults, the saved ones, the preset. */
  #base(preset, modelId = null) {
    const saved = boot.defaults;
    const model = this.#model(modelId ?? boot.presets[preset]?.model ?? saved.model);
    const defaults = Object.fromEntries(Object.entries(model.inputs).map(([name, input]) => [name, input.default]));
    const values = { ...defaults, ...(boot.presets[saved.preset] ?? {}), ...saved, ...(boot.presets[preset] ?? {}) };
    return { ...Object.fromEntries(Object.entries(values).filter(([name]) => name in model.inputs)), model: model.id };
  }

  /** The controls as the shortest line that means the same. */
  words() {
    const chosen = this.inputs.model?.value ?? null;
    const base = this.#base(this.preset, chosen);
    const words = this.preset ? [this.preset] : [];
    if (chosen !== null && chosen !== this.#base(this.preset).model) words.push(`model=${chosen}`);
    const size = this.inputs.to?.value.trim();
    if (size) words.push(`to=${size.replaceAll(" ", "")}`);
    for (const name of Object.keys(this.#model(chosen).inputs)) {
      if (name === "factor" && size) continue;
      const input = this.inputs[name];
      const value = input.type === "checkbox" ? input.checked : input.value.trim() === "" ? null : Number(input.value);
      if (value === null || value === (base[name] ?? null)) continue;
      words.push(name === "factor" ? `${value}x` : `${name}=${value === true ? "on" : value === false ? "off" : value}`);
    }
    return words.join(" ");
  }

  #edited() {
    this.onEdit(this.words());
  }

  #label(name) {
    if (!this.outputs[name]) return;
    const value = Number(this.inputs[name].value);
    const text = name === "factor" ? t("times", { n: decimal(value) }) : decimal(value);
    this.outputs[name].textContent = text;
    this.inputs[name].setAttribute("aria-valuetext", text);
  }

  #presets() {
    this.radios = Object.keys(boot.preset_names).map((name) => el("input", {
      type: "radio", name: "preset", value: name,
      onchange: () => { this.#choose(name); },
    }));
    this.presets = el("fieldset", { class: "control wide" }, el("legend", {}, t("preset")),
      el("div", { class: "segments" }, this.radios.map((radio) => el("label", {}, radio, el("img", { src: `/static/preset-${radio.value}.webp`, alt: "", width: 56, height: 42 }), el("span", {}, boot.preset_names[radio.value])))));
    return this.presets;
  }

  #choose(name) {
    this.set({ ...this.#base(name, this.inputs.model?.value), factor: this.inputs.factor.value, seed: this.inputs.seed?.value }, name);
    this.#edited();
  }

  #control(control) {
    const input = this.#input(control);
    if (input === null) return null;
    const { name, label, hint } = control;
    if (name === "model") {
      this.inputs[name] = input;
      return el("fieldset", { class: "control wide" }, el("legend", {}, label), input);
    }
    input.id = `c-${name}`;
    input.setAttribute("aria-describedby", `c-${name}-hint`);
    input.addEventListener("change", () => this.#edited());
    this.inputs[name] = input;
    const words = el("label", { for: input.id }, label);
    if (input.type === "range") {
      input.addEventListener("input", () => this.#label(name));
      this.outputs[name] = el("output", { for: input.id });
    }
    const head = input.type === "checkbox" ? [el("div", { class: "switch" }, input, words)]
      : input.type === "range" ? [el("div", { class: "head" }, words, this.outputs[name]), input] : [words, input];
    const said = input.type === "checkbox" && input.disabled ? t("safety_fixed") : hint;
    return el("div", { class: "control" }, head, el("p", { class: "fine", id: `c-${name}-hint` }, said));
  }

  /** The element for a parameter, or null where no model on offer has it. */
  #input({ name, kind }) {
    if (kind === "choice") {
      if (boot.models.length < 2) return null;
      return this.#models();
    }
    if (kind === "size") return el("input", { type: "text", maxLength: 40, placeholder: "4k, a4@300dpi, $0.50" });
    const range = boot.models.map((model) => model.inputs[name]).find(Boolean);
    if (!range) return null;
    if (kind === "bool") return el("input", { type: "checkbox", role: "switch", checked: true, disabled: !boot.allow_unsafe });
    const step = kind === "int" ? 1 : (range.high - range.low) / 20 < 0.1 ? 0.05 : 0.1;
    const slider = (range.high - range.low) / step <= SLIDER_STEPS;
    return slider ? el("input", { type: "range", step: String(step) })
      : el("input", { type: "number", step: String(step), inputMode: "numeric", placeholder: t("seed_random") });
  }

  /** The models beside each other, each with its price; the box behaves like a select. */
  #models() {
    const radios = boot.models.map((model) => el("input", {
      type: "radio", name: "model", value: model.id,
      onchange: () => {
        this.set({ ...this.#base(null, model.id), factor: this.inputs.factor.value }, null);
        this.#edited();
      },
    }));
    const box = el("div", { class: "segments models" }, boot.models.map((model, at) => el("label", {}, radios[at],
      el("b", {}, model.name), el("span", { class: "fine" }, `${model.about} · ${model.price.replaceAll(" ", "\u00a0")}`))));
    Object.defineProperty(box, "value", {
      get: () => radios.find((radio) => radio.checked)?.value ?? boot.models[0].id,
      set: (id) => { for (const radio of radios) radio.checked = radio.value === id; },
    });
    return box;
  }

  #foot(onSave) {
    return el("div", { class: "foot" },
      el("button", { type: "button", class: "quiet", onclick: onSave }, t("save_defaults")),
      el("button", { type: "button", onclick: () => { this.set(this.#base(null), null); this.onEdit(""); } }, t("reset")));
  }
}
