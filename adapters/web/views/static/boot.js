// What the server put into the page: the reader's language and sentences, ranges, defaults.

export const boot = JSON.parse(document.getElementById("boot").textContent);

/** The sentence `key`, with its {names} filled in. */
export function t(key, facts = {}) {
  const text = boot.texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in facts ? String(facts[name]) : whole));
}
