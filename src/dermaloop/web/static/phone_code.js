// Asks what has come in by the phone's link and shows it, as long as the link works and the page is looked at.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  const page = document.getElementById("code-page");
  const EVERY_MS = 2000;
  const state = () => document.getElementById("news").dataset;

  const load = (address) => new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.onload = () => resolve(request.status === 200 ? request.response : null);
    request.onerror = () => resolve(null);
    request.send();
  });

  const look = async () => {
    if (!document.hidden) {
      const answer = await load(`${page.dataset.news}?seen=${state().pictures}`);
      const fresh = answer && answer.getElementById("news");
      if (fresh) {
        const news = fresh.dataset.pictures !== state().pictures;
        const over = fresh.dataset.works !== state().works;
        if (news) document.getElementById("news").replaceWith(document.importNode(fresh, true));
        else if (over) {
          state().works = fresh.dataset.works;
          document.getElementById("news-text").replaceWith(document.importNode(fresh.querySelector("#news-text"), true));
        }
        if (news || over) document.getElementById("live").textContent = document.getElementById("news-text").textContent;
      }
    }
    if (state().works === "yes") setTimeout(look, EVERY_MS);
  };
  setTimeout(look, EVERY_MS);
})();
