(() => {
  "use strict";
  const root = document.documentElement;
  const store = {
    get: () => { try { return localStorage.getItem("lab-theme"); } catch { return null; } },
    set: (value) => { try { localStorage.setItem("lab-theme", value); } catch { /* private page */ } },
  };

  const button = document.getElementById("theme");
  const order = ["auto", "light", "dark"];
  let theme = order.includes(store.get()) ? store.get() : "auto";
  const paint = () => {
    if (theme === "auto") { delete root.dataset.theme; } else { root.dataset.theme = theme; }
    button.textContent = { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" }[theme];
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    store.set(theme);
    paint();
  });
  paint();

  for (const toggle of document.querySelectorAll("[data-share]")) {
    toggle.hidden = false;
    toggle.addEventListener("click", () => {
      const on = toggle.getAttribute("aria-pressed") !== "true";
      toggle.setAttribute("aria-pressed", String(on));
      toggle.textContent = on ? "Show seconds" : "Show shares";
      document.getElementById(toggle.dataset.share).classList.toggle("share", on);
    });
  }

  const tip = document.getElementById("tip");
  const hide = () => tip.classList.remove("on");
  const show = (text, x, y) => {
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x - box.width / 2, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y - box.height - 14 < 8 ? y + 18 : y - box.height - 14}px`;
    tip.classList.add("on");
  };
  const over = (event) => {
    const found = event.target.closest("[data-tip]");
    if (found) { show(found.dataset.tip, event.clientX, event.clientY); } else { hide(); }
  };
  document.addEventListener("pointermove", over);
  document.addEventListener("click", over);
  document.addEventListener("scroll", hide, { passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") { hide(); } });
  addEventListener("beforeprint", () => {
    for (const closed of document.querySelectorAll("details")) { closed.open = true; }
  });
})();
