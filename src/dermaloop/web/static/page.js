// Sends pictures one by one and puts each result into the page as it arrives. The page works without it, by plain form.
// Results live in this page only: nothing is kept in the browser's storage. Texts stand in the page (#texts), not here.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  document.documentElement.classList.toggle("touch", navigator.maxTouchPoints > 0);

  const percent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });
  const byId = (id) => document.getElementById(id);

  // Heatmap sliders of results that are here now or come later.
  document.addEventListener("input", (event) => {
    const slider = event.target;
    if (!(slider instanceof HTMLInputElement) || !slider.classList.contains("heat-slider")) return;
    const picture = slider.closest(".picture");
    picture.querySelector(".heat").setAttribute("opacity", String(slider.valueAsNumber / 100));
    picture.querySelector("output").value = percent.format(slider.valueAsNumber / 100);
  });

  const form = byId("form");
  if (!form) return;

  const texts = byId("texts").dataset;
  const queue = byId("queue");
  const list = byId("list");
  const results = byId("results");
  const maxBytes = Number(form.dataset.maxBytes);
  const maxFiles = Number(form.dataset.maxFiles);
  const RETRIES = 20;
  let serial = 0;
  let generation = 0;
  let total = 0;
  let done = 0;
  const waiting = [];
  let running = false;

  const fill = (text, gaps) => text.replace(/\{(\w+)\}/g, (_, name) => gaps[name]);
  const say = (text) => { byId("live").textContent = text; };

  // XMLHttpRequest rather than fetch: it reports how much has been sent and parses the answer without running it.
  const send = (method, address, body, onProgress) => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, address);
    request.responseType = "document";
    request.upload.onprogress = (event) => { if (event.lengthComputable) onProgress(event.loaded / event.total); };
    request.upload.onload = () => onProgress(1);
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Error(texts.offline));
    request.send(body);
  });

  const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

  const makeRow = (name) => {
    const row = byId("row").content.firstElementChild.cloneNode(true);
    row.querySelector(".item-name").textContent = name;
    row.querySelector(".item-state").textContent = texts.waiting;
    row.querySelector("progress").value = 0;
    return row;
  };

  const makeFailure = (name, sentence) => {
    const article = byId("failure").content.firstElementChild.cloneNode(true);
    article.querySelector(".file").textContent = name;
    article.querySelector(".sentence").textContent = sentence;
    article.dataset.kind = "unreadable";
    article.dataset.title = texts.failed;
    return article;
  };

  // Every id of a result gets a number of its own, since each answer numbers its results from 1.
  const renumber = (article) => {
    serial += 1;
    const from = article.id || "result-1";
    const to = `result-${serial}`;
    for (const element of [article, ...article.querySelectorAll("*")]) {
      for (const name of ["id", "for", "aria-labelledby", "fill"]) {
        const value = element.getAttribute(name);
        if (value && value.includes(from)) element.setAttribute(name, value.replace(from, to));
      }
    }
    article.id = to;
    return article;
  };

  const finish = (job, article) => {
    if (job.generation !== generation) return;
    renumber(article);
    job.place.replaceWith(article);
    const { kind, title } = article.dataset;
    job.row.classList.add(kind);
    job.row.querySelector("progress").remove();
    const link = document.createElement("a");
    link.className = "item-state";
    link.href = `#${article.id}`;
    link.textContent = title;
    link.addEventListener("click", () => article.focus());
    job.row.querySelector(".item-state").replaceWith(link);
    done += 1;
    // The page has only now become long enough to show the results at the top; not if the reader has moved on.
    if (document.activeElement === byId("results-title")) results.scrollIntoView({ block: "start" });
    const said = `${job.name}: ${title}. ${fill(texts.progress, { done, total })}`;
    say(done === total ? `${said} ${texts.finished}` : said);
  };

  const assess = async (job) => {
    const state = job.row.querySelector(".item-state");
    const bar = job.row.querySelector("progress");
    const progress = (share) => {
      if (share < 1) { bar.value = share * 100; state.textContent = texts.sending; }
      else { bar.removeAttribute("value"); state.textContent = texts.assessing; }
    };
    for (let attempt = 0; ; attempt += 1) {
      state.textContent = job.file ? texts.sending : texts.assessing;
      let body = null;
      if (job.file) {
        body = new FormData();
        body.append("form_token", form.elements.form_token.value);
        body.append("pictures", job.file, job.name);
      }
      const answer = await send(job.file ? "POST" : "GET", job.address, body, progress);
      if (answer.status === 503 && attempt < RETRIES) {
        state.textContent = texts.retry;
        await pause(Number(answer.getResponseHeader("Retry-After")) || 2);
        continue;
      }
      const page = answer.response;
      const article = page && page.querySelector("article.result");
      if (article) return document.importNode(article, true);
      const problem = page && page.querySelector(".problem");
      return makeFailure(job.name, problem ? problem.textContent : texts.offline);
    }
  };

  const work = async () => {
    if (running) return;
    running = true;
    while (waiting.length) {
      const job = waiting.shift();
      let article;
      try {
        article = job.file && job.file.size > maxBytes
          ? makeFailure(job.name, fill(texts.toolarge, { name: job.name, limit: texts.limit }))
          : await assess(job);
      } catch (error) {
        article = makeFailure(job.name, error.message);
      }
      finish(job, article);
    }
    running = false;
  };

  const add = (jobs) => {
    if (!jobs.length) return;
    document.documentElement.classList.add("busy");
    results.hidden = false;
    const rows = document.createDocumentFragment();
    const places = document.createDocumentFragment();
    for (const job of jobs) {
      job.generation = generation;
      job.row = makeRow(job.name);
      job.place = document.createElement("div");
      rows.append(job.row);
      places.append(job.place);
    }
    queue.prepend(rows);
    list.prepend(places);
    total += jobs.length;
    waiting.push(...jobs);
    const title = byId("results-title");
    title.focus({ preventScroll: true });
    results.scrollIntoView({ block: "start" });
    work();
  };

  const addFiles = (files) => {
    const taken = [...files].slice(0, maxFiles);
    add(taken.map((file) => ({ name: file.name, file, address: "/assess/part" })));
    if (files.length > maxFiles) say(texts.toomany);
  };

  for (const input of form.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => { addFiles(input.files); input.value = ""; });
  }
  form.addEventListener("submit", (event) => event.preventDefault());

  // Dropping anywhere on the page counts; a drop that misses the field must not make the browser leave the page.
  let depth = 0;
  const over = (on) => form.classList.toggle("over", on);
  const holdsFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  document.addEventListener("dragenter", (event) => { if (holdsFiles(event)) { depth += 1; over(true); } });
  document.addEventListener("dragleave", (event) => { if (holdsFiles(event)) { depth -= 1; over(depth > 0); } });
  document.addEventListener("dragover", (event) => { if (holdsFiles(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    addFiles(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData && event.clipboardData.files.length) addFiles(event.clipboardData.files);
  });

  for (const link of document.querySelectorAll("a[data-sample]")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      add([{ name: link.dataset.title, file: null, address: `/sample/${link.dataset.sample}/part` }]);
    });
  }

  byId("clear").addEventListener("click", () => {
    generation += 1;
    waiting.length = 0;
    total = 0;
    done = 0;
    queue.replaceChildren();
    list.replaceChildren();
    results.hidden = true;
    document.documentElement.classList.remove("busy");
    say(texts.cleared);
    byId("files").focus();
  });
})();
