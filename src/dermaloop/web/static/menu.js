// Closes the menu of the header where it is left: by Escape, by a click elsewhere, by tabbing on. Without this script it
// opens and closes by its own button.
"use strict";
(() => {
  const menu = document.querySelector(".menu");
  if (!menu) return;
  const leave = (event) => { if (menu.open && !menu.contains(event.target)) menu.open = false; };
  document.addEventListener("pointerdown", leave);
  document.addEventListener("focusin", leave);
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
})();
