// Small helpers for building elements. Never innerHTML: whatever people or models wrote stays text.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties, attributes (`aria-…`, `data-…`, `role`, `for`), listeners (`onclick`) and children. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || ["role", "for", "list"].includes(name)) node.setAttribute(name, value === true ? "" : value);
    else node[name] = value;
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== "" && child !== false));
  return node;
}

/** One of the icons drawn in the page. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon and words. */
export function button(label, iconName, onclick, props = {}) {
  return el("button", { type: "button", onclick, ...props }, iconName && icon(iconName), el("span", {}, label));
}

export const byId = (id) => document.getElementById(id);

/** Say something to screen readers, once. */
export function announce(text) {
  const region = byId("announcer");
  region.textContent = "";
  requestAnimationFrame(() => { region.textContent = text; });
}

/** Ask a card's question before an action; resolves to true only for yes. */
export function confirmDialog({ title, text, yes, no }) {
  const dialog = byId("dialog");
  return new Promise((resolve) => {
    const finish = (answer) => { dialog.close(); resolve(answer); };
    dialog.replaceChildren(
      el("h2", { id: "dialog-title" }, title),
      el("p", {}, text),
      el("div", { class: "actions" },
        el("button", { type: "button", autofocus: true, onclick: () => finish(false) }, no),
        el("button", { type: "button", class: "primary danger", onclick: () => finish(true) }, yes)),
    );
    dialog.addEventListener("cancel", () => resolve(false), { once: true });
    dialog.showModal();
  });
}
