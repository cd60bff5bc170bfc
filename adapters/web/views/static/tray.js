// Pictures added but not yet sent: chosen, dropped or pasted. Reads each one's size here, so that the price is known.

import { boot, t } from "./boot.js";
import { announce, byId, el, icon } from "./dom.js";
import { bytes, size } from "./format.js";

export class Tray {
  constructor(onChange, onProblem) {
    this.onChange = onChange;
    this.onProblem = onProblem;
    this.items = [];
    this.list = byId("tray");
    this.#listen();
  }

  /** Add files; what is certainly too large is refused here, everything else is the server's to judge. */
  add(files) {
    for (const file of files) {
      if (this.items.length >= boot.max_jobs_at_once) {
        this.onProblem(t("too_many", { n: boot.max_jobs_at_once }));
        break;
      }
      if (file.size > boot.max_input_bytes) {
        this.onProblem(t("too_big", { name: file.name, size: bytes(boot.max_input_bytes) }));
        continue;
      }
      this.#put(file);
    }
    this.#render();
  }

  /** Hand over everything and start empty again. The previews stay valid: the conversation shows them. */
  take() {
    const taken = this.items;
    this.items = [];
    this.#render();
    return taken;
  }

  #put(file) {
    const item = { file, url: URL.createObjectURL(file), width: 0, height: 0, readable: null };
    this.items.push(item);
    const probe = new Image();
    probe.onload = () => {
      // naturalWidth is already upright: browsers apply the EXIF orientation.
      Object.assign(item, { width: probe.naturalWidth, height: probe.naturalHeight, readable: true });
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
    this.list.hidden = this.items.length === 0;
    this.list.replaceChildren(...this.items.map((item) => this.#row(item)));
    this.onChange();
  }

  #row(item) {
    const { file } = item;
    const thumb = item.readable
      ? el("img", { class: "thumb", src: item.url, alt: "" })
      : el("span", { class: "thumb" }, icon("image"));
    const facts = item.readable ? `${size(item.width, item.height)} · ${bytes(file.size)}` : bytes(file.size);
    const label = t("remove_file", { name: file.name });
    return el("li", {}, thumb, el("span", { class: "meta" }, el("b", { title: file.name }, file.name), el("span", {}, facts)),
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
