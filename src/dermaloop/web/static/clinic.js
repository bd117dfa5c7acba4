// Walks a list of cases by keyboard: arrow keys, or j and k, from case to case, Home and End to its ends. Only while the
// focus is within the list (WCAG 2.1.4), so that no letter typed elsewhere does anything. The page works without it.
"use strict";
(() => {
  for (const list of document.querySelectorAll("[data-walk]")) {
    const links = [...list.querySelectorAll(".case-title a")];
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, Home: -Infinity, End: Infinity };
    list.addEventListener("keydown", (event) => {
      if (!Object.hasOwn(steps, event.key) || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      const at = links.indexOf(document.activeElement);
      if (at < 0) return;
      event.preventDefault();
      links[Math.min(Math.max(at + steps[event.key], 0), links.length - 1)].focus();
    });
    if (links.length > 1) list.nextElementSibling.hidden = false;
  }
})();
