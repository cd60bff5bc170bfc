// The conversation: what was asked on the right, the bot's cards on the left, newest at the bottom.

import { t } from "./boot.js";
import { byId, el } from "./dom.js";
import { roomHeight } from "./viewer.js";

const NEAR_BOTTOM_PX = 200;

export class Thread {
  constructor() {
    this.list = byId("thread");
    this.hero = byId("hero");
  }

  get empty() {
    return this.list.childElementCount === 0;
  }

  /** Show the empty state while there is nothing else. */
  refresh() {
    this.hero.hidden = !this.empty;
  }

  /** What a person asked: a line, and a picture with its name. */
  mine(line, picture = null) {
    const image = picture?.url ? el("img", { src: picture.url, alt: "" }) : null;
    const name = picture?.name ? el("span", { class: "name" }, picture.name) : null;
    return this.#add("mine", el("div", { class: "bubble" },
      image, el("div", {}, el("span", { class: "visually-hidden" }, `${t("you")}: `), name, el("code", {}, line))));
  }

  /** The bot's answer. */
  bots(card) {
    return this.#add("bots", card);
  }

  #add(kind, node) {
    const item = el("li", { class: `message ${kind}` }, node);
    this.list.append(item);
    this.refresh();
    return item;
  }

  clear() {
    this.list.replaceChildren();
    this.refresh();
  }

  /** Bring an answer into view from its beginning: pictures in it may still make it longer. */
  toTop(item, smooth = true) {
    item.scrollIntoView({ behavior: smooth ? "smooth" : "instant", block: "start" });
  }

  /** The end of the conversation; an answer that is taller than the window from its beginning. */
  show(item, smooth = true) {
    // Views measure themselves after the next layout; before that, the page is too short to scroll to their top.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      if (item.offsetHeight > roomHeight()) this.toTop(item, smooth); else this.toBottom(smooth);
    }));
  }

  nearBottom() {
    const page = document.scrollingElement;
    return page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_BOTTOM_PX;
  }

  toBottom(smooth = true) {
    const page = document.scrollingElement;
    page.scrollTo({ top: page.scrollHeight, behavior: smooth ? "smooth" : "instant" });
  }
}
