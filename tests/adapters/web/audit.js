// Looks at the page as it stands and names what some people could not read, reach or understand.
() => {
  const found = [];
  const shown = (node) => node.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const name = (node) => (node.getAttribute("aria-label") || (node.labels?.[0]?.textContent ?? "") || node.alt
    || node.textContent || node.title || "").trim();
  for (const node of document.querySelectorAll("button, a[href], input, select, textarea, [role=progressbar], [role=meter]"))
    if (!name(node)) found.push(`no name: ${node.outerHTML.slice(0, 90)}`);
  for (const node of document.querySelectorAll("img")) if (!node.hasAttribute("alt")) found.push(`no alt: ${node.src}`);
  for (const node of document.querySelectorAll("svg"))
    if (node.getAttribute("aria-hidden") !== "true") found.push("a picture of no meaning is told to screen readers");
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) found.push(`id twice: ${id}`);
  for (const attribute of ["aria-controls", "aria-describedby", "aria-labelledby", "for"])
    for (const node of document.querySelectorAll(`[${attribute}]`))
      for (const id of node.getAttribute(attribute).split(" "))
        if (!ids.includes(id) && id !== "dialog-title") found.push(`${attribute} points to nothing: ${id}`);
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  let level = 1;
  for (const node of document.querySelectorAll("h1, h2, h3, h4")) {
    if (!shown(node)) continue;
    const now = Number(node.tagName[1]);
    if (now > level + 1) found.push(`heading order: ${node.textContent}`);
    level = now;
  }
  for (const node of document.querySelectorAll("li"))
    if (!["UL", "OL"].includes(node.parentElement.tagName) || node.parentElement.hasAttribute("role")) found.push(`listitem outside a list: ${node.className}`);
  for (const landmark of ["header", "main", "form"]) if (!document.querySelector(landmark)) found.push(`no ${landmark}`);

  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((at) => top[at] * top[3] + below[at] * (1 - top[3])).concat(1);
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = ([r, g, b]) => {
    const part = (value) => (value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !shown(node) || node.closest("script, .visually-hidden, .slider, .hero-labels")) continue;
    if (node.closest(":disabled")) continue;
    const style = getComputedStyle(node);
    const back = behind(node);
    const [one, two] = [light(over(rgba(style.color), back)), light(back)].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (two + 0.05);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < needed) found.push(`contrast ${ratio.toFixed(2)}: ${walker.currentNode.textContent.trim().slice(0, 40)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push(`wider than the screen: ${document.documentElement.scrollWidth}`);
  for (const node of document.querySelectorAll("button, a.button, input:not([type=range])")) {
    const box = node.getBoundingClientRect();
    if (shown(node) && !node.closest(".visually-hidden") && box.width && Math.min(box.width, box.height) < 24)
      found.push(`too small to touch: ${name(node)} ${box.width}×${box.height}`);
  }
  return found;
}
