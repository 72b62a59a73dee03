// Additions to Gradio: Ctrl+Enter, live analysis, and support for screen readers and phones.
() => {
  const PAUSE = 600, NARROW = 768;
  let timer, requested = false;

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.target.tagName !== "TEXTAREA") return;
    const panel = event.target.closest('[role="tabpanel"]') || document;
    const button = panel.querySelector("button.go");
    if (!button) return;
    event.preventDefault();
    setTimeout(() => button.click());
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("button.go, .gallery-item")) requested = true;
  });

  // Dismiss error messages when the visitor changes an input.
  const dismiss = () => document.querySelectorAll(".toast-close").forEach((button) => button.click());
  for (const kind of ["input", "change", "drop"]) document.addEventListener(kind, dismiss);

  document.addEventListener("input", (event) => {
    const live = document.querySelector("#live input");
    if (!live?.checked || !event.target.closest("#text")) return;
    clearTimeout(timer);
    timer = setTimeout(() => document.querySelector("#analyze").click(), PAUSE);
  });

  // Follow a link that is pasted into the address bar of the open page.
  window.addEventListener("hashchange", () => location.hash.includes("text=") && location.reload());

  // Screen readers announce the result sentence, not every bar.
  const spoken = document.createElement("div");
  spoken.id = "spoken";
  spoken.setAttribute("role", "status");
  document.querySelector("main").append(spoken);

  // Show the page when its first result and the examples have their final size; page.css shows it after 4 s.
  const main = document.querySelector("main");
  const deadline = performance.now() + 4000;
  const reveal = () => {
    if (performance.now() > deadline) return;
    const examples = [...document.querySelectorAll(".gallery-item")].filter((item) => item.offsetParent);
    const laidOut = examples.length && examples.every((item) => item.offsetHeight > 20);
    if (!document.querySelector("#result .sentence") || !laidOut) return requestAnimationFrame(reveal);
    requestAnimationFrame(() => {
      main.classList.add("ready");
      const text = document.querySelector("#text textarea");  // not focusable while hidden
      if (document.activeElement !== document.body) return;
      text.focus({preventScroll: true});
      text.select();  // typing replaces the sample
    });
  };
  reveal();

  const update = () => {
    for (const field of document.querySelectorAll("input.search-input:not([aria-label])"))
      field.setAttribute("aria-label", field.title || field.placeholder);
    for (const code of document.querySelectorAll('.cm-scroller[tabindex="-1"]')) code.tabIndex = 0;
    for (const id of ["batch-progress", "feedback-message", "long-note"])
      document.getElementById(id)?.setAttribute("aria-live", "polite");
    const sentence = document.querySelector("#result .sentence")?.dataset.spoken || "";
    if (sentence !== spoken.textContent) spoken.textContent = sentence;
    if (requested && sentence && innerWidth < NARROW)
      document.querySelector("#result").scrollIntoView({behavior: "smooth"});
    if (sentence) requested = false;
  };
  new MutationObserver(update).observe(document.body, {childList: true, subtree: true});
  update();
}
