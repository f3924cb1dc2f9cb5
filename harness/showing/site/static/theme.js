// Light, dark, or as the system is set; remembered where the browser allows it.
"use strict";
(() => {
  const order = ["system", "light", "dark"];
  const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  let theme = order.includes(remembered()) ? remembered() : "system";
  const apply = () => {
    document.documentElement.style.colorScheme = theme === "system" ? "" : theme;
    const button = document.getElementById("theme");
    if (button) button.textContent = `theme: ${theme}`;
  };
  apply();
  addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      try { localStorage.setItem("theme", theme); } catch { /* it lasts as long as this page */ }
      apply();
    });
    // What scrolls sideways is reached by keyboard, and is called as the heading before it.
    const named = () => {
      for (const region of document.querySelectorAll(".wide")) {
        if (region.scrollWidth <= region.clientWidth && region.scrollHeight <= region.clientHeight) continue;
        let heading = region;
        while (heading && !/^H\d$/.test(heading.tagName)) heading = heading.previousElementSibling || heading.parentElement;
        region.tabIndex = 0;
        region.setAttribute("role", "region");
        region.setAttribute("aria-label", `${heading ? heading.textContent : "Table"}, scrolls`);
      }
    };
    named();
    addEventListener("resize", named);
    addEventListener("toggle", named, true);
  });
})();
