// Follows a look that is under way, and shows the page anew when it has ended. The page works without it, by its link.
"use strict";
(() => {
  const EVERY_MS = 1000;
  const here = () => document.getElementById("progress");
  const note = document.getElementById("note");

  const follow = async () => {
    let fresh = null;
    try {
      const answer = await fetch("/watch/progress/part");
      if (answer.ok) {
        fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("progress");
      }
    } catch { /* the server is away: it is asked again */ }
    if (fresh && fresh.dataset.open !== "yes" && !(note && note.value)) {
      location.replace("/watch"); // not over a note that somebody is writing
      return;
    }
    if (fresh) here().replaceWith(document.importNode(fresh, true));
    if (here().dataset.open === "yes") setTimeout(follow, EVERY_MS);
  };

  if (here().dataset.open === "yes") setTimeout(follow, EVERY_MS);
})();
