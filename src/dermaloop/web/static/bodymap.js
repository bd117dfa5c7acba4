// The body map as a form control: a click or the keys choose a point on the figure; the region under it gives the site.
// Places are fractions of the figure's box. Without this script a plain list of regions is there instead.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  const STEP = 0.006; // of the figure's height, per key
  const NEXT = new Set(["ArrowRight", "ArrowDown"]);
  const BACK = new Set(["ArrowLeft", "ArrowUp"]);
  const WAY = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  const start = (root) => {
    const field = (name) => root.querySelector(`input[name="${name}"]`);
    const list = root.querySelector("select");
    const said = root.querySelector(".body-said");
    const clear = root.querySelector(".body-clear");
    const regions = [...root.querySelectorAll("[data-region]")];
    const chosen = () => regions.find((one) => one.getAttribute("aria-checked") === "true");

    const show = () => {
      const region = chosen();
      for (const one of regions) one.setAttribute("tabindex", one === (region || regions[0]) ? "0" : "-1");
      for (const point of root.querySelectorAll(".body-point")) {
        const here = region && point.ownerSVGElement === region.ownerSVGElement;
        point.classList.toggle("placed", Boolean(here));
        if (!here) continue;
        const box = point.ownerSVGElement.viewBox.baseVal;
        point.setAttribute("transform", `translate(${field("x").value * box.width} ${field("y").value * box.height})`);
      }
      said.textContent = region ? region.getAttribute("aria-label") : said.dataset.none;
      clear.hidden = !region;
    };

    const choose = (region, x, y) => {
      for (const one of regions) one.setAttribute("aria-checked", String(one === region));
      field("view").value = region ? region.ownerSVGElement.dataset.view : "";
      field("x").value = region ? x.toFixed(4) : "";
      field("y").value = region ? y.toFixed(4) : "";
      field("site").value = region ? region.dataset.site : "";
      list.value = region ? region.dataset.region : "";
      show();
      list.dispatchEvent(new Event("change", { bubbles: true }));
    };
    const chooseCentre = (region) => {
      choose(region, Number(region.dataset.x), Number(region.dataset.y));
      region.focus();
    };

    // The uppermost region at a place of a figure; by geometry, so that what lies on the page above does not matter.
    const regionAt = (svg, x, y) => {
      const box = svg.viewBox.baseVal;
      const point = new DOMPoint(x * box.width, y * box.height);
      return regions.findLast((one) => one.ownerSVGElement === svg && one.isPointInFill(point));
    };

    for (const svg of root.querySelectorAll(".bodyside svg")) {
      svg.addEventListener("click", (event) => {
        const region = event.target.closest("[data-region]");
        if (!region) return;
        const box = svg.viewBox.baseVal;
        const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
        const [x, y] = [place.x / box.width, place.y / box.height];
        // A screen reader's click has no place of its own, or one outside of a slanting region.
        if (regionAt(svg, x, y) === region) choose(region, x, y);
        else chooseCentre(region);
        region.focus({ preventScroll: true });
      });
    }

    root.addEventListener("keydown", (event) => {
      const region = event.target.closest("[data-region]");
      if (!region || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.shiftKey && WAY[event.key] && region === chosen()) {
        event.preventDefault();
        const svg = region.ownerSVGElement;
        const box = svg.viewBox.baseVal;
        const [right, down] = WAY[event.key];
        const x = Number(field("x").value) + (right * STEP * box.height) / box.width;
        const y = Number(field("y").value) + down * STEP;
        const there = regionAt(svg, x, y);
        if (there) { choose(there, x, y); there.focus(); }
        return;
      }
      const step = Number(NEXT.has(event.key)) - Number(BACK.has(event.key));
      if (step) {
        event.preventDefault();
        chooseCentre(regions[(regions.indexOf(region) + step + regions.length) % regions.length]);
      } else if (event.key === " " || event.key === "Enter") {
        event.preventDefault();
        if (region !== chosen()) chooseCentre(region);
      }
    });

    clear.addEventListener("click", () => {
      choose(null);
      regions[0].focus();
    });
    // A browser that goes back restores fields but not the drawing.
    if (list.value && !chosen()) {
      const region = regions.find((one) => one.dataset.region === list.value);
      region.setAttribute("aria-checked", "true");
      if (!field("x").value) choose(region, Number(region.dataset.x), Number(region.dataset.y));
    }
    show();
  };

  for (const root of document.querySelectorAll(".bodymap")) start(root);
})();
