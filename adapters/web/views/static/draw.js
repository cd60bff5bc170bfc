// Draws cards, which every platform draws its own way. No sentence is made here.

import { t } from "./boot.js";
import { announce, button, el } from "./dom.js";
import { absolute, fromNow, serverNow } from "./format.js";

/** The spans of a line as elements. */
export const line = (spans) => spans.map((span) => {
  if (typeof span === "string") return span;
  if (span.is === "code") return el("code", {}, span.text);
  if (span.is === "link") return el("a", { href: span.url, rel: "noopener" }, span.text);
  return span.is === "moment" ? moment(span) : el("b", {}, span.text ?? (span.name || (span.id === "local" ? t("you") : span.id)));
});

/** A line as plain words, for notifications and screen readers. */
export const plain = (spans) => (spans ?? []).map((span) => (typeof span === "string" ? span : span.text ?? span.name ?? "")).join("");

function moment({ at_unix_s: at, style }) {
  const node = el("time", { dateTime: new Date(at * 1000).toISOString(), title: absolute(at) });
  if (style !== "relative") {
    node.textContent = absolute(at);
    return node;
  }
  Object.assign(node.dataset, { at, least: at > serverNow() ? 0 : -Infinity });
  return count(node);
}

/** What was ahead when it was drawn is never told as past: it is just late. */
function count(node) {
  node.textContent = fromNow(Math.max(Number(node.dataset.least), node.dataset.at - serverNow()));
  return node;
}

/** Once a second: what is told as "in 5 minutes" counts by itself. */
export function tickMoments() {
  for (const node of document.querySelectorAll("time[data-at]")) count(node);
}

export const paragraphs = (lines, kind = "") => lines.map((spans) => el("p", { class: kind }, line(spans)));

/** The title, and the image's name beside it. */
export const heading = ({ title, name }) => (title || name ? el("h3", {}, title, title && name ? "\u2002" : null, name ? el("span", { class: "name", title: name }, name) : null) : null);

/** A bar for a share from 0 to 1. */
export function meter(share, label) {
  const bar = el("div", { class: "bar", role: "meter", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round(share * 100)) }, el("i"));
  bar.style.setProperty("--done", `${share * 100}%`);
  return bar;
}

/** Labelled values; those with a share get a bar, and what `beside(n)` gives. */
export function facts(all, beside = () => null) {
  if (all.length === 0) return null;
  if (all.some(({ share }) => share !== null)) {
    return el("div", {}, all.map((fact, n) => el("div", { class: "meter" },
      el("div", { class: "head" }, el("b", {}, line(fact.label)), beside(n)), meter(fact.share ?? 0, plain(fact.label)), el("p", { class: "fine" }, line(fact.value)))));
  }
  return el("dl", { class: "details" }, all.map((fact) => [el("dt", {}, line(fact.label)), el("dd", {}, line(fact.value))]));
}

const section = (part) => [part.title ? el("p", { class: "section-title" }, part.title) : null, paragraphs(part.paragraphs), facts(part.facts),
  part.quote ? el("blockquote", { class: "caption" }, part.quote) : null, part.code ? el("p", { class: "copied" }, el("code", { class: "example" }, part.code), copyButton(part.code)) : null];

function copyButton(text) {
  return button(t("copy"), "copy", () => navigator.clipboard.writeText(text).then(() => announce(t("copied")), () => {}), { class: "copy" });
}

const STYLES = { primary: "primary", success: "primary", danger: "danger" };
const ICONS = { again: "again", same: "again", more_creative: "spark", more_faithful: "spark", twice_more: "grow", whole: "grow", factor: "grow", model: "grow", compare: "compare", details: "info", delete: "trash", erase: "trash", export: "download" };

/** The button of an action. */
export const actionButton = (action, press, props = {}) => button(action.label, ICONS[action.kind], () => press(action), { class: STYLES[action.style] ?? "", ...props });

/** A list to choose from, with a button that says what for. */
function choice(given, choose) {
  const list = el("select", { "aria-label": given.placeholder }, given.options.map((one) => el("option", { value: one.value }, [one.label, one.description].filter(Boolean).join(" · "))));
  return el("div", { class: "actions choice" }, list, button(given.each, null, () => choose(given, list.value)));
}

/** Everything between the title and the buttons. */
export const body = (card, beside) => [paragraphs(card.paragraphs), facts(card.facts, beside), card.sections.map(section), paragraphs(card.small, "fine")];

/** The whole card; `press(action)` and `choose(choice, value)` do what its buttons say. */
export function drawn(card, press, choose) {
  const buttons = card.rows.flat().map((action) => actionButton(action, press));
  return [heading(card), body(card), choose ? card.choices.map((given) => choice(given, choose)) : null,
    buttons.length ? el("div", { class: "actions" }, buttons) : null].flat(Infinity).filter(Boolean);
}

/** A card of one sentence that the page says itself. */
export const saying = (text, tone = "refusal", rows = []) => ({ tone, title: "", name: "", paragraphs: [[text]], facts: [], sections: [], small: [], choices: [], rows, summary: text });
