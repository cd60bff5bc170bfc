// Pictures added but not yet sent: chosen, dropped or pasted. Reads each one's size here, so that the price is known.

import { boot, t } from "./boot.js";
import { announce, byId, el, icon } from "./dom.js";
import { bytes, decimal, size } from "./format.js";

const NO_PICTURE = /^(?:video|audio|text|font)\/|^application\/(?!octet-stream)/;

/** What the picture's size forbids, as a sentence; empty where nothing does. */
function sizeObjection({ width, height, file: { name } }) {
  const { max_input_pixels, min_input_side_px } = boot.limits;
  const megapixels = (pixels) => decimal(pixels / 1e6);
  if (width * height > max_input_pixels) return t("too_many_pixels", { name, n: megapixels(width * height), limit: megapixels(max_input_pixels) });
  return Math.min(width, height) < min_input_side_px ? t("too_small", { name, n: min_input_side_px }) : "";
}

export class Tray {
  constructor(onChange) {
    this.onChange = onChange;
    this.items = [];
    this.refused = [];
    this.list = byId("tray");
    this.#listen();
  }

  /** Add files; what certainly cannot be enlarged is named beside those that are kept. The server judges the rest. */
  add(files) {
    for (const file of files) {
      const why = this.#objection(file);
      if (why) this.#refuse(why); else this.#put(file);
    }
    this.#render();
  }

  #objection(file) {
    const { max_input_bytes } = boot.limits, { name } = file;
    if (NO_PICTURE.test(file.type)) return t("wrong_kind", { name });
    if (file.size > max_input_bytes) return t("too_big", { name, size: bytes(max_input_bytes) });
    if (this.items.length >= boot.max_jobs_at_once) return t("too_many", { name, n: boot.max_jobs_at_once });
    return "";
  }

  #refuse(why) {
    this.refused.push(why);
    announce(why);
  }

  /** Hand over everything and start empty again. The previews stay valid: the conversation shows them. */
  take() {
    const taken = this.items;
    this.items = [];
    this.refused = [];
    this.#render();
    return taken;
  }

  /** Say under each picture what is wrong with it for this line; an empty sentence takes it away. */
  note(item, problem) {
    if ((item.problem ?? "") === problem) return;
    item.problem = problem;
    this.#rows();
    if (problem) announce(`${item.file.name}: ${problem}`);
  }

  #put(file) {
    const item = { file, url: URL.createObjectURL(file), width: 0, height: 0, readable: null };
    this.items.push(item);
    const probe = new Image();
    probe.onload = () => {
      // naturalWidth is already upright: browsers apply the EXIF orientation.
      Object.assign(item, { width: probe.naturalWidth, height: probe.naturalHeight, readable: true });
      const why = sizeObjection(item);
      if (why) {
        this.#refuse(why);
        this.items = this.items.filter((other) => other !== item);
      }
      this.#render();
    };
    probe.onerror = () => { item.readable = false; this.#render(); };
    probe.src = item.url;
    announce(t("added", { name: file.name }));
  }

  #remove(item) {
    this.items = this.items.filter((other) => other !== item);
    URL.revokeObjectURL(item.url);
    this.#render();
    byId("line").focus();
  }

  #render() {
    this.#rows();
    this.onChange();
  }

  #rows() {
    this.list.hidden = this.items.length + this.refused.length === 0;
    this.list.replaceChildren(...this.refused.map((why) => this.#refusal(why)), ...this.items.map((item) => this.#row(item)));
  }

  #refusal(why) {
    const label = t("dismiss", { text: why });
    const dismiss = () => { this.refused.splice(this.refused.indexOf(why), 1); this.#rows(); byId("line").focus(); };
    return el("li", { class: "left-out" }, icon("warn"), el("span", { class: "why" }, why),
      el("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: dismiss }, icon("close")));
  }

  #row(item) {
    const { file } = item;
    const thumb = item.readable
      ? el("img", { class: "thumb", src: item.url, alt: "" })
      : el("span", { class: "thumb" }, icon("image"));
    const facts = item.readable ? `${size(item.width, item.height)} · ${bytes(file.size)}` : bytes(file.size);
    const label = t("remove_file", { name: file.name });
    return el("li", { class: item.problem ? "bad" : "" }, thumb, el("span", { class: "meta" }, el("b", { title: file.name }, file.name), el("span", {}, facts), item.problem ? el("span", { class: "why" }, item.problem) : null),
      el("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: () => this.#remove(item) }, icon("close")));
  }

  #listen() {
    const chooser = byId("file");
    chooser.addEventListener("change", () => { this.add(chooser.files); chooser.value = ""; byId("line").focus(); });
    byId("attach").addEventListener("click", () => chooser.click());
    byId("hero-choose").addEventListener("click", () => chooser.click());
    document.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length === 0) return;
      event.preventDefault();
      this.add(files.map((file) => (file.name === "image.png" ? new File([file], `${t("pasted")}.png`, { type: file.type }) : file)));
    });
    this.#listenForDrops();
  }

  #listenForDrops() {
    const veil = byId("drop");
    let depth = 0;
    const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const close = () => { depth = 0; veil.hidden = true; };
    addEventListener("dragenter", (event) => { if (carriesFiles(event)) { depth += 1; veil.hidden = false; } });
    addEventListener("dragleave", () => { depth -= 1; if (depth <= 0) close(); });
    addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
    addEventListener("drop", (event) => {
      close();
      if (!carriesFiles(event)) return;
      event.preventDefault();
      this.add(event.dataTransfer.files);
    });
  }
}
