// One job on the bot's side of the conversation: uploading, running, asking, refused, cancelled or done.

import { t } from "./boot.js";
import { attempt, call } from "./api.js";
import { announce, el, icon } from "./dom.js";
import { actionButton, body, heading, paragraphs, plain, saying } from "./draw.js";
import { resultView } from "./result.js";

export class Card {
  /** `actions` are what buttons may ask of the page: `repeat(job, action)`, `retry(card, action)`, `settled(card)`. */
  constructor(actions) {
    this.actions = actions;
    this.job = null;
    this.view = "";
    this.root = el("article", { class: "card", tabIndex: -1 });
    this.abort = new AbortController();
    this.saying = "";
    this.changed = () => {}; // a batch listens
  }

  /** Whether there is no image and nothing more will come. */
  get failed() {
    return this.view === "notice";
  }

  /** While the image goes up; `share` is 0–1. */
  uploading(share) {
    this.#busy({ ...saying(share < 1 ? t("uploading") : t("reading")), name: this.order?.item?.file.name ?? "", bar: share < 1 ? share : null });
    this.changed();
  }

  /** The newest snapshot of the job. */
  update(job) {
    if (this.job && this.job.updated_at > job.updated_at) return;
    const fresh = this.view === "busy" || this.view === "ask";
    this.job = job;
    this.root.dataset.state = job.state;
    this.root.dataset.job = job.job_id;
    if (job.state === "succeeded" || job.has_image) this.#done(job, fresh);
    else if (["cancelled", "failed", "refused"].includes(job.state)) this.#ended(job.card, job.state, job.error?.offers);
    else if (job.state === "awaiting_confirmation") this.#ask(job);
    else this.#busy(job.card, job.progress?.stage, job.cancel_requested || job.progress?.stage === "delivering");
    this.changed();
  }

  #show(view, ...children) {
    const hadFocus = this.root.contains(document.activeElement);
    this.view = view;
    this.root.classList.remove("refused", "failed");
    this.root.replaceChildren(...children.flat(Infinity).filter(Boolean));
    if (hadFocus) this.root.focus({ preventScroll: true });
  }

  /** `fixed`: nothing is left to cancel, or it already is. */
  #busy(card, stage = "", fixed = false) {
    if (this.view !== "busy") this.#buildBusy();
    this.saying = plain(card.paragraphs[0]);
    if (stage !== this.stage) announce(card.summary);
    this.stage = stage;
    this.head.replaceChildren(heading(card) ?? "", ...paragraphs(card.paragraphs.slice(0, 1), "doing"));
    const known = card.bar ?? null;
    this.bar.classList.toggle("vague", known === null);
    this.bar.style.setProperty("--done", `${(known ?? 0) * 100}%`);
    if (known === null) this.bar.removeAttribute("aria-valuenow"); else this.bar.setAttribute("aria-valuenow", String(Math.round(known * 100)));
    if (fixed) this.cancelButton.disabled = true;
    this.foot.replaceChildren(...paragraphs([...card.paragraphs.slice(1), ...card.small]));
  }

  #buildBusy() {
    this.head = el("div", { class: "grow" });
    this.bar = el("div", { class: "bar", role: "progressbar", "aria-label": t("progress"), "aria-valuemin": "0", "aria-valuemax": "100" }, el("i"));
    this.foot = el("div", { class: "busy-foot" });
    this.cancelButton = el("button", { type: "button", onclick: () => this.cancel() }, t("cancel"));
    this.#show("busy", el("div", { class: "busy-head" }, this.head, this.cancelButton), this.bar, this.foot);
  }

  async cancel() {
    this.cancelButton.disabled = true;
    if (this.job) return this.#send("cancel");
    this.abort.abort();
    this.#ended(saying(t("cancelled"), "info"), "cancelled");
    return this.changed();
  }

  async #send(what) {
    await attempt(call("POST", `/api/jobs/${this.job.job_id}/${what}`).then((job) => {
      this.update(job);
      this.actions.settled(this);
    }), (detail) => this.refuse(detail));
  }

  #ask(job) {
    if (this.view === "ask") return;
    const { card } = job;
    this.saying = plain(card.paragraphs[0]);
    const buttons = card.rows.flat().map((action) => actionButton(action, () => this.#answer(action)));
    this.startButton = buttons[0];
    this.#show("ask", heading(card), el("div", { class: "price" }, paragraphs(card.paragraphs)), el("div", { class: "actions" }, buttons), paragraphs(card.small, "fine"));
    announce(this.saying);
  }

  #answer(action) {
    if (action.kind === "confirm") return this.confirm();
    return action.kind === "cancel" ? this.#send("cancel") : this.actions.repeat(this.job, action);
  }

  /** Agree to the price. */
  async confirm() {
    this.startButton.disabled = true;
    await this.#send("confirm");
  }

  /** The server refused, with a card that says why and what would work instead. */
  refuse({ card, message, offers }, state = "refused") {
    this.#ended(card ?? saying(message), state, offers);
    this.changed();
  }

  /** `offers` hold the lines that the buttons start. */
  #ended(card, state, offers = []) {
    this.offers = offers;
    this.saying = plain(card.paragraphs[0]) || card.title;
    const bad = card.tone === "error";
    const buttons = card.rows.flat().map((action) => actionButton(action, () => this.actions.retry(this, action)));
    this.#show("notice", el("div", { class: bad ? "notice error" : "notice" }, icon(card.tone === "info" ? "info" : "warn"), el("div", {}, heading(card), body(card))),
      buttons.length ? el("div", { class: "actions" }, buttons) : null);
    if (card.tone !== "info") this.root.classList.add(bad ? "failed" : "refused");
    this.root.dataset.state = state;
    announce(card.summary);
  }

  #done(job, fresh) {
    this.saying = job.card.title;
    this.#show("result", resultView(job, this.actions, (next) => this.update(next)));
    if (fresh) announce(`${job.card.summary}. ${job.result.caption}`);
  }
}
