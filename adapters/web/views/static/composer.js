// The input: line, controls and tray kept in step, and the price told before anything starts.

import { boot, t } from "./boot.js";
import { call, Refused } from "./api.js";
import { announce, byId, el } from "./dom.js";
import { plain } from "./draw.js";
import { decimal, integer, money, size } from "./format.js";
import { Controls } from "./controls.js";
import { Tray } from "./tray.js";

const PRICE_DELAY_MS = 180;
const COMPLAIN_DELAY_MS = 700;
export const LINK = /https?:\/\/\S+/gi;
const OTHER = /^\/(?!upscale(?:\s|$))|^(?:\/?upscale\s+)?(?:help|usage|quota|queue|history|settings|privacy)(?:\s|$)/i;
const isUpscale = (line) => !OTHER.test(line);

/** What a line means and costs. Throws Refused; the server answers 200 all the same, as nothing was asked to be done. */
async function estimate(ask) {
  const answer = await call("POST", "/api/estimate?draft=1", ask);
  if (answer.error) throw new Refused(answer.error, 200);
  return answer;
}

/** What the size of the result forbids, as a sentence; empty where nothing does. Told before any price. */
function outputObjection(quote) {
  const { max_output_pixels, max_output_side_px } = boot.limits;
  const { out_width, out_height } = quote;
  if (out_width * out_height <= max_output_pixels && Math.max(out_width, out_height) <= max_output_side_px) return "";
  return t("out_too_large", { size: size(out_width, out_height), limit: integer(max_output_pixels / 1e6), side: integer(max_output_side_px) });
}

export class Composer {
  /** `onSend(items, text)` starts jobs; `onCommand(line)` runs any other command. */
  constructor(onSend, onCommand) {
    this.onSend = onSend;
    this.onCommand = onCommand;
    this.line = byId("line");
    this.asked = 0;
    this.sent = [];
    this.sentAt = 0;
    this.controls = new Controls((words) => this.#write(words), () => this.#save());
    this.tray = new Tray(() => this.#changed());
    this.line.addEventListener("input", () => this.#changed());
    this.line.addEventListener("keydown", (event) => this.#recall(event));
    document.addEventListener("paste", (event) => this.#pasteLink(event));
    byId("composer").addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
  }

  /** Put a line in, as if typed. */
  fill(line) {
    this.line.value = line;
    this.line.focus();
    this.#changed();
  }

  /** Show one sentence about what is wrong with the input; empty takes it away. */
  complain(text) {
    const problem = byId("problem");
    problem.textContent = text;
    problem.hidden = text === "";
    if (text === "") this.line.removeAttribute("aria-invalid"); else this.line.setAttribute("aria-invalid", "true");
  }

  /** A link pasted anywhere but into a field goes into the line. */
  #pasteLink(event) {
    const text = event.clipboardData?.getData("text/plain").trim() ?? "";
    if (event.defaultPrevented || !/^https?:\/\/\S+$/i.test(text) || event.target.closest?.("input, textarea")) return;
    event.preventDefault();
    this.fill(`/upscale ${text}`);
  }

  #write(words) {
    const links = this.line.value.match(LINK) ?? [];
    const all = [...links, words].filter(Boolean).join(" ");
    this.line.value = all ? `/upscale ${all}` : "";
    this.#changed();
  }

  #changed() {
    clearTimeout(this.pricing);
    clearTimeout(this.complaining);
    this.complain("");
    const line = this.line.value.trim();
    this.pricing = setTimeout(() => this.#price(line), PRICE_DELAY_MS);
    if (!isUpscale(line)) this.#label(null, t("send_command"));
  }

  /** Ask the server what the line means and what it would cost, and show both. Only the newest answer counts. */
  async #price(line) {
    const turn = ++this.asked;
    if (!isUpscale(line)) return this.#showQuote([]);
    const sized = this.tray.items.filter((item) => item.width > 0);
    const asks = sized.length ? sized.map(({ width, height }) => ({ text: line, width, height })) : [{ text: line }];
    try {
      const answers = await Promise.all(asks.map((ask) => estimate(ask)));
      if (turn !== this.asked) return;
      this.controls.set(answers[0].parameters, answers[0].preset);
      this.links = answers[0].links;
      const fitting = sized.map((item, n) => ({ item, quote: answers[n].quote, problem: outputObjection(answers[n].quote) }));
      for (const { item, problem } of fitting) this.tray.note(item, problem);
      const good = fitting.filter(({ problem }) => !problem);
      this.#showQuote(good.map(({ quote }) => quote), good.map(({ item }) => item), good.length < fitting.length);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (turn !== this.asked) return;
      this.#showQuote([]);
      if (error.status === 0) return; // the header says already that the connection is lost
      this.controls.mark(error.detail.fields ?? {});
      this.complaining = setTimeout(() => this.complain(plain(error.detail.card.paragraphs[0])), COMPLAIN_DELAY_MS);
    }
  }

  #showQuote(quotes, priced = [], someTooLarge = false) {
    const place = byId("quote");
    for (const item of this.tray.items) item.agreedUsd = 0;
    const unread = this.tray.items.some((item) => item.readable === false) || (this.tray.items.length === 0 && this.links > 0 && isUpscale(this.line.value));
    place.hidden = quotes.length === 0 && !unread;
    if (quotes.length === 0) {
      place.replaceChildren(unread ? t("quote_unknown") : "");
      return this.#label(null);
    }
    const total = quotes.reduce((sum, quote) => sum + quote.estimate_nanousd, 0);
    const price = money(total);
    const one = quotes.length === 1 ? quotes[0] : null;
    const megapixels = integer(quotes.reduce((sum, quote) => sum + quote.megapixels, 0));
    const words = one ? one.ask : [t("n_images", { n: quotes.length }), t("megapixels", { n: megapixels }), price].join(" · ");
    const parts = [el("span", {}, words)];
    if (one && this.controls.inputs.to?.value) parts.push(" ", el("span", { class: "badge model" }, t("times", { n: decimal(one.factor) })));
    const model = boot.models.length > 1 ? boot.models.find(({ id }) => id === this.controls.inputs.model?.value) : null;
    if (model) parts.push(" ", el("span", { class: "badge model" }, model.name));
    if (quotes[0].play_money) parts.push(" ", el("span", { class: "badge play" }, t("play_money")));
    if (unread) {
      if (quotes.some((quote) => quote.needs_confirmation)) parts.push(` ${t("quote_asks")}`);
      parts.push(` ${t("quote_unknown")}`);
    } else {
      // The button will bear this price, so pressing it is consent: nobody is asked twice for the same amount.
      priced.forEach((item, n) => { item.agreedUsd = quotes[n]?.estimate_usd ?? 0; });
    }
    place.replaceChildren(...parts);
    this.#label(unread || someTooLarge ? null : one ? one.price : price);
  }

  #label(price, words = null) {
    byId("send-label").textContent = words ?? (price ? t("send_price", { price }) : t("title"));
  }

  #recall(event) {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    if (this.sentAt === this.sent.length) this.draft = this.line.value; // half typed: the way down leads back to it
    this.sentAt = Math.min(this.sent.length, Math.max(0, this.sentAt + (event.key === "ArrowUp" ? -1 : 1)));
    if (this.sent.length === 0) return;
    event.preventDefault();
    this.fill(this.sent[this.sentAt] ?? this.draft ?? "");
  }

  async #submit() {
    const line = this.line.value.trim();
    if (line && !isUpscale(line)) {
      this.#remember(line);
      return this.onCommand(line);
    }
    if (this.sending) return undefined;
    this.sending = true;
    try {
      const { links } = await estimate({ text: line });
      if (this.tray.items.length === 0 && links === 0) return this.#wantPicture();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.controls.mark(error.detail.fields ?? {});
      this.complain(error.detail.message);
      return undefined;
    } finally {
      this.sending = false;
    }
    this.#remember(line);
    this.controls.toggle(false);
    return this.onSend(this.tray.take(), line);
  }

  #wantPicture() {
    this.complain(t("no_image"));
    byId("attach").focus();
  }

  #remember(line) {
    if (line) this.sent.push(line);
    this.sentAt = this.sent.length;
    this.line.value = "";
    this.#changed();
    this.line.focus();
  }

  async #save() {
    try {
      const { defaults } = await call("PUT", "/api/defaults", { text: this.line.value });
      boot.defaults = defaults;
      announce(t("saved_defaults"));
      byId("quote").hidden = false;
      byId("quote").textContent = t("saved_defaults");
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.complain(error.detail.message);
    }
  }
}
