// Keyboard shortcuts of the annotation app; annotate.py defines `keys`.
let lastPress = 0;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const field = event.target.closest("input, textarea");
  if (field && field.type !== "checkbox") return;
  const panel = [...document.querySelectorAll(".annotate")].find((element) => element.offsetParent);
  if (!panel) return;
  const press = (selector) => {
    // Ignore a second key press until the next row has loaded; it would apply to that row.
    if (Date.now() - lastPress < 400) return;
    lastPress = Date.now();
    panel.querySelector(selector)?.click();
  };
  const label = event.key.length === 1 ? keys.labels.indexOf(event.key.toLowerCase()) : -1;
  if (label >= 0) panel.querySelectorAll(".labels input[type=checkbox]")[label].click();
  else if (event.key === keys.unsure) press(".unsure");
  else if (event.key === keys.vote) press(".vote");
  else if (event.key === keys.undo) press(".undo");
  else return;
  event.preventDefault();
});
