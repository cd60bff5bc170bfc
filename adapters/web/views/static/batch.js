// Several pictures ordered together: one summary, a grid, and the card of the picture that was chosen.

import { t } from "./boot.js";
import { RUNNING } from "./api.js";
import { announce, button, el, icon } from "./dom.js";
import { integer, money, percent } from "./format.js";

const KEPT_BATCHES = 30;
const STORE = "batches";

/** The ids of jobs that were ordered together, newest last. */
export const knownBatches = () => JSON.parse(localStorage.getItem(STORE) ?? "[]");

export class Batch {
  /** `entries` are `{ card, name, url }`; `actions` is the page's: `again(card)` gives a new card for a failed one. */
  constructor(entries, actions) {
    this.actions = actions;
    this.cells = [];
    this.open = null;
    this.summary = el("h3", {});
    this.bar = el("div", { class: "bar", role: "progressbar", "aria-label": t("progress"), "aria-valuemin": "0", "aria-valuemax": "100" }, el("i"));
    this.grid = el("ul", { class: "grid" });
    this.detail = el("div", { class: "chosen", hidden: true });
    this.retry = button(t("retry_failed"), "again", () => this.#retry());
    this.start = button("", null, () => this.#each("ask", (card) => card.confirm()), { class: "primary" });
    this.stop = button(t("cancel_all"), "close", () => this.#each("busy", (card) => card.cancel()));
    this.zip = el("a", { class: "button primary", download: "" }, icon("download"), el("span"));
    this.root = el("article", { class: "card batch", tabIndex: -1 }, el("div", { class: "batch-head" }, this.summary),
      this.bar, this.grid, el("div", { class: "actions" }, this.start, this.zip, this.retry, this.stop), this.detail);
    for (const entry of entries) this.#add(entry);
    this.refresh();
  }

  #add({ card, name, url }) {
    const cell = { card, name, chosen: true };
    cell.picture = el("img", { class: "thumb", src: url || "/static/icon.svg", alt: "", loading: "lazy" });
    cell.said = el("span", { class: "fine" });
    cell.box = el("input", { type: "checkbox", checked: true, hidden: true, "aria-label": t("select", { name }), onchange: () => { cell.chosen = cell.box.checked; this.refresh(); } });
    cell.press = el("button", { type: "button", class: "cell", "aria-expanded": "false", onclick: () => this.#show(cell) }, cell.picture, el("b", { title: name }, name), cell.said);
    cell.node = el("li", {}, cell.press, cell.box);
    this.cells.push(cell);
    this.grid.append(cell.node);
    this.#listen(cell);
  }

  #listen(cell) {
    cell.card.changed = () => { this.#draw(cell); this.refresh(); };
    cell.card.reveal = () => { if (this.open !== cell) this.#show(cell); };
    this.#draw(cell);
  }

  #draw(cell) {
    const { card } = cell, { job } = card;
    const state = card.root.dataset.state ?? "queued";
    const done = job?.has_image;
    cell.node.dataset.state = state;
    cell.box.hidden = !done;
    if (done && cell.shown !== job.job_id) {
      cell.shown = job.job_id;
      cell.picture.src = job.result.thumb_url;
    }
    const share = job?.progress?.percent;
    cell.said.textContent = done ? job.receipt?.price ?? "" : state === "running" && share ? percent(share / 100) : card.saying;
  }

  #show(cell) {
    const same = this.open === cell;
    this.open?.press.setAttribute("aria-expanded", "false");
    this.open = same ? null : cell;
    this.detail.hidden = same;
    this.detail.replaceChildren(...(same ? [] : [cell.card.root]));
    if (same) return;
    cell.press.setAttribute("aria-expanded", "true");
    this.actions.reveal(this.detail);
  }

  #each(view, act) {
    for (const { card } of this.cells) if (card.view === view) act(card);
  }

  #retry() {
    for (const cell of this.cells) {
      if (!cell.card.failed) continue;
      const old = cell.card.root;
      cell.card = this.actions.again(cell.card);
      this.#listen(cell);
      old.replaceWith(cell.card.root);
    }
    this.refresh();
  }

  /** The whole in numbers, and what may be done with it now. */
  refresh() {
    const jobs = this.cells.map(({ card }) => card.job).filter(Boolean);
    const count = (test) => this.cells.filter(({ card }) => test(card)).length;
    const done = count(({ job }) => job?.state === "succeeded"), failed = count((card) => card.failed), asking = count((card) => card.view === "ask");
    const busy = count(({ job, view }) => (job ? RUNNING.includes(job.state) : view === "busy"));
    const whole = this.cells.length;
    const charged = jobs.reduce((sum, job) => sum + (job.receipt?.charged_nanousd ?? 0), 0);
    const price = (job) => job.receipt?.charged_nanousd ?? (["failed", "refused", "cancelled"].includes(job.state) ? 0 : job.quote?.estimate_nanousd ?? 0);
    const total = jobs.reduce((sum, job) => sum + price(job), 0);
    const words = [t("batch_done", { done: integer(done), n: integer(whole) }), failed ? t("batch_failed", { n: integer(failed) }) : "", t("batch_price", { charged: money(charged), total: money(total) })];
    this.summary.textContent = words.filter(Boolean).join(" · ");
    const shares = this.cells.map(({ card }) => (card.view === "busy" ? (card.job?.progress?.percent ?? 0) / 100 : card.view === "ask" ? 0 : 1));
    const share = shares.reduce((sum, part) => sum + part, 0) / whole;
    this.bar.style.setProperty("--done", `${share * 100}%`);
    this.bar.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    const chosen = this.cells.filter(({ card, chosen: wanted }) => wanted && card.job?.has_image).map(({ card }) => card.job.job_id);
    this.zip.href = `/api/zip?jobs=${chosen.join(",")}`;
    this.zip.lastChild.textContent = t("batch_zip", { n: integer(chosen.length) });
    this.zip.hidden = chosen.length === 0;
    this.retry.hidden = failed === 0;
    this.stop.hidden = busy === 0;
    this.start.hidden = asking === 0;
    const asked = this.cells.filter(({ card }) => card.view === "ask").reduce((sum, { card }) => sum + card.job.quote.estimate_nanousd, 0);
    this.start.lastChild.textContent = t("batch_start", { n: integer(asking), price: money(asked) });
    this.#remember();
    if (busy + asking === 0 && this.root.dataset.state === "running") announce(this.summary.textContent);
    this.root.dataset.state = busy + asking ? "running" : "succeeded";
  }

  /** So that the page, opened again, shows them together. */
  #remember() {
    const ids = this.cells.map(({ card }) => card.job?.job_id).filter(Boolean);
    const others = knownBatches().filter((batch) => !batch.some((id) => ids.includes(id)));
    if (ids.length > 1) localStorage.setItem(STORE, JSON.stringify([...others, ids].slice(-KEPT_BATCHES)));
  }
}
