// Sets the chosen theme before the first paint. A classic script on purpose: modules run too late for that.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
