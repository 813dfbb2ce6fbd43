// Runs in the head, before the first paint. Same key and values as the admin's own switch.
"use strict";
{
  const root = document.documentElement;
  const modes = ["auto", "light", "dark"];
  const words = { auto: "system", light: "light", dark: "dark" };

  const remembered = () => {
    try { return localStorage.getItem("theme"); } catch { return null; } // storage may be refused
  };
  const remember = (mode) => {
    try { localStorage.setItem("theme", mode); } catch { /* then for this page only */ }
  };
  const show = (mode) => {
    root.dataset.theme = mode;
    for (const word of document.querySelectorAll("[data-theme-word]")) word.textContent = words[mode];
  };
  const current = () => (modes.includes(root.dataset.theme) ? root.dataset.theme : "auto");

  show(modes.includes(remembered()) ? remembered() : "auto");
  document.addEventListener("DOMContentLoaded", () => show(current()));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const next = modes[(modes.indexOf(current()) + 1) % modes.length];
    remember(next);
    show(next);
  });
}
