/* Interactive panels: a registry, and the section of the page that opens them for chosen runs. */
"use strict";
(function (rlgen) {
  const { element, button, view, runs, source } = rlgen;
  const registry = new Map();
  const opened = new Map();  // "panel run" -> {card, mounted}

  /* Register a panel; see main.js for its fields. */
  rlgen.panel = (panel) => registry.set(panel.name, { order: 100, ...panel });
  const offered = (panel, run) =>
    panel.applies ? panel.applies(run) : source.live && (run.panels || []).includes(panel.name);

  const picker = element("div", { class: "tabs" });
  const cards = element("div", { class: "panels" });
  const empty = element("p", { class: "faint" });

  const key = (panel, run) => `${panel} ${run}`;
  const keys = () => view.open.split(" ").filter(Boolean).map((part) => part.split("@").map(decodeURIComponent));

  function toggle(panel, run) {
    const part = [panel, run].map(encodeURIComponent).join("@");
    const parts = view.open.split(" ").filter(Boolean);
    view.set("open", (parts.includes(part) ? parts.filter((other) => other !== part) : [...parts, part]).join(" "));
  }

  function close(name) {
    const { card, mounted } = opened.get(name);
    opened.delete(name);
    card.remove();
    try {
      if (mounted && mounted.destroy) mounted.destroy();
    } catch (error) {
      console.error(error);
    }
  }

  function open(panel, run) {
    const body = element("div", { class: "body" });
    const card = element("article", { class: "card panel", "aria-label": `${panel.title}: ${run.name}`, style: { "--series": runs.color(run.name) } },
      element("div", { class: "bar" },
        element("h3", {}, panel.title, element("span", { class: "run", text: run.name })),
        button("", () => toggle(panel.name, run.name), { icon: "close", label: `Close ${panel.title} of ${run.name}`, class: "quiet" })),
      body);
    cards.append(card);
    let mounted = null;
    try {
      mounted = panel.mount(body, run, view);
    } catch (error) {
      console.error(error);
      body.append(element("p", { class: "error", text: `${panel.title}: ${error.message}` }));
    }
    opened.set(key(panel.name, run.name), { card, mounted });
  }

  function render() {
    const chosen = runs.chosen();
    const byName = new Map(chosen.map((run) => [run.name, run]));
    const wanted = new Map();
    for (const [name, run] of keys()) {
      const panel = registry.get(name);
      if (panel && byName.has(run) && offered(panel, byName.get(run))) wanted.set(key(name, run), [panel, byName.get(run)]);
    }
    for (const name of [...opened.keys()]) if (!wanted.has(name)) close(name);
    for (const [name, [panel, run]] of wanted) if (!opened.has(name)) open(panel, run);
    const sorted = [...registry.values()].sort((a, b) => a.order - b.order);
    const rows = chosen.map((run) => [run, sorted.filter((panel) => offered(panel, run))]).filter(([, panels]) => panels.length);
    const active = document.activeElement && document.activeElement.id;
    rlgen.fill(picker, rows.map(([run, panels]) =>
      element("div", { class: "group", role: "group", "aria-label": `Panels of ${run.name}`, style: { "--series": runs.color(run.name) } },
        element("span", { class: "run", text: run.name }),
        panels.map((panel) => button(panel.title, () => toggle(panel.name, run.name),
          { class: "chip", id: `open-${panel.name}-${run.name}`, "aria-pressed": String(opened.has(key(panel.name, run.name))) })))));
    if (active && active.startsWith("open-")) document.getElementById(active)?.focus();
    empty.hidden = rows.length > 0;
    empty.textContent = source.live
      ? "The chosen runs have no interactive panels."
      : "Interactive panels need the run folder: rlgen ui";
  }

  /* Build the section in `parent`. */
  rlgen.explore = function (parent) {
    parent.append(picker, empty, cards);
    for (const name of ["data", "open"]) view.on(name, render);
  };
})(window.rlgen);
