/* Chosen runs side by side: settings that differ, scores with intervals. */
"use strict";
(function (rlgen) {
  const { element, format, view, runs } = rlgen;
  const scores = element("div");
  const settings = element("div");

  /* {metric: {value, low, high}} of a report, its nested parts left out. */
  function results(run) {
    const report = run.report || {};
    const found = new Map();
    for (const [name, value] of Object.entries(report)) {
      if (typeof value !== "number" || /(_ci95|_se|_std)$/.test(name)) continue;
      let interval = report[`${name}_ci95`] || null;
      if (!interval && Array.isArray(report.ci95) && (name === "score" || value === report.score)) interval = report.ci95;
      if (!interval && typeof report[`${name}_se`] === "number") interval = [value - 1.96 * report[`${name}_se`], value + 1.96 * report[`${name}_se`]];
      found.set(name, { value, low: interval ? interval[0] : null, high: interval ? interval[1] : null });
    }
    return found;
  }

  const heading = (run) => element("th", { scope: "col", style: { "--series": runs.color(run.name) } }, element("span", { class: "run", text: run.name }));

  /* A value and its interval as a dot on a line, on the scale of its row. */
  function interval({ value, low, high }, [from, to]) {
    const at = (v) => `${(100 * (v - from)) / (to - from || 1)}%`;
    return element("div", { class: "interval", "aria-hidden": "true" },
      low === null ? null : element("i", { class: "whisker", style: { left: at(low), right: `${100 - parseFloat(at(high))}%` } }),
      element("i", { class: "dot", style: { left: at(value) } }));
  }

  function renderScores(chosen) {
    const having = chosen.map((run) => [run, results(run)]).filter(([, found]) => found.size);
    if (!having.length) {
      rlgen.fill(scores, element("p", { class: "faint", text: "No final scores yet: a run writes them when it ends." }));
      return;
    }
    const names = [...new Set(having.flatMap(([, found]) => [...found.keys()]))];
    const duplicate = names.includes("score") && having.every(([, found]) => [...found].some(([n, f]) => n !== "score" && f.value === found.get("score")?.value));
    const rows = names.filter((name) => !(duplicate && name === "score")).map((name) => {
      const cells = having.map(([, found]) => found.get(name) || null);
      const ends = cells.filter(Boolean).flatMap((cell) => [cell.value, cell.low ?? cell.value, cell.high ?? cell.value]);
      const range = [Math.min(...ends), Math.max(...ends)];
      const known = cells.some((cell) => cell && cell.low !== null);
      return element("tr", {}, element("th", { scope: "row", text: name.replace(/_/g, " ") }), cells.map((cell) => {
        if (!cell) return element("td", { class: "number", text: "–" });
        const text = cell.low === null ? "" : `${format.number(cell.low)} to ${format.number(cell.high)}`;
        return element("td", { class: "number" }, element("strong", { text: format.number(cell.value) }),
          text ? element("span", { class: "faint range", text }) : null, known && having.length > 1 ? interval(cell, range) : null);
      }));
    });
    const any = having.some(([, found]) => [...found.values()].some((cell) => cell.low !== null));
    rlgen.fill(scores, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Final scores" }, element("table", { class: "compared" },
      element("thead", {}, element("tr", {}, element("td"), having.map(([run]) => heading(run)))), element("tbody", {}, rows))),
    any ? element("p", { class: "faint", text: "Ranges are 95 % intervals." }) : null);
  }

  /* Everything that was set or recorded about a run, as one flat table. */
  function facts(run) {
    const plan = Object.fromEntries(Object.entries(run.plan || {}));
    const versions = Object.fromEntries(Object.entries(run.versions || {}).map(([name, v]) => [`version of ${name}`, v]));
    return { algorithm: run.algorithm, task: run.task, ...plan, ...run.config, seed: run.seed, device: run.device, ...versions,
      commit: run.git && run.git.commit ? String(run.git.commit).slice(0, 10) : undefined };
  }

  function renderSettings(chosen) {
    const all = chosen.map(facts);
    const names = [...new Set(all.flatMap(Object.keys))];
    const text = (value) => (value === undefined ? "–" : format.setting(value));
    const different = names.filter((name) => new Set(all.map((fact) => JSON.stringify(fact[name]))).size > 1);
    if (chosen.length < 2 || !different.length) {
      const changed = Object.entries((chosen[0] || {}).changed || {});
      const line = chosen.length > 1 ? "The chosen runs do not differ in any setting." : changed.length ? "Settings that differ from the defaults; choose a second run to compare." : "All settings have their defaults; choose a second run to compare.";
      rlgen.fill(settings, element("p", { class: "faint", text: line }), chosen.length > 1 || !changed.length ? null : element("dl", { class: "facts" },
        changed.flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { text: format.setting(value) })])));
      return;
    }
    rlgen.fill(settings, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Settings that differ" }, element("table", { class: "compared" },
      element("thead", {}, element("tr", {}, element("td"), chosen.map(heading))),
      element("tbody", {}, different.map((name) => {
        const changed = chosen.map((run) => run.changed && Object.hasOwn(run.changed, name));
        return element("tr", {}, element("th", { scope: "row", text: name }), all.map((fact, i) =>
          element("td", { class: changed[i] ? "changed" : "", text: text(fact[name]) })));
      })))), element("p", { class: "faint", text: `${names.length - different.length} further settings are equal. Bold: differs from the default.` }));
  }

  /* Build the section in `parent`. */
  rlgen.compare = function (parent) {
    parent.append(element("div", { class: "card" }, element("h3", { text: "Final scores" }), scores),
      element("div", { class: "card" }, element("h3", { text: "What differs" }), settings));
    rlgen.statistics(parent);
    let drawn = "";
    view.on("data", (chosen) => {
      const now = JSON.stringify(chosen.map((run) => [run.name, run.report, run.config, run.plan, runs.slot(run.name)]));
      if (now === drawn) return;
      drawn = now;
      renderScores(chosen);
      renderSettings(chosen);
    });
  };
})(window.rlgen);
