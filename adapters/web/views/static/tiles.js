// The tiles of a large picture that are in view, and no others.

import { el } from "./dom.js";

const PREVIEW_SIDE = 2560;
const MOST_TILES = 160;

export class Tiles {
  /** `url` answers `&halved=&x=&y=`; the picture is `width` × `height` pixels, cut into squares of `side`. */
  constructor(place, url, width, height, side) {
    Object.assign(this, { url, width, height, side });
    this.box = el("div", { class: "tiles-of", "aria-hidden": "true" });
    place.append(this.box);
    this.known = new Map();
  }

  /** Show what lies inside the pane while the picture fills `box` (CSS pixels, relative to the pane). */
  show(box, pane) {
    const perPixel = (box.width * devicePixelRatio) / this.width; // device pixels for each pixel of the picture
    const halved = Math.max(0, Math.floor(Math.log2(1 / perPixel) + 0.01));
    const wanted = new Set();
    if (Math.max(this.width, this.height) / 2 ** halved > PREVIEW_SIDE) this.#inView(box, pane, halved, wanted);
    for (const [name, tile] of this.known) if (!wanted.has(name)) tile.dataset.stale = "";
    this.#drop();
  }

  #inView(box, pane, halved, wanted) {
    const step = this.side * 2 ** halved;
    const scale = box.width / this.width;
    const first = (offset) => Math.max(0, Math.floor(-offset / scale / step));
    const last = (offset, room, whole) => Math.min(Math.ceil(whole / step) - 1, Math.floor((room - offset) / scale / step));
    for (let y = first(box.top); y <= last(box.top, pane.height, this.height); y += 1) {
      for (let x = first(box.left); x <= last(box.left, pane.width, this.width) && wanted.size < MOST_TILES; x += 1) {
        const name = `${halved}/${x}/${y}`;
        wanted.add(name);
        this.#put(name, { halved, x, y }, step, scale);
      }
    }
  }

  #put(name, { halved, x, y }, step, scale) {
    let tile = this.known.get(name);
    if (!tile) {
      tile = el("img", { src: `${this.url}&halved=${halved}&x=${x}&y=${y}`, alt: "", draggable: false, decoding: "async" });
      tile.addEventListener("load", () => { tile.dataset.loaded = ""; this.#drop(); }, { once: true });
      tile.addEventListener("error", () => { tile.remove(); }, { once: true });
      this.known.set(name, tile);
      this.box.append(tile);
    }
    delete tile.dataset.stale;
    // Both edges are put on whole device pixels, so that no seam shows between neighbours.
    const snap = (value) => Math.round(value * scale * devicePixelRatio) / devicePixelRatio;
    const [left, top] = [snap(x * step), snap(y * step)];
    const [right, bottom] = [snap(Math.min(this.width, (x + 1) * step)), snap(Math.min(this.height, (y + 1) * step))];
    Object.assign(tile.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
  }

  /** Tiles out of view stay until those in view are there, so that nothing flickers while zooming. */
  #drop() {
    const all = [...this.known];
    const waiting = all.some(([, tile]) => !("stale" in tile.dataset) && !("loaded" in tile.dataset) && tile.isConnected);
    if (waiting && all.length < MOST_TILES) return;
    for (const [name, tile] of all) {
      if ("stale" in tile.dataset) {
        tile.remove();
        this.known.delete(name);
      }
    }
  }
}
