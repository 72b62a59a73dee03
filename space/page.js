// What Gradio leaves to the page: Ctrl+Enter, analysing after a pause, and names for screen readers.
() => {
  const PAUSE = 600;
  let timer;

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.target.tagName !== "TEXTAREA") return;
    const panel = event.target.closest('[role="tabpanel"]') || document;
    const button = panel.querySelector("button.go");
    if (!button) return;
    event.preventDefault();
    setTimeout(() => button.click());
  });

  document.addEventListener("input", (event) => {
    const live = document.querySelector("#live input");
    if (!live?.checked || !event.target.closest("#text")) return;
    clearTimeout(timer);
    timer = setTimeout(() => document.querySelector("#analyse").click(), PAUSE);
  });

  const name = () => {
    for (const field of document.querySelectorAll("input.search-input:not([aria-label])"))
      field.setAttribute("aria-label", field.title || field.placeholder);
    for (const code of document.querySelectorAll('.cm-scroller[tabindex="-1"]')) code.tabIndex = 0;
    for (const id of ["result", "batch-progress", "feedback-told", "long-note", "compare-table"])
      document.getElementById(id)?.setAttribute("aria-live", "polite");
  };
  new MutationObserver(name).observe(document.body, {childList: true, subtree: true});
  name();
}
