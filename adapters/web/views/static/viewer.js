// Before and after in one zoomable view. Zoom is counted in device pixels: 100 % is one pixel of the picture on one
// pixel of the screen. Small pictures are plain images; large ones show a reduced preview and, on top of it, the tiles
// in view. The pictures are real images inside links, so that a browser's own menu, copying and dragging work.

import { t } from "./boot.js";
import { el, icon } from "./dom.js";
import { integer, percent } from "./format.js";
import { gestures } from "./gestures.js";
import { Tiles } from "./tiles.js";

const LADDER = [0.05, 0.1, 0.25, 0.5, 1, 2, 4];
const MOST = 4;
const LEAST_HEIGHT_PX = 220;
const TOOLS_PX = 150; // the view's own tools, the actions below it, and the card's edge
const INPUT_EDGE_PX = 26;
const ARROW_STEP = 0.12;
const NEAR_EDGE_PX = 14;

export class Viewer {
  /** `onGone` is called when the result cannot be loaded. */
  constructor(job, alt, onGone) {
    const { image, view_url, source_url, source_view_url, tile_url, source_tile_url, tile_px } = job.result;
    this.size = { width: image.width, height: image.height };
    this.zoom = 1;
    this.fitted = true;
    this.centre = { x: 0.5, y: 0.5 };
    this.side = false;
    this.after = new Layer("after", { url: view_url, full: image.url, name: image.file_name, mime: image.content_type, alt });
    this.before = new Layer("before", { url: source_view_url, full: source_url, name: job.name || "before", mime: "", alt: "" });
    if (tile_url) this.after.tiles = new Tiles(this.after.link, tile_url, image.width, image.height, tile_px);
    if (source_tile_url && job.input) this.before.tiles = new Tiles(this.before.link, source_tile_url, job.input.width, job.input.height, tile_px);
    this.#build();
    this.before.image.addEventListener("error", () => this.root.classList.add("single"), { once: true });
    this.after.image.addEventListener("error", onGone, { once: true });
    gestures(this.stage, this);
    this.root.addEventListener("keydown", (event) => this.#key(event));
    this.root.addEventListener("fullscreenchange", () => this.layout());
    this.#slide(50);
    this.#watchSize();
  }

  #build() {
    this.range = el("input", { type: "range", min: "0", max: "100", step: "1", value: "50", "aria-label": t("slider"), oninput: () => this.#slide(Number(this.range.value)) });
    this.edge = el("span", { class: "edge" });
    this.labels = [el("span", { class: "side left", "aria-hidden": "true" }, t("before")), el("span", { class: "side right", "aria-hidden": "true" }, t("after"))];
    this.stage = el("div", { class: "stage", tabIndex: 0, role: "group", "aria-label": t("viewer"), "aria-description": t("viewer_keys"), "aria-keyshortcuts": "+ - 0 1 Z D F" },
      this.after.pane, this.before.pane, this.edge, this.labels, this.range);
    this.shown = el("output", { class: "zoom", "aria-label": t("zoom") });
    const tool = (label, name, act, props = {}) => el("button", { type: "button", class: "quiet icon-only", "aria-label": label, title: label, onclick: act, ...props }, icon(name));
    this.fitButton = el("button", { type: "button", class: "quiet", onclick: () => this.fit() }, t("zoom_fit"));
    this.zooms = [1, 2, 4].map((zoom) => [zoom, el("button", { type: "button", class: "quiet", onclick: () => this.zoomTo(zoom) }, percent(zoom))]);
    this.sideButton = tool(t("view_side"), "columns", () => this.toggleSide(), { "aria-pressed": "false" });
    this.fullButton = tool(t("view_full"), "full", () => this.toggleFull(), { "aria-pressed": "false" });
    this.bar = el("div", { class: "view-bar", role: "toolbar", "aria-label": t("viewer") },
      tool(t("zoom_out"), "minus", () => this.step(-1)), this.shown, tool(t("zoom_in"), "plus", () => this.step(1)),
      el("span", { class: "presets" }, this.fitButton, this.zooms.map(([, node]) => node)),
      el("span", { class: "ways" }, this.sideButton, this.fullButton));
    this.root = el("figure", { class: "viewer" }, this.stage, this.bar);
  }

  #watchSize() {
    const observer = new ResizeObserver(() => this.layout());
    try {
      observer.observe(this.stage, { box: "device-pixel-content-box" }); // also told when the page itself is zoomed
    } catch {
      observer.observe(this.stage);
    }
    observer.observe(this.root);
  }

  get full() {
    return document.fullscreenElement === this.root || this.root.classList.contains("full");
  }

  /** How much of the picture's width and height one pane shows, in CSS pixels of the pane. */
  get pane() {
    const width = this.stage.clientWidth, height = this.stage.clientHeight;
    if (!this.side) return { width, height };
    return this.stacked ? { width, height: height / 2 } : { width: width / 2, height };
  }

  /** Side by side becomes one above the other where that leaves more room. */
  get stacked() {
    return this.stage.clientWidth / this.stage.clientHeight < this.size.width / this.size.height;
  }

  get fitZoom() {
    const { width, height } = this.pane;
    return Math.min(1, (width * devicePixelRatio) / this.size.width, (height * devicePixelRatio) / this.size.height);
  }

  get pannable() {
    return this.zoom > this.fitZoom * 1.001;
  }

  /** Measure again and draw. */
  layout() {
    if (this.full) {
      this.stage.style.height = "";
    } else {
      const most = Math.max(LEAST_HEIGHT_PX, roomHeight() - TOOLS_PX);
      this.stage.style.height = `${Math.round(Math.min(most, Math.max(LEAST_HEIGHT_PX, this.#wantedHeight(most))))}px`;
    }
    this.fullButton.setAttribute("aria-pressed", String(this.full));
    this.draw();
  }

  /** The height that shows the whole picture as large as the room allows, never above 100 %. */
  #wantedHeight(most) {
    const room = this.stage.clientWidth, { width, height } = this.size;
    const scale = (columns, rows) => Math.min(room / columns / width, most / rows / height, 1 / devicePixelRatio);
    if (!this.side) return height * scale(1, 1);
    return Math.max(scale(2, 1), scale(1, 2)) * height * (scale(1, 2) > scale(2, 1) ? 2 : 1);
  }

  draw() {
    if (this.stage.clientWidth === 0) return;
    if (this.fitted) this.zoom = this.fitZoom;
    const { width, height } = this.pane;
    const scale = this.zoom / devicePixelRatio;
    const box = { width: this.size.width * scale, height: this.size.height * scale };
    this.stage.style.setProperty("--beside", `${Math.max(0, (width - box.width) / 2)}px`);
    this.centre = { x: kept(this.centre.x, width / box.width), y: kept(this.centre.y, height / box.height) };
    const snap = (value) => Math.round(value * devicePixelRatio) / devicePixelRatio;
    box.left = snap(width / 2 - this.centre.x * box.width);
    box.top = snap(height / 2 - this.centre.y * box.height);
    this.root.classList.toggle("side-by-side", this.side);
    this.root.classList.toggle("stacked", this.side && this.stacked);
    this.root.classList.toggle("pannable", this.pannable);
    this.after.place(box, { width, height });
    this.before.place(box, { width, height });
    this.shown.textContent = percent(this.zoom);
    this.fitButton.setAttribute("aria-pressed", String(this.fitted));
    for (const [zoom, node] of this.zooms) node.setAttribute("aria-pressed", String(!this.fitted && Math.abs(this.zoom - zoom) < 0.001));
    this.#clip();
  }

  fit() {
    this.fitted = true;
    this.centre = { x: 0.5, y: 0.5 };
    this.draw();
  }

  /** Zoom, keeping the point of the picture under `at` (CSS pixels from the pane's corner) where it is. */
  zoomTo(zoom, at = null) {
    const { width, height } = this.pane;
    const point = at ?? { x: width / 2, y: height / 2 };
    const under = this.under(point);
    this.zoom = Math.min(MOST, Math.max(Math.min(this.fitZoom, 1), zoom));
    this.fitted = this.zoom <= this.fitZoom * 1.001 && zoom < 1;
    const scale = this.zoom / devicePixelRatio;
    this.centre = {
      x: under.x - (point.x - width / 2) / (this.size.width * scale),
      y: under.y - (point.y - height / 2) / (this.size.height * scale),
    };
    this.draw();
  }

  /** The point of the picture (0–1) under a point of the pane. */
  under(point) {
    const { width, height } = this.pane;
    const scale = this.zoom / devicePixelRatio;
    return {
      x: this.centre.x + (point.x - width / 2) / (this.size.width * scale),
      y: this.centre.y + (point.y - height / 2) / (this.size.height * scale),
    };
  }

  /** The pane's point under a pointer. */
  pointOf(event) {
    const frame = this.stage.getBoundingClientRect();
    const { width, height } = this.pane;
    const x = event.clientX - frame.left - this.stage.clientLeft, y = event.clientY - frame.top - this.stage.clientTop;
    return { x: this.side && !this.stacked ? x % width : x, y: this.side && this.stacked ? y % height : y };
  }

  pan(dx, dy) {
    const scale = this.zoom / devicePixelRatio;
    this.centre = { x: this.centre.x - dx / (this.size.width * scale), y: this.centre.y - dy / (this.size.height * scale) };
    this.draw();
  }

  step(direction) {
    const steps = direction > 0 ? LADDER : [...LADDER].reverse();
    const next = steps.find((zoom) => (direction > 0 ? zoom > this.zoom * 1.01 : zoom < this.zoom * 0.99));
    if (direction < 0 && (next === undefined || next <= this.fitZoom)) this.fit(); else if (next) this.zoomTo(next);
  }

  toggleZoom(at = null) {
    if (this.pannable || (!this.fitted && this.fitZoom < 1)) this.fit(); else this.zoomTo(this.fitZoom < 1 ? 1 : 2, at);
  }

  toggleSide() {
    this.side = !this.side;
    this.sideButton.setAttribute("aria-pressed", String(this.side));
    this.range.hidden = this.side;
    this.layout();
  }

  async toggleFull() {
    if (document.fullscreenElement) return document.exitFullscreen();
    if (this.root.requestFullscreen) return this.root.requestFullscreen().catch(() => {});
    this.root.classList.toggle("full"); // iPhones give full screen to videos only
    return this.layout();
  }

  /** Whether this point is close enough to the edge between before and after to take hold of it. */
  atEdge(event) {
    if (this.side || this.root.classList.contains("single")) return false;
    const frame = this.stage.getBoundingClientRect();
    return Math.abs(event.clientX - frame.left - (frame.width * Number(this.range.value)) / 100) < NEAR_EDGE_PX;
  }

  slideTo(event) {
    const frame = this.stage.getBoundingClientRect();
    this.#slide(Math.round(Math.min(100, Math.max(0, ((event.clientX - frame.left) / frame.width) * 100))));
  }

  #slide(at) {
    this.range.value = String(at);
    this.range.setAttribute("aria-valuetext", t("slider_value", { n: integer(100 - at) }));
    this.stage.style.setProperty("--at", `${at}%`);
    this.labels[0].classList.toggle("faded", !this.side && at < 14);
    this.labels[1].classList.toggle("faded", !this.side && at > 86);
    this.#clip();
  }

  #clip() {
    // Styles go through the CSSOM: the page's policy forbids style attributes.
    this.before.pane.style.clipPath = this.side ? "" : `inset(0 ${100 - Number(this.range.value)}% 0 0)`;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    const acts = {
      "+": () => this.step(1), "=": () => this.step(1), "-": () => this.step(-1), "−": () => this.step(-1),
      0: () => this.fit(), 1: () => this.zoomTo(1), 2: () => this.zoomTo(2), 4: () => this.zoomTo(4),
      z: () => this.toggleZoom(), d: () => this.toggleSide(), f: () => this.toggleFull(),
    };
    if (key === "Escape" && this.root.classList.contains("full")) acts.escape = () => this.toggleFull();
    const act = acts[key.toLowerCase()] ?? this.#arrow(event);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  #arrow({ key, target }) {
    const value = Number(this.range.value);
    const page = { PageUp: 25, PageDown: -25 }[key];
    if (page && !this.side) return () => this.#slide(Math.min(100, Math.max(0, value + page)));
    const way = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    if (!way || target === this.range || target !== this.stage) return null;
    const { width, height } = this.pane;
    if (this.pannable) return () => this.pan(way[0] * width * ARROW_STEP, way[1] * height * ARROW_STEP);
    return way[0] && !this.side ? () => this.#slide(Math.min(100, Math.max(0, value - way[0] * 2))) : null;
  }
}

/** The window's height without the header and the input at rest. */
export function roomHeight() {
  const height = (selector) => document.querySelector(selector)?.offsetHeight ?? 0;
  const input = height(".line-row");
  return innerHeight - height(".top") - (input ? input + INPUT_EDGE_PX : 0);
}

/** A centre (0–1) that leaves no empty border where the picture is larger than the pane. */
function kept(centre, share) {
  return share >= 1 ? 0.5 : Math.min(1 - share / 2, Math.max(share / 2, centre));
}

class Layer {
  constructor(name, { url, full, name: fileName, mime, alt }) {
    this.tiles = null;
    this.image = el("img", { class: name, src: url, alt, loading: "lazy", decoding: "async", onload: () => { this.image.dataset.loaded = ""; } });
    this.link = el("a", { class: "layer", href: full, tabIndex: -1, "aria-label": alt || t("before"), download: fileName, onclick: (event) => { if (!event.ctrlKey && !event.metaKey) event.preventDefault(); } }, this.image);
    this.link.addEventListener("dragstart", (event) => {
      const address = new URL(full, location.href).href;
      event.dataTransfer.setData("text/uri-list", address);
      if (mime) event.dataTransfer.setData("DownloadURL", `${mime}:${fileName}:${address}`);
    });
    this.pane = el("div", { class: `pane pane-${name}` }, this.link);
  }

  place(box, pane) {
    Object.assign(this.link.style, { left: `${box.left}px`, top: `${box.top}px`, width: `${box.width}px`, height: `${box.height}px` });
    this.tiles?.show(box, pane);
  }
}
