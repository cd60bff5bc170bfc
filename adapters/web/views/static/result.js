// A finished job: slider, caption, receipt, buttons, details, comparison.

import { boot, t } from "./boot.js";
import { call, Refused } from "./api.js";
import { announce, button, confirmDialog, el, icon } from "./dom.js";
import { bytes, dateTime, decimal, size } from "./format.js";
import { copyButton, saveAsView } from "./save.js";
import { Viewer } from "./viewer.js";

/** The children of a finished job's card. `changed` is told the job after a deletion. */
export function resultView(job, actions, changed) {
  if (job.images_deleted) return [facts(job), el("p", {}, t("deleted")), receipt(job)];
  const alt = job.texts.alt || job.result.caption;
  const viewer = new Viewer(job, alt, () => viewer.root.replaceWith(el("p", {}, t("gone"))));
  const caption = job.result.caption ? el("blockquote", { class: "caption" }, job.result.caption) : null;
  const notes = job.texts.notes ? el("p", { class: "fine" }, job.texts.notes) : null;
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  return [viewer.root, caption, facts(job), receipt(job), notes, ...buttons(job, viewer, actions, changed, problem), problem];
}

function facts(job) {
  return el("div", { class: "facts" }, el("p", { class: "size" }, job.texts.size), el("p", { class: "fine" }, job.texts.parameters));
}

function receipt(job) {
  return el("p", { class: "receipt" }, icon("check"), el("span", {}, job.texts.receipt));
}

const ICONS = { more_creative: "spark", more_faithful: "spark", twice_more: "grow", whole: "grow" };

function buttons(job, viewer, actions, changed, problem) {
  const repeats = job.repeats.map(({ label, change, model }, at) => button(label, ICONS[change] ?? "again", () => actions.repeat(job, change, null, model, label), at ? { class: "later" } : {}));
  const compare = compareView(job);
  const details = detailsView(job);
  const saveAs = saveAsView(job);
  const remove = button(t("b_delete"), "trash", () => deleteImages(job, changed, problem), { class: "quiet danger push later" });
  const more = button(t("b_more"), "more", () => {
    row.classList.add("open");
    row.querySelector(".away").focus();
  }, { class: "more", "aria-expanded": "false" });
  const shown = el("p", { class: "fine share-link", hidden: true });
  const row = oneLine(el("div", { class: "actions result-actions" },
    el("a", { class: "button primary", href: job.result.download_url, download: job.result.image.file_name }, icon("download"), el("span", {}, t("b_download"))),
    ...repeats.slice(0, 1),
    discloser(t("b_compare"), "compare", compare),
    ...repeats.slice(1),
    discloser(t("save_as"), "download", saveAs, "later"),
    ...[copyButton(viewer, problem)].filter(Boolean),
    boot.can_share ? button(t("share"), "share", () => share(job, problem, shown), { class: "later" }) : "",
    discloser(t("b_details"), "info", details, "later"), remove, more));
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
  const figure = el("figure", { hidden: true });
  figure.addEventListener("shown", () => {
    const picture = el("img", { class: "compare-picture", src: job.result.compare_url, alt: t("compare_title") });
    picture.addEventListener("load", () => {
      picture.style.width = `${picture.naturalWidth / devicePixelRatio}px`; // truly 100 %: what does not fit is scrolled to
      figure.scrollIntoView({ behavior: "smooth", block: "nearest" });
    }, { once: true });
    picture.addEventListener("error", () => picture.replaceWith(el("p", {}, t("gone"))), { once: true });
    figure.replaceChildren(el("div", { class: "scroll-x", tabIndex: 0, role: "group", "aria-label": t("compare_title") }, picture), el("figcaption", { class: "fine" }, t("compare_title")));
  }, { once: true });
  return figure;
}

function detailsView(job) {
  const { image, timings } = job.result;
  const copy = (text) => button(t("copy"), "copy", async () => {
    await navigator.clipboard.writeText(text).then(() => announce(t("copied")), () => {});
  }, { class: "copy" });
  const rows = [
    [t("d_size"), `${size(job.input?.width ?? 0, job.input?.height ?? 0)} → ${size(image.width, image.height)}`],
    [t("d_file"), `${image.file_name}, ${image.content_type}, ${bytes(image.file_size)}`],
    ...job.parameter_rows,
    [t("d_time"), timings.inference === null ? "–" : `${decimal(timings.inference)} s`],
    [t("d_charged"), job.receipt?.price ?? "–"], [t("d_estimate"), job.receipt?.estimate_price ?? "–"],
    [t("d_created"), dateTime(job.created_at)],
    [t("reference"), el("span", {}, el("code", {}, job.reference), copy(job.reference))],
    [t("d_line"), el("span", {}, el("code", {}, job.line), copy(job.line))],
  ];
  return el("dl", { class: "details", hidden: true }, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** Hand the address over: to the device's own sharing where it has one, else to the clipboard; and show it. */
async function share(job, problem, shown) {
  try {
    const { url } = await call("POST", `/api/jobs/${job.job_id}/share`);
    shown.replaceChildren(el("a", { href: url, rel: "noopener" }, url), " ", t("share_lead"));
    shown.hidden = false;
    if (navigator.share && matchMedia("(pointer: coarse)").matches) await navigator.share({ url }).catch(() => {});
    else await navigator.clipboard?.writeText(url).then(() => announce(t("copied")), () => {});
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    problem.textContent = error.detail.message;
    problem.hidden = false;
  }
}

async function deleteImages(job, changed, problem) {
  if (!(await confirmDialog(t("delete_title"), t("delete_lead"), t("delete_yes")))) return;
  try {
    changed(await call("DELETE", `/api/jobs/${job.job_id}`));
    announce(t("deleted"));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    problem.textContent = error.detail.message;
    problem.hidden = false;
  }
}
