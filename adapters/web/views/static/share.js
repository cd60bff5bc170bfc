// A result that somebody shares: the same viewer, its caption, and the file.

import { boot, t } from "./boot.js";
import { byId, el, icon } from "./dom.js";
import { Viewer } from "./viewer.js";

const { job } = boot;
if (job) {
  const viewer = new Viewer(job, job.result.alt, () => viewer.root.replaceWith(el("p", {}, t("share_gone"))));
  byId("shared").prepend(viewer.root);
  byId("shared").append(...[
    el("p", {}, el("span", { class: "badge model" }, job.model)),
    job.result.caption && el("blockquote", { class: "caption" }, job.result.caption),
    el("p", { class: "fine" }, job.about),
    el("div", { class: "actions" }, el("a", { class: "button primary", href: job.result.download_url, download: job.result.image.file_name }, icon("download"), t("download"))),
  ].filter(Boolean));
}
document.documentElement.dataset.ready = "true";
