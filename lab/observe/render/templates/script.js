(() => {
  "use strict";
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const plots = [...document.querySelectorAll("[data-figure]")];
  const system = matchMedia("(prefers-color-scheme: dark)");

  // A colour is "light-dark(a, b)" or one of the page's own; Plotly gets the one that holds now.
  const own = () => {
    const style = getComputedStyle(document.querySelector(".panel"));
    const probe = document.createElement("i");
    document.body.append(probe);
    const of = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
    const found = { ink: of("ink"), soft: of("soft"), line: of("line"), card: of("card"), faint: of("faint"), font: style.fontFamily };
    probe.remove();
    return found;
  };
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const PAIR = /^light-dark\((#\w+), (#\w+)\)$/;
  const coloured = (value, page, isDark) => {
    if (typeof value === "string") {
      const pair = PAIR.exec(value);
      if (pair) { return pair[isDark ? 2 : 1]; }
      return value.startsWith("@") && page[value.slice(1)] ? page[value.slice(1)] : value;
    }
    if (Array.isArray(value)) { return value.map((one) => coloured(one, page, isDark)); }
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one, page, isDark)]));
    }
    return value;
  };

  const hidden = new Map();
  const drawn = new Set();
  const draw = (box) => {
    const page = own();
    const figure = coloured(figures[box.dataset.figure], page, dark());
    const off = hidden.get(box) ?? new Set();
    const data = figure.data.map((trace, place) => ({ ...trace, visible: !off.has(place) }));
    const axis = { tickfont: { size: 11, color: page.soft }, gridcolor: page.line, zeroline: false, ticks: "", ticklabelstandoff: 5, automargin: true };
    const layout = {
      ...figure.layout,
      autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: page.font, size: 12, color: page.ink },
      hoverlabel: { bgcolor: page.card, bordercolor: page.line, font: { family: page.font, size: 12, color: page.ink }, namelength: 60 },
    };
    for (const name of ["xaxis", "yaxis"]) {
      if (layout[name]) { layout[name] = { ...axis, ...layout[name] }; }
    }
    drawn.add(box);
    return Plotly.react(box, data, layout, { displayModeBar: false, responsive: true, doubleClick: "reset" });
  };

  // What is in sight first, the rest while nothing else is to do: a page may hold a hundred plots.
  const rest = async () => {
    const near = (box) => { const at = box.getBoundingClientRect().top; return at < -200 || at > innerHeight ? 1 : 0; };
    const order = [...plots].sort((a, b) => near(a) - near(b));
    for (const box of order) {
      if (!drawn.has(box)) { await draw(box); }
      if (near(box)) { await new Promise((go) => { setTimeout(go, 0); }); }
    }
    root.dataset.drawn = "all";
  };
  const again = () => { delete root.dataset.drawn; drawn.clear(); rest(); };

  for (const button of document.querySelectorAll("[data-trace]")) {
    button.addEventListener("click", () => {
      const box = button.closest(".plotted").querySelector(".plot");
      const place = Number(button.dataset.trace);
      const off = hidden.get(box) ?? new Set();
      const on = button.getAttribute("aria-pressed") !== "true";
      if (on) { off.delete(place); } else { off.add(place); }
      hidden.set(box, off);
      button.setAttribute("aria-pressed", String(on));
      draw(box);
    });
  }

  const store = {
    get: () => { try { return localStorage.getItem("lab-theme"); } catch { return null; } },
    set: (value) => { try { localStorage.setItem("lab-theme", value); } catch { /* private page */ } },
  };
  const button = document.getElementById("theme");
  const order = ["auto", "light", "dark"];
  let theme = order.includes(store.get()) ? store.get() : "auto";
  const paint = () => {
    if (theme === "auto") { delete root.dataset.theme; } else { root.dataset.theme = theme; }
    button.textContent = `Theme: ${theme}`;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    store.set(theme);
    paint();
    again();
  });
  system.addEventListener("change", again);
  paint();

  const links = [...document.querySelectorAll(".bar nav a")];
  const boards = [...document.querySelectorAll(".board")];
  const follow = () => {
    const at = boards.filter((one) => one.getBoundingClientRect().top < 140).at(-1) ?? boards[0];
    for (const link of links) {
      if (link.hash === `#${at?.id}`) { link.setAttribute("aria-current", "true"); } else { link.removeAttribute("aria-current"); }
    }
  };
  document.addEventListener("scroll", follow, { passive: true });
  follow();

  const tip = document.getElementById("tip");
  const hide = () => tip.classList.remove("on");
  const over = (event) => {
    const found = event.target.closest?.("[data-tip]");
    if (!found) { hide(); return; }
    tip.textContent = found.dataset.tip;
    const box = tip.getBoundingClientRect();
    const at = found.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - box.width - 8))}px`;
    tip.style.top = `${at.bottom + box.height + 8 > innerHeight ? at.top - box.height - 6 : at.bottom + 6}px`;
    tip.classList.add("on");
  };
  document.addEventListener("pointerover", over);
  document.addEventListener("focusin", over);
  document.addEventListener("scroll", hide, { passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") { hide(); } });
  rest();
})();
