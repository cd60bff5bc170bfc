// A finished job: viewer, actions, its card, details, comparison.

import { boot, t } from "./boot.js";
import { attempt, call } from "./api.js";
import { announce, button, confirmDialog, el, icon } from "./dom.js";
import { actionButton, body, drawn, heading, plain } from "./draw.js";
import { copyButton, saveAsView } from "./save.js";
import { Viewer } from "./viewer.js";

/** The children of a finished job's card. `changed` is told the job after a deletion. */
export function resultView(job, actions, changed) {
  if (job.images_deleted) return drawn(job.card, () => {});
  const { card, result } = job;
  const viewer = new Viewer(job, result.alt, () => viewer.root.replaceWith(el("p", {}, t("gone"))));
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const head = el("div", { class: "result-head" }, heading(card), el("span", { class: "badge model" }, job.model));
  return [viewer.root, ...buttons(job, viewer, actions, changed, problem), problem, head,
    card.caption ? el("blockquote", { class: "caption" }, card.caption) : null, el("div", { class: "facts" }, body(card))];
}

function buttons(job, viewer, actions, changed, problem) {
  const [repeats, looks] = job.card.rows;
  const label = Object.fromEntries(looks.map((action) => [action.kind, action]));
  const again = repeats.map((action, at) => actionButton({ ...action, style: "plain" }, () => actions.repeat(job, action), at ? { class: "later" } : {}));
  const compare = compareView(job), details = el("div", { hidden: true, class: "sections" }, body({ ...job.details, sections: job.details.sections.filter(({ quote }) => !quote) })), saveAs = saveAsView(job);
  const remove = actionButton(label.delete, () => deleteImages(job, label.delete, changed, problem), { class: "quiet danger push later" });
  const more = button(t("more"), "more", () => {
    row.classList.add("open");
    row.querySelector(".away").focus();
  }, { class: "more", "aria-expanded": "false" });
  const shown = el("p", { class: "fine share-link", hidden: true });
  const row = oneLine(el("div", { class: "actions result-actions" },
    el("a", { class: "button primary", href: job.result.download_url, download: job.result.image.file_name }, icon("download"), el("span", {}, t("download"))),
    again.slice(0, 1),
    discloser(label.compare.label, "compare", compare),
    again.slice(1),
    boot.can_share ? button(t("share"), "share", () => share(job, problem, shown), { class: "later" }) : null,
    discloser(t("save_as"), "download", saveAs, "later"),
    copyButton(viewer, problem),
    discloser(label.details.label, "info", details, "later"), remove, more));
  return [row, shown, saveAs, compare, details];
}

/** The row, with as many of its last actions behind "More" as do not fit on one line. */
function oneLine(row) {
  const wraps = () => {
    const shown = [...row.children].filter((node) => node.offsetParent);
    return shown.at(-1)?.offsetTop > shown[0]?.offsetTop + 4;
  };
  const later = [...row.querySelectorAll(".later")];
  new ResizeObserver(() => {
    for (const node of later) node.classList.remove("away");
    row.classList.remove("tight");
    if (!wraps()) return;
    row.classList.add("tight");
    while (wraps() && later.some((node) => !node.classList.contains("away"))) later.findLast((node) => !node.classList.contains("away")).classList.add("away");
  }).observe(row);
  return row;
}

/** A button that shows and hides `target`. */
function discloser(label, iconName, target, kind = "") {
  const toggle = button(label, iconName, () => {
    target.hidden = !target.hidden;
    toggle.setAttribute("aria-expanded", String(!target.hidden));
    if (target.hidden) return;
    target.dispatchEvent(new Event("shown"));
    target.scrollIntoView({ behavior: "smooth", block: "nearest" });
  }, { "aria-expanded": "false", class: kind });
  return toggle;
}

function compareView(job) {
  const { title, pictures } = job.comparison;
  const figure = el("figure", { hidden: true });
  figure.addEventListener("shown", () => {
    const picture = el("img", { class: "compare-picture", src: job.result.compare_url, alt: pictures[0].alt });
    picture.addEventListener("load", () => {
      picture.style.width = `${picture.naturalWidth / devicePixelRatio}px`; // truly 100 %: what does not fit is scrolled to
      figure.scrollIntoView({ behavior: "smooth", block: "nearest" });
    }, { once: true });
    picture.addEventListener("error", () => picture.replaceWith(el("p", {}, t("gone"))), { once: true });
    figure.replaceChildren(el("div", { class: "scroll-x", tabIndex: 0, role: "group", "aria-label": title }, picture), el("figcaption", { class: "fine" }, plain(job.comparison.small[0])));
  }, { once: true });
  return figure;
}

/** Hand the address over: to the device's own sharing where it has one, else to the clipboard; and show it. */
async function share(job, problem, shown) {
  await attempt(call("POST", `/api/jobs/${job.job_id}/share`).then(async ({ url }) => {
    shown.replaceChildren(el("a", { href: url, rel: "noopener" }, url), " ", t("share_lead"));
    shown.hidden = false;
    if (navigator.share && matchMedia("(pointer: coarse)").matches) await navigator.share({ url }).catch(() => {});
    else await navigator.clipboard?.writeText(url).then(() => announce(t("copied")), () => {});
  }), complain(problem));
}

const complain = (problem) => ({ message }) => Object.assign(problem, { textContent: message, hidden: false });

async function deleteImages(job, { confirmation }, changed, problem) {
  if (!(await confirmDialog(confirmation))) return;
  await attempt(call("DELETE", `/api/jobs/${job.job_id}`).then(changed), complain(problem));
}
