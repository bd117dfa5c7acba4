// Sends a folder piece by piece and shows how the work goes on. The page works without it, by plain form.
// A piece is a few files, so that neither the browser nor the server holds a folder in memory; what the server has
// already is not sent again. Texts stand in the page (#texts), not here.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  const byId = (id) => document.getElementById(id);
  const work = byId("work");
  const address = work.dataset.address;
  const texts = byId("texts").dataset;
  const form = byId("form");
  const fill = (text, gaps) => text.replace(/\{(\w+)\}/g, (_, name) => gaps[name]);
  const say = (text) => { byId("live").textContent = text; };
  const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

  const send = (method, path, body, onProgress) => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    request.responseType = "document";
    if (onProgress) request.upload.onprogress = (event) => { if (event.lengthComputable) onProgress(event.loaded / event.total); };
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Error(texts.offline));
    request.send(body);
  });

  // Progress and list, from the server as it stands.
  const POLL_S = 2;
  const LIST_S = 6;
  let sending = false;
  let shown = byId("progress").dataset.assessed + "/" + byId("progress").dataset.arrived;
  let listAt = Date.now();

  const replace = (id, page) => {
    const fresh = page && page.getElementById(id);
    if (fresh) byId(id).replaceWith(document.importNode(fresh, true));
    return Boolean(fresh);
  };

  const refreshList = async () => {
    if (byId("found").contains(document.activeElement)) return false; // whoever is in the list by keyboard stays there
    const answer = await send("GET", work.dataset.list, null);
    listAt = Date.now();
    return answer.status === 200 && replace("found", answer.response);
  };

  const look = async () => {
    const answer = await send("GET", `${address}/progress/part`, null);
    if (answer.status !== 200 || !replace("progress", answer.response)) return true;
    const { assessed, arrived, waiting } = byId("progress").dataset;
    const now = `${assessed}/${arrived}`;
    const busy = sending || Number(waiting) > 0;
    if (now !== shown && (!busy || Date.now() - listAt > LIST_S * 1000) && await refreshList()) shown = now;
    if (!busy) say(byId("progress-text").textContent);
    return busy || now !== shown;
  };

  let watching = false;
  const watch = async () => {
    if (watching) return;
    watching = true;
    let more = true;
    while (more) {
      await pause(POLL_S);
      try { more = await look(); } catch { more = true; }
    }
    watching = false;
  };
  if (Number(byId("progress").dataset.waiting) > 0) watch();
  if (!form) return;

  const maxBytes = Number(form.dataset.maxBytes);
  const pieceFiles = Math.min(8, Number(form.dataset.maxFiles));
  const PIECE_BYTES = 8 * 1024 * 1024;
  const RETRIES = 60;
  const SHOWN = 200;
  const suffixes = form.dataset.suffixes.split(",");
  const queue = byId("queue");
  const waiting = [];
  let total = 0;
  let done = 0;
  let notes = "";

  const isPicture = (file) => {
    const name = file.name.toLowerCase();
    return !name.startsWith(".") && suffixes.some((suffix) => name.endsWith(suffix));
  };

  const row = (name) => {
    const made = byId("row").content.firstElementChild.cloneNode(true);
    made.querySelector(".item-name").textContent = name;
    made.querySelector(".item-state").textContent = texts.waiting;
    made.querySelector("progress").value = 0;
    return made;
  };

  const tell = () => { byId("sending-text").textContent = `${fill(texts.sent, { done, total })} ${notes}`.trim(); };

  const fail = (one, text) => {
    one.row.classList.add("failed");
    one.row.querySelector(".item-state").textContent = text;
    one.row.querySelector("progress")?.remove();
    if (!one.row.isConnected) queue.append(one.row);
  };

  // The rows of what is next stand in the page; a folder of thousands would only slow it down.
  const showNext = () => {
    for (const one of waiting) {
      if (queue.childElementCount >= SHOWN) return;
      if (!one.row.isConnected) queue.append(one.row);
    }
  };

  const takePiece = () => {
    const piece = [];
    let bytes = 0;
    while (waiting.length && piece.length < pieceFiles && (!piece.length || bytes + waiting[0].file.size <= PIECE_BYTES)) {
      bytes += waiting[0].file.size;
      piece.push(waiting.shift());
    }
    return piece;
  };

  const sendPiece = async (piece) => {
    for (let attempt = 0; ; attempt += 1) {
      const body = new FormData();
      body.append("form_token", form.elements.form_token.value);
      body.append("expected", String(total));
      for (const one of piece) body.append("path", one.path);
      for (const one of piece) body.append("pictures", one.file, one.file.name);
      const show = (share) => {
        for (const one of piece) {
          one.row.querySelector(".item-state").textContent = texts.sending;
          const bar = one.row.querySelector("progress");
          if (share < 1) bar.value = share * 100; else bar.removeAttribute("value");
        }
      };
      show(0);
      let answer = null;
      try { answer = await send("POST", `${address}/pictures/part`, body, show); } catch (error) {
        if (attempt >= 3) throw error;
        await pause(2);
        continue;
      }
      if (answer.status === 204) return "";
      if (answer.status === 503 && attempt < RETRIES) {
        for (const one of piece) one.row.querySelector(".item-state").textContent = texts.retry;
        await pause(Number(answer.getResponseHeader("Retry-After")) || 2);
        continue;
      }
      const problem = answer.response && answer.response.querySelector(".problem");
      return problem ? problem.textContent.trim() : texts.offline;
    }
  };

  // Of what is too large to be sent, the list is told name and size, and keeps it with the reason.
  const tellTooLarge = async (found) => {
    for (let at = 0; at < found.length; at += 10) {
      const some = found.slice(at, at + 10);
      const body = new URLSearchParams({ form_token: form.elements.form_token.value, expected: String(total) });
      for (const one of some) { body.append("path", one.path); body.append("bytes", String(one.file.size)); }
      const answer = await send("POST", `${address}/too-large/part`, body);
      if (answer.status === 204) done += some.length;
    }
  };

  const run = async () => {
    if (sending) return;
    sending = true;
    byId("sending").hidden = false;
    watch();
    while (waiting.length) {
      showNext();
      const piece = takePiece();
      let problem;
      try { problem = await sendPiece(piece); } catch (error) { problem = error.message; }
      for (const one of piece) {
        if (problem) { fail(one, problem); continue; }
        done += 1;
        one.row.remove();
      }
      tell();
    }
    sending = false;
    tell();
    say(byId("sending-text").textContent);
  };

  const add = async (found) => {
    const pictures = found.filter((one) => isPicture(one.file));
    const others = found.length - pictures.length;
    let known = new Set();
    try {
      const answer = await fetch(`${address}/arrived`);
      if (answer.ok) known = new Set((await answer.json()).map(([name, size]) => `${size} ${name}`));
    } catch { /* then everything is sent, and the server sees what it has */ }
    const fresh = pictures.filter((one) => !known.has(`${one.file.size} ${one.path}`));
    total += pictures.length;
    done += pictures.length - fresh.length;
    notes = [
      pictures.length - fresh.length ? fill(texts.known, { n: pictures.length - fresh.length }) : "",
      others ? fill(texts.others, { n: others }) : "",
    ].filter(Boolean).join(" ");
    const tooLarge = fresh.filter((one) => one.file.size > maxBytes);
    for (const one of fresh) {
      one.row = row(one.path);
      if (one.file.size > maxBytes) fail(one, texts.toolarge); else waiting.push(one);
    }
    byId("sending").hidden = false;
    try { await tellTooLarge(tooLarge); } catch { /* the page says of each that it was not sent */ }
    tell();
    await run();
  };

  for (const input of [byId("folder"), byId("files")]) {
    input.addEventListener("change", () => {
      add([...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
      input.value = "";
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("beforeunload", (event) => { if (sending) event.preventDefault(); });

  // A dropped folder is walked by the browser's own entries; readEntries gives a hundred at a time.
  const walk = async (entry, into) => {
    if (entry.isFile) {
      const file = await new Promise((resolve) => { entry.file(resolve, () => resolve(null)); });
      if (file) into.push({ file, path: entry.fullPath.replace(/^\//, "") });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve) => { reader.readEntries(resolve, () => resolve([])); });
      if (!some.length) return;
      for (const one of some) await walk(one, into);
    }
  };

  let depth = 0;
  const over = (on) => form.classList.toggle("over", on);
  const holdsFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  document.addEventListener("dragenter", (event) => { if (holdsFiles(event)) { depth += 1; over(true); } });
  document.addEventListener("dragleave", (event) => { if (holdsFiles(event)) { depth -= 1; over(depth > 0); } });
  document.addEventListener("dragover", (event) => { if (holdsFiles(event)) event.preventDefault(); });
  document.addEventListener("drop", async (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [...event.dataTransfer.files];
    const found = [];
    for (const entry of entries) await walk(entry, found);
    add(entries.length ? found : files.map((file) => ({ file, path: file.name })));
  });
})();
