// What reaches somebody who looks elsewhere: progress in the tab's title, and a notification when a job is done.

import { RUNNING } from "./api.js";
import { percent } from "./format.js";


export class Attention {
  constructor() {
    this.title = document.title;
  }

  /** Ask once, ever, whether notifications are wanted; called from a press of the start button. */
  ask() {
    if (!("Notification" in window) || Notification.permission !== "default" || localStorage.getItem("asked-to-notify")) return;
    localStorage.setItem("asked-to-notify", "1");
    Notification.requestPermission().catch(() => {});
  }

  /** The newest state of one job; `past` where it was finished before this page knew it. */
  update(job, cards, past = false) {
    const running = [...cards.values()].map((card) => card.job).filter((one) => one && RUNNING.includes(one.state));
    const shares = running.map((one) => (one.progress?.percent ?? 0) / 100);
    const share = shares.reduce((sum, part) => sum + part, 0) / Math.max(1, shares.length);
    const count = running.length > 1 ? ` (${running.length})` : "";
    document.title = running.length ? `${percent(share)}${count} · ${this.title}` : this.title;
    if (!past && job.state === "succeeded" && document.hidden) this.#notify(job);
  }

  #notify(job) {
    if (!("Notification" in window) || Notification.permission !== "granted") return;
    const note = new Notification(job.card.title, { body: job.card.summary, icon: "/static/icon.svg", tag: job.job_id });
    note.onclick = () => { window.focus(); note.close(); };
  }
}
