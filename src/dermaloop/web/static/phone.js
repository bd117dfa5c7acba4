// Sends each picture as soon as it is taken and says at once how good it is. The page works without it, by plain form.
// What is not good is kept in the page until it is sent anyway or taken again; nothing is kept in the phone's storage.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  const byId = (id) => document.getElementById(id);
  const form = byId("form");
  const texts = byId("texts").dataset;
  const keep = byId("keep");
  const maxBytes = Number(form.dataset.maxBytes);
  const RETRIES = 20;
  let rejected = [];
  let busy = false;

  const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
  const send = (body) => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${form.getAttribute("action")}/part`);
    request.responseType = "document";
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) byId("sending").querySelector("progress").value = event.loaded / event.total;
      if (event.loaded === event.total) byId("sending").querySelector("progress").removeAttribute("value");
    };
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Error(texts.offline));
    request.send(body);
  });

  const failure = (text) => {
    const article = byId("failure").content.firstElementChild.cloneNode(true);
    article.querySelector("h2").textContent = text;
    return article;
  };

  const sendOne = async (file, anyway) => {
    if (file.size > maxBytes) return failure(texts.toolarge);
    for (let attempt = 0; ; attempt += 1) {
      const body = new FormData();
      if (anyway) body.append("anyway", "yes");
      body.append("pictures", file, file.name);
      const answer = await send(body);
      if (answer.status === 503 && attempt < RETRIES) {
        byId("sending-text").textContent = texts.retry;
        await pause(Number(answer.getResponseHeader("Retry-After")) || 2);
        continue;
      }
      const page = answer.response;
      const count = page && page.getElementById("phone-count");
      if (count) byId("phone-count").replaceWith(document.importNode(count, true));
      const outcome = page && page.querySelector(".outcome");
      if (outcome) return document.importNode(outcome, true);
      const problem = page && page.querySelector(".problem");
      return failure(problem ? problem.textContent.trim() : texts.offline);
    }
  };

  const take = async (files, anyway = false) => {
    if (busy || !files.length) return;
    busy = true;
    rejected = [];
    keep.hidden = true;
    for (const old of document.querySelectorAll(".outcome")) old.remove();
    byId("sending").hidden = false;
    form.inert = true;
    for (const file of files) {
      byId("sending-text").textContent = texts.sending;
      let article;
      try { article = await sendOne(file, anyway); } catch (error) { article = failure(error.message); }
      byId("phone-count").before(article);
      if (article.dataset.kept === "no" && article.dataset.readable === "yes") rejected.push(file);
      byId("live").textContent = article.textContent.replace(/\s+/g, " ").trim();
      article.scrollIntoView({ block: "nearest" });
    }
    byId("sending").hidden = true;
    form.inert = false;
    keep.hidden = rejected.length === 0;
    busy = false;
  };

  for (const input of form.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      const files = [...input.files];
      input.value = "";
      take(files);
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  keep.querySelector("button").addEventListener("click", () => take(rejected, true));
})();
