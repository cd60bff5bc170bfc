// Typed commands other than /upscale: each answers with its card in the conversation.

import { boot, t } from "./boot.js";
import { call } from "./api.js";
import { chart } from "./chart.js";
import { button, confirmDialog, el, icon } from "./dom.js";
import { body, drawn, heading, line, plain } from "./draw.js";
import { integer } from "./format.js";

const MAKERS = { "/usage": usage, "/quota": quota, "/queue": queue, "/history": history, "/help": help, "/settings": settings, "/privacy": privacy };

/** The panel for a command line, or null where there is no such command. Throws Refused. */
export async function panelFor(typed, page) {
  const [command, ...words] = typed.replace(/^\/?(?:upscale\s+)?/i, "/").split(/\s+/);
  const maker = MAKERS[command.toLowerCase()];
  if (!maker) return null;
  const root = el("article", { class: "card panel", tabIndex: -1 });
  await maker(words, (...children) => root.replaceChildren(...children.flat(Infinity).filter(Boolean)), page);
  return root;
}

const head = (card, ...beside) => el("div", { class: "panel-head" }, heading(card), beside);

async function usage(words, show) {
  const period = words.join(" ") || "month";
  const report = await call("GET", `/api/usage?period=${encodeURIComponent(period)}`);
  const tabs = el("div", { class: "tabs" }, [["day", t("today")], ["week", t("week")], ["month", t("month")], ["year", t("year")]].map(([name, label]) =>
    el("button", { type: "button", "aria-pressed": String(name === period), onclick: () => usage([name], show) }, label)),
  el("input", { type: "month", "aria-label": t("usage_month"), value: period === "month" ? report.first_day.slice(0, 7) : /^\d{4}-\d{2}$/.test(period) ? period : "", max: new Date().toISOString().slice(0, 7), onchange: (event) => { if (event.target.value && event.target.validity.valid) usage([event.target.value], show); } }));
  const days = report.days.filter((day) => day.jobs > 0);
  const heads = [t("day"), t("charged"), t("images")].map((name, at) => el("th", { scope: "col", class: at ? "number" : "" }, name));
  const table = days.length > 1 ? el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, days.map((day) => el("tr", {},
    el("td", {}, day.label), el("td", { class: "number" }, day.charged), el("td", { class: "number" }, integer(day.jobs)))))) : null;
  show(head(report.card, tabs), body(report.card), days.length ? chart(report) : null, table,
    days.length ? el("p", {}, el("a", { href: report.csv_url, download: "" }, t("usage_csv"))) : null);
}

async function quota(words, show) {
  const [verb, ...rest] = words;
  const text = rest.join(" ");
  if (verb === "pause" || verb === "resume") {
    const answer = await call("POST", "/api/pause", { paused: verb === "pause", text });
    return answer.limits ? limits(answer, show) : show(drawn(answer.card));
  }
  if (verb === "set") return limits(await call("POST", "/api/limits", { text }), show);
  return limits(verb === "clear" ? await call("POST", "/api/limits", { clear: text }) : await call("GET", "/api/limits"), show);
}

function limits({ card, limits: all }, show) {
  const beside = (n) => {
    const { words, source, window, measure } = all[n];
    if (!words || source !== "operator") return null;
    const clear = `${words} ${window === "now" ? "" : window} ${measure === "megapixels" ? "mp" : measure}`;
    const label = `${t("limit_clear")}: ${plain(card.facts[n].label)}`;
    return [words.includes(" ") ? el("code", { class: "where" }, words) : null,
      el("button", { type: "button", class: "quiet icon-only", "aria-label": label, title: t("limit_clear"), onclick: async () => limits(await call("POST", "/api/limits", { clear }), show) }, icon("close"))];
  };
  show(heading(card), body(card, beside));
}

async function queue(words, show) {
  const { card } = await call("GET", "/api/queue");
  show(drawn(card, null, async (choice, jobId) => {
    await call("POST", `/api/jobs/${jobId}/cancel`);
    await queue(words, show);
  }));
}

async function history(words, show, page) {
  const { jobs, card } = await call("GET", "/api/history?limit=50");
  if (jobs.length === 0) return show(drawn(card));
  const rows = card.paragraphs.map((spans, n) => ({ name: plain(spans).toLowerCase(), node: historyRow(jobs[n], spans, page) }));
  const sift = () => { for (const { name, node } of rows) node.hidden = !name.includes(find.value.trim().toLowerCase()); };
  const find = el("input", { class: "find", type: "search", "aria-label": t("find"), placeholder: t("find"), value: words.join(" "), oninput: sift });
  sift();
  return show(head(card, find), el("ul", { class: "jobs" }, rows.map(({ node }) => node)));
}

function historyRow(job, spans, page) {
  const none = () => el("span", { class: "thumb" });
  const picture = job.has_image
    ? el("img", { class: "thumb", src: job.result.thumb_url, alt: "", loading: "lazy", onerror: (event) => event.target.replaceWith(none()) }) : none();
  return el("li", {}, picture, el("p", { class: "grow" }, line(spans)), button(t("show"), null, () => page.open(job), { "aria-label": `${t("show")}: ${job.name || job.job_id}` }));
}

async function help(words, show) {
  show(drawn(boot.help));
}

async function settings(words, show) {
  const { defaults, presets, card } = words.length ? await call("PUT", "/api/defaults", { words: words.join(" ") }) : await call("GET", "/api/defaults");
  Object.assign(boot, { defaults, presets });
  show(drawn(card), Object.keys(defaults).length ? el("div", { class: "actions" }, button(t("reset"), "again", () => settings(["clear"], show))) : null);
}

async function privacy(words, show, page) {
  show(drawn(boot.privacy, async ({ kind, confirmation }) => {
    if (kind === "export") return location.assign("/api/privacy/export");
    if (!(await confirmDialog(confirmation))) return undefined;
    const { card } = await call("POST", "/api/privacy/delete", { confirm: true });
    page.clear();
    return show(drawn(card));
  }));
}
