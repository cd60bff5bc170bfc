// One job on the bot's side of the conversation: uploading, running, asking, refused, cancelled or done.

import { t } from "./boot.js";
import { call, Refused } from "./api.js";
import { announce, button, el, icon } from "./dom.js";
import { clock, remaining, serverNow } from "./format.js";
import { resultView } from "./result.js";

const STEPS = ["read", "wait", "upscale", "deliver"];
const STEP_OF = { preparing: 0, turn: 1, waiting: 1, upscaling: 2, delivering: 3 };

export class Card {
  /** `actions` are what buttons may ask of the page: `repeat(job, change)`, `retry(card, factor)`, `settled(card)`. */
  constructor(actions) {
    this.actions = actions;
    this.job = null;
    this.view = "";
    this.root = el("article", { class: "card", tabIndex: -1 });
    this.abort = new AbortController();
    this.saying = "";
    this.changed = () => {}; // a batch listens
  }

  /** Whether there is no picture and nothing more will come. */
  get failed() {
    return this.view === "notice";
  }

  /** While the picture goes up; `share` is 0–1. */
  uploading(share) {
    this.#busy({ step: 0, text: share < 1 ? t("uploading") : t("step_read"), percent: share < 1 ? share * 100 : null, eta: null });
    this.changed();
  }

  /** The newest snapshot of the job. */
  update(job) {
    if (this.job && this.job.updated_at > job.updated_at) return;
    this.job = job;
    this.root.dataset.state = job.state;
    this.root.dataset.job = job.job_id;
    if (job.state === "succeeded") this.#done(job);
    else if (job.state === "cancelled") this.#ended(job.texts.cancelled || t("cancelled"), job.texts.receipt);
    else if (job.state === "failed" || job.state === "refused") this.refuse(job.error, job.state);
    else if (job.state === "awaiting_confirmation") this.#ask(job);
    else this.#running(job);
    this.changed();
  }

  /** Each second: finish times and deadlines count down here, without the server. */
  tick() {
    if (this.view === "busy") this.#countDown();
    if (this.view === "ask" && this.job.confirm_by_at) {
      this.expiry.textContent = t("expires", { time: clock(this.job.confirm_by_at - serverNow()) });
    }
    if (this.view === "notice" && this.opens && this.opensAt) {
      this.opens.textContent = t("opens_in", { time: clock(this.opensAt - serverNow()) });
    }
  }

  #show(view, ...children) {
    const hadFocus = this.root.contains(document.activeElement);
    this.view = view;
    this.root.classList.remove("refused", "failed");
    this.root.replaceChildren(...children.flat().filter(Boolean));
    if (hadFocus) this.root.focus({ preventScroll: true });
  }

  #running(job) {
    const progress = job.progress ?? { stage: "preparing", text: t("starting") };
    const text = job.texts.cancel_pending ?? progress.text;
    const percent = progress.stage === "upscaling" ? progress.percent : progress.stage === "delivering" ? 100 : null;
    const fixed = job.cancel_requested || progress.stage === "delivering"; // nothing is left to cancel, or it already is
    this.#busy({ step: STEP_OF[progress.stage], text, percent, eta: progress.eta_at, fixed });
  }

  #busy({ step, text, percent, eta, fixed }) {
    if (this.view !== "busy") this.#buildBusy();
    this.saying = text;
    if (this.stage.textContent !== text) {
      this.stage.textContent = text;
      if (step !== this.step) announce(text);
    }
    this.step = step;
    this.eta = eta;
    [...this.steps.children].forEach((item, at) => {
      item.className = at < step ? "past" : at === step ? "now" : "";
      if (at === step) item.setAttribute("aria-current", "step"); else item.removeAttribute("aria-current");
    });
    const known = percent !== null && percent !== undefined;
    this.bar.classList.toggle("vague", !known);
    if (known) {
      this.bar.style.setProperty("--done", `${percent}%`);
      this.bar.setAttribute("aria-valuenow", String(Math.round(percent)));
    } else {
      this.bar.removeAttribute("aria-valuenow");
    }
    if (fixed) this.cancelButton.disabled = true;
    this.#countDown();
  }

  #buildBusy() {
    this.stage = el("p", { class: "doing" });
    this.steps = el("ol", { class: "steps" }, STEPS.map((name) => el("li", {}, t(`step_${name}`))));
    this.bar = el("div", { class: "bar", role: "progressbar", "aria-label": t("progress"), "aria-valuemin": "0", "aria-valuemax": "100" }, el("i"));
    this.finish = el("span", { class: "finish" });
    this.spent = el("span", { class: "spent" });
    this.cancelButton = el("button", { type: "button", onclick: () => this.cancel() }, t("b_cancel"));
    this.since = Date.now();
    this.#show("busy",
      el("div", { class: "busy-head" }, this.stage, this.cancelButton), this.bar, this.steps,
      el("div", { class: "busy-foot" }, this.finish, this.spent));
  }

  #countDown() {
    this.finish.textContent = this.eta ? remaining(this.eta - serverNow()) : "";
    const began = this.job ? serverNow() - this.job.created_at : (Date.now() - this.since) / 1000;
    this.spent.textContent = t("elapsed", { n: Math.max(0, Math.round(began)) });
  }

  async cancel() {
    this.cancelButton.disabled = true;
    if (!this.job) {
      this.abort.abort();
      this.#ended(t("cancelled"), "");
      this.changed();
      return;
    }
    await this.#send(`/api/jobs/${this.job.job_id}/cancel`);
  }

  async #send(path) {
    try {
      this.update(await call("POST", path));
      this.actions.settled(this);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.refuse(error.detail, "refused");
    }
  }

  #ask(job) {
    if (this.view === "ask") return;
    this.expiry = el("p", { class: "fine" });
    this.saying = job.quote.price;
    this.startButton = button(job.start, null, () => this.confirm(), { class: "primary big" });
    const cancel = el("button", { type: "button", class: "big", onclick: () => this.#send(`/api/jobs/${job.job_id}/cancel`) }, t("b_cancel"));
    const choices = job.choices.map(({ label, change, model }) => button(label, null, () => this.actions.repeat(job, change, null, model, label), { class: "big" }));
    const play = job.quote.play_money ? el("span", { class: "badge play" }, t("play_money")) : null;
    this.#show("ask", el("div", { class: "ask" },
      el("p", { class: "price" }, job.quote.ask, " ", play)), el("div", { class: "actions" }, this.startButton, choices, cancel), this.expiry);
    this.tick();
    announce(job.quote.ask);
  }

  /** Agree to the price. */
  async confirm() {
    this.startButton.disabled = true;
    await this.#send(`/api/jobs/${this.job.job_id}/confirm`);
  }

  #ended(text, receipt) {
    this.saying = text;
    this.#show("notice", el("div", { class: "notice" }, icon("info"), el("div", {}, el("p", { class: "what" }, text), receipt ? el("p", { class: "fine" }, receipt) : null)));
    announce(text);
  }

  /** Something did not work: what, whether it cost anything, what to do, and what would work instead. */
  refuse(error, state = "refused") {
    this.saying = error.what || error.message;
    const offers = (error.offers ?? []).map((offer) =>
      button(offer.label, "grow", () => this.actions.retry(this, offer.factor, offer.model, offer.label), { class: "primary" }));
    const again = error.code === "unreachable" ? [button(t("b_again"), "again", () => this.actions.retry(this, null))] : [];
    this.opensAt = error.opens_at;
    this.opens = error.opens_at ? el("p", { class: "fine" }) : null;
    const reference = error.reference ? el("p", { class: "fine" }, `${t("reference")}: `, el("code", {}, error.reference)) : null;
    const words = el("div", {},
      el("p", { class: "what" }, error.what || error.message),
      [error.charged, error.advice].filter(Boolean).map((text) => el("p", {}, text)), this.opens, reference);
    const bad = error.tone === "error" || state === "failed";
    this.#show("notice", el("div", { class: bad ? "notice error" : "notice" }, icon("warn"), words),
      offers.length + again.length ? el("div", { class: "actions" }, offers, again) : null);
    this.root.classList.add(bad ? "failed" : "refused");
    this.root.dataset.state = state;
    this.tick();
    announce(error.message);
    this.changed();
  }

  #done(job) {
    const fresh = this.view === "busy" || this.view === "ask";
    this.#show("result", resultView(job, this.actions, (next) => this.update(next)));
    if (fresh) announce(`${t("done", { size: job.texts.size })} ${job.result.caption}`);
  }
}
