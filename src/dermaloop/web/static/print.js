// Prints a report: of a result that stands on the page (its pictures are in the page already, so nothing is sent or stored),
// or the page itself. The report lies in a <template> of the result; it becomes a part of the page only while it is printed.
"use strict";
(() => {
  const LONGEST_MS = 3000;
  document.documentElement.classList.add("js");
  for (const button of document.querySelectorAll("[data-print=page]")) button.hidden = false;

  const fill = (sheet, result) => {
    const picture = result.querySelector(".stage img");
    const heat = result.querySelector("image.heat");
    const loads = [];
    for (const image of sheet.querySelectorAll("img.sheet-picture")) {
      if (!picture) continue;
      image.src = picture.src;
      loads.push(image.decode().catch(() => {}));
    }
    for (const layer of sheet.querySelectorAll("image.sheet-heat")) {
      if (!heat) continue;
      loads.push(new Promise((resolve) => {
        layer.addEventListener("load", resolve, { once: true });
        layer.addEventListener("error", resolve, { once: true });
        layer.setAttribute("href", heat.getAttribute("href"));
      }));
    }
    // Never wait longer than a moment: a sheet without its heatmap is better than a button that does nothing.
    return Promise.race([Promise.all(loads), new Promise((resolve) => { setTimeout(resolve, LONGEST_MS); })]);
  };

  const printResult = async (result) => {
    for (const old of document.querySelectorAll("body > .to-print")) old.remove();
    const holder = document.createElement("div");
    holder.className = "to-print";
    holder.append(document.importNode(result.querySelector("template.report").content, true));
    document.body.append(holder);
    await fill(holder, result);
    window.addEventListener("afterprint", () => holder.remove(), { once: true });
    window.print();
  };

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-print]");
    if (!button) return;
    if (button.dataset.print === "page") window.print();
    else printResult(button.closest(".result"));
  });
})();
