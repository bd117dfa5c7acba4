// Starts a deep-zoom viewer (OpenSeadragon) in every element of class "viewer" that templates/_viewer.html has placed.
// Texts stand in the page. Nothing is written as HTML and no style attribute either: styles are set by property, which the
// content security policy allows. A viewer that cannot start leaves the plain picture where it is.
"use strict";
(() => {
  if (!window.OpenSeadragon) return;
  const language = document.documentElement.lang;
  const percent = new Intl.NumberFormat(language, { style: "percent" });
  const millimetres = new Intl.NumberFormat(language, { style: "unit", unit: "millimeter" });
  const BLINK_MS = 700; // well below three flashes in a second (WCAG 2.3.1)
  const KEY_ZOOM = 1.4;
  const STEPS_MM = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200];
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const groups = new Map();

  // The library empties containers by innerHTML = "", which trusted types forbid to any string: allow the empty one alone.
  if (window.trustedTypes && !window.trustedTypes.defaultPolicy) {
    window.trustedTypes.createPolicy("default", { createHTML: (text) => (text === "" ? "" : null) });
  }
  // The library adds a <style> unless it finds its mark; the policy would refuse it, and viewer.css says the same. This
  // element of no namespace bears the mark and styles nothing.
  const mark = document.createElementNS(null, "style");
  mark.setAttribute("data-openseadragon-mobile-css", "true");
  document.head.append(mark);

  // Where a picture lies: its left, top and width as shares of the first one's width, and its turn. See _viewer.html.
  const placed = (place) => {
    if (!place) return { x: 0, y: 0, width: 1 };
    const [x, y, width, degrees] = place.split(" ").map(Number);
    return { x, y, width, degrees };
  };

  const start = (root) => {
    if (root.classList.contains("live")) return;
    const { dataset } = root;
    const find = (name) => root.querySelector(`[data-do=${name}]`);
    const pane = root.querySelector(".viewer-window");
    const aspect = Number(dataset.height) / Number(dataset.width);
    const whole = new window.OpenSeadragon.Rect(0, 0, 1, aspect); // what "all of it" is, wherever the picture itself lies
    root.classList.add("live"); // first, so that the window has its final size when the picture is fitted into it
    const viewer = window.OpenSeadragon({
      element: pane,
      tileSources: { tileSource: { type: "image", url: dataset.picture }, ...placed(dataset.place) },
      drawer: "canvas",
      showNavigationControl: false,
      cooperativeGestures: true,
      animationTime: calm.matches ? 0 : 0.4,
      maxZoomPixelRatio: 8,
      minZoomImageRatio: 0.8,
      visibilityRatio: 0.6,
      constrainDuringPan: true,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true, dblClickDragToZoom: false, flickEnabled: false },
      gestureSettingsPen: { clickToZoom: false, dblClickToZoom: true },
      zoomPerScroll: 1.15,
    });
    const view = viewer.viewport;
    viewer.canvas.setAttribute("role", "application");
    viewer.canvas.setAttribute("aria-label", dataset.label);
    root.querySelector(".viewer-tools").hidden = false;

    const fail = () => {
      root.classList.remove("live");
      root.querySelector(".viewer-tools").hidden = true;
      viewer.container.hidden = true;
      const said = root.querySelector(".viewer-failed");
      said.textContent = dataset.failed;
      said.hidden = false;
    };
    viewer.addHandler("open-failed", fail);
    viewer.addHandler("canvas-cooperative-gesture", (event) => {
      event.message = event.gesture === "scroll" ? dataset.scroll : dataset.touch;
    });
    const home = (atOnce) => view.fitBounds(whole, atOnce);
    const zoom = (factor) => { view.zoomBy(factor); view.applyConstraints(); };
    // By the character, not by the place of the key as the library does: plus and minus lie elsewhere on other keyboards.
    // Turning or mirroring a lesion by a slip of a key would mislead; both stay off.
    const keys = {
      "+": () => zoom(KEY_ZOOM), "=": () => zoom(KEY_ZOOM), "-": () => zoom(1 / KEY_ZOOM), "0": () => home(),
      r: () => {}, R: () => {}, f: () => {}, F: () => {},
    };
    viewer.addHandler("canvas-key", (event) => {
      const { key, ctrlKey, metaKey, altKey } = event.originalEvent;
      if (!Object.hasOwn(keys, key) || ctrlKey || metaKey || altKey) return;
      event.preventDefaultAction = true;
      keys[key]();
    });

    find("in").addEventListener("click", () => zoom(KEY_ZOOM));
    find("out").addEventListener("click", () => zoom(1 / KEY_ZOOM));
    find("home").addEventListener("click", () => home());

    const full = find("full");
    full.hidden = !document.fullscreenEnabled;
    full.addEventListener("click", () => {
      if (document.fullscreenElement) document.exitFullscreen();
      else root.requestFullscreen();
    });
    root.addEventListener("fullscreenchange", () => {
      const on = document.fullscreenElement === root;
      full.setAttribute("aria-pressed", String(on));
      viewer.setCooperativeGestures(!on);
    });

    const heat = find("heat");
    let heatmap = null;
    const showHeat = () => {
      root.querySelector("output").value = percent.format(heat.valueAsNumber / 100);
      if (heatmap) heatmap.setOpacity(heat.valueAsNumber / 100);
    };
    if (heat) heat.addEventListener("input", showHeat);

    const between = find("between");
    const curtain = root.querySelector(".viewer-curtain");
    let second = null;
    let blinking = 0;
    let showsSecond = true;
    const compare = () => {
      if (!second) return;
      const share = between.valueAsNumber / 100;
      const asCurtain = !blinking && root.querySelector("[data-do=mode]:checked").value === "curtain";
      curtain.toggleAttribute("hidden", !asCurtain);
      between.disabled = Boolean(blinking);
      if (asCurtain) {
        // Left of the line the first picture, right of it the second; the line stays in the window as the picture moves.
        const x = pane.clientWidth * share;
        const line = curtain.firstElementChild;
        line.setAttribute("x1", x);
        line.setAttribute("x2", x);
        // What of the window is right of the line, as corners in the second picture, which may lie turned.
        const { clientWidth: right, clientHeight: bottom } = pane;
        const corners = [[x, 0], [right, 0], [right, bottom], [x, bottom]];
        const corner = ([left, top]) => second.viewerElementToImageCoordinates(new window.OpenSeadragon.Point(left, top));
        second.setCroppingPolygons([corners.map(corner)]);
        second.setOpacity(x < right ? 1 : 0);
      } else {
        second.resetCroppingPolygons();
        second.setOpacity(blinking ? Number(showsSecond) : share);
      }
    };
    const setBlinking = (on) => {
      clearInterval(blinking);
      showsSecond = true;
      blinking = on ? setInterval(() => { showsSecond = !showsSecond; compare(); }, BLINK_MS) : 0;
      if (!calm.matches) find("blink").setAttribute("aria-pressed", String(on));
      compare();
    };
    if (between) {
      between.addEventListener("input", compare);
      for (const choice of root.querySelectorAll("[data-do=mode]")) {
        choice.addEventListener("change", () => setBlinking(false));
      }
      const blink = find("blink");
      if (calm.matches) {
        // Nothing moves by itself for who asked for that: each press shows the other picture.
        blink.removeAttribute("aria-pressed");
        blink.textContent = root.dataset.swap;
        blink.addEventListener("click", () => { between.value = between.valueAsNumber < 50 ? 100 : 0; compare(); });
      } else {
        blink.addEventListener("click", () => setBlinking(!blinking));
      }
    }

    const scale = root.querySelector(".viewer-scale");
    const widthMm = Number(dataset.mmPerPx) * Number(dataset.width);
    const showScale = () => {
      if (!(widthMm > 0)) return;
      const perMm = (view.getZoom(true) * view.getContainerSize().x) / widthMm;
      const longest = view.getContainerSize().x * 0.3;
      const length = STEPS_MM.findLast((one) => one * perMm <= longest) || STEPS_MM[0];
      const width = length * perMm;
      scale.hidden = false;
      scale.querySelector("span").textContent = millimetres.format(length);
      const bar = scale.querySelector("svg");
      bar.setAttribute("width", width);
      bar.firstElementChild.setAttribute("d", `M1 0V7H${Math.max(width - 1, 1)}V0`);
    };

    viewer.addHandler("open", () => {
      const [left, top, width, height] = (dataset.start || "").split(" ").map(Number);
      if (dataset.start) view.fitBounds(new window.OpenSeadragon.Rect(left, top, width, height), true);
      else home(true);
      if (dataset.heatmap) {
        const [left, top, right] = dataset.frame.split(" ").map(Number);
        viewer.addTiledImage({
          tileSource: { type: "image", url: dataset.heatmap },
          x: left, y: top * aspect, width: right - left,
          opacity: heat.valueAsNumber / 100,
          success: (event) => { heatmap = event.item; showHeat(); root.dataset.ready = "heatmap"; },
        });
      }
      if (dataset.second) {
        viewer.addTiledImage({
          tileSource: { type: "image", url: dataset.second },
          ...placed(dataset.secondPlace),
          success: (event) => { second = event.item; compare(); root.dataset.ready = "second"; },
          error: fail,
        });
      }
      showScale();
      if (!dataset.heatmap && !dataset.second) root.dataset.ready = "picture";
    });
    for (const happening of ["animation", "resize", "update-viewport"]) {
      viewer.addHandler(happening, () => { showScale(); if (!curtain.hasAttribute("hidden")) compare(); });
    }

    if (!dataset.link) return;
    const group = groups.get(dataset.link) || [];
    groups.set(dataset.link, group);
    const self = { view, linked: find("link"), following: false };
    group.push(self);
    const lead = (move) => {
      if (self.following || !self.linked.checked) return;
      for (const other of group) {
        if (other === self || !other.linked.checked) continue;
        other.following = true;
        move(other.view);
        other.following = false;
      }
    };
    viewer.addHandler("zoom", () => lead((other) => {
      other.zoomTo(view.getZoom());
      other.panTo(view.getCenter());
    }));
    viewer.addHandler("pan", () => lead((other) => other.panTo(view.getCenter())));
    // One switch for the group: its boxes always agree.
    self.linked.addEventListener("change", () => {
      for (const other of group) other.linked.checked = self.linked.checked;
      lead((other) => { other.zoomTo(view.getZoom()); other.panTo(view.getCenter()); });
    });
  };

  const startAll = (root) => { for (const one of root.querySelectorAll(".viewer")) start(one); };
  document.addEventListener("dermaloop:inserted", (event) => startAll(event.target));
  startAll(document);
})();
