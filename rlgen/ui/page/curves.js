/* The section of curves: a chart per quantity of the chosen runs, and the controls of all charts. */
"use strict";
(function (rlgen) {
  const { element, view, runs, series } = rlgen;
  const AXES = [["steps", "steps"], ["episodes", "episodes"], ["seconds", "seconds"]];
  const BANDS = [["interval", "95 % interval"], ["range", "range of seeds"], ["seeds", "single seeds"]];
  const SCALES = [["auto", "as usual"], ["linear", "linear"], ["log", "logarithmic"]];
  const METRICS = { rate: "steps or images per second" };
  const charts = (rlgen.charts = new Map());  // key -> chart
  const grid = element("div", { class: "charts" });
  const more = element("div", { class: "choices" });
  const note = element("p", { class: "faint" });
  const bands = element("p", { class: "faint small" });
  const words = (name) => METRICS[name] || name.replace(/_/g, " ");

  /* Runs that differ in nothing but the seed, where seeds are to be averaged; else each run by itself. */
  function groups(chosen) {
    if (!view.group) return chosen.map((run) => ({ name: run.name, members: [run] }));
    const found = new Map();
    for (const run of chosen) {
      const { seed, seeds, ...config } = run.config || {};
      const key = JSON.stringify([run.kind, run.algorithm, run.task, Object.entries(config).sort()]);
      if (!found.has(key)) found.set(key, []);
      found.get(key).push(run);
    }
    return [...found.values()].map((members) => ({
      name: members.length > 1 ? `${members[0].name} and ${members.length - 1} more` : members[0].name, members,
    }));
  }

  function scaleOf(axis, run) {
    return (axis.scale || []).filter((name) => typeof axis.scale !== "string" && run.config && run.config[name] !== undefined)
      .map((name) => `${name}=${run.config[name]}`).join(", ");
  }

  /* The charts of the chosen runs: key -> {title, axis, lines: [{group, metric, legend}]}. */
  function plan(chosen) {
    const found = new Map();
    const add = (key, title, axis, line) => {
      if (!found.has(key)) found.set(key, { title, axis, lines: [] });
      found.get(key).lines.push(line);
    };
    const all = groups(chosen);
    const tasks = new Set(chosen.map((run) => run.task));
    const scales = new Map();  // scales of each quantity: named in the titles where there are several
    for (const group of all) {
      const [run] = group.members;
      const has = (metric) => group.members.some((member) => series.metric(member.name, metric));
      const alike = all.filter(({ members: [other] }) => other.kind === run.kind && other.task === run.task).length;
      let any = false;
      for (const axis of run.axes || []) {
        if (axis.last_resort && any) continue;
        const compared = alike > 1 && axis.compared && axis.compared.length ? axis.compared : null;
        for (const [metric, legend] of Object.entries(axis.metrics)) {
          if (!has(metric) || (compared && !compared.includes(metric) && compared.some(has))) continue;
          any = true;
          const scale = scaleOf(axis, run);
          const title = [axis.value, tasks.size > 1 ? run.task : ""].filter(Boolean).join(" · ");
          scales.set(title, (scales.get(title) || new Set()).add(scale));
          add(JSON.stringify([run.kind, run.task, axis.value, scale]), title, { ...axis, scale }, { group, metric, legend });
        }
      }
      for (const metric of view.more.split(",").filter(Boolean))
        if (has(metric)) add(`more ${run.kind} ${metric}`, words(metric), { axis: "linear", metrics: {} }, { group, metric, legend: words(metric) });
    }
    for (const item of found.values())
      if (item.axis.scale && (scales.get(item.title)?.size || 0) > 1) item.title += ` · ${item.axis.scale}`;
    return found;
  }

  function spec({ title, axis, lines }) {
    const names = [...new Set(lines.map((line) => line.group.name))];
    const metrics = [...new Set(lines.map((line) => line.metric))];
    const scale = view.scale === "auto" ? axis.axis || "linear" : view.scale;
    const curves = [];
    let unit = "";
    for (const { group, metric, legend } of lines) {
      const episodes = axis.episodes === metric ? metric : "";
      const curve = series.curve(group.members, metric, { axis: view.x, smoothing: view.smoothing, band: view.band, episodes });
      if (!curve) continue;
      const [run] = group.members;
      const place = metrics.indexOf(metric);
      const alone = names.length === 1;  // in this chart
      const single = (view.runs || []).length === 1;  // in all charts: a colour per metric then
      const text = curve.window ? `${legend}, running mean of ${curve.window} episodes` : legend;
      unit = unit || (view.x === "steps" ? run.time_label || runs.unit(run) : view.x === "seconds" ? "seconds of training" : "episodes");
      curves.push({ ...curve, color: single && metrics.length > 1 ? `var(--c${place % runs.palette})` : runs.color(run.name),
        dash: single ? 0 : place + (runs.slot(run.name) >= runs.palette ? 1 : 0),
        label: alone ? text : metrics.length > 1 ? `${group.name} · ${text}` : group.name, run: run.name, runs: group.members.map((m) => m.name) });
    }
    if (!curves.length) return null;
    const first = lines[0].group.members[0];
    const ends = curves.map((curve) => curve.x[curve.x.length - 1]);
    const extent = [Math.min(...curves.map((curve) => curve.x[0])), Math.max(...ends)];
    const references = [];
    for (const [metric, label] of Object.entries(axis.references || {})) {
      const found = series.metric(first.name, metric);
      const value = (first.report || {})[metric] ?? (found && found.seeds[0].filter((v) => v !== null).pop());
      if (typeof value === "number") references.push({ label, value });
    }
    const [low, high] = limits(curves, axis.fall || 0);
    for (const reference of references) reference.outside = reference.value < low - (high - low) || reference.value > high + (high - low);
    return { title, unit, scale, band: view.band, curves, references, extent, ...mapping(first),
      limits: axis.fall ? limits(curves, axis.fall, references.filter((reference) => !reference.outside)) : null };
  }

  /* The range of the values after a first share of the training, and of reference lines. */
  function limits(curves, share, references = []) {
    const found = references.map(({ value }) => value);
    for (const { x, low, high } of curves)
      x.forEach((at, i) => at >= share * x[x.length - 1] && low[i] !== null && found.push(low[i], high[i]));
    return [found.reduce((a, b) => Math.min(a, b), Infinity), found.reduce((a, b) => Math.max(a, b), -Infinity)];
  }

  /* Between the common time and the horizontal axis. */
  function mapping(run) {
    if (view.x === "steps") return { at: (time) => time, time: (x) => x };
    const times = runs.log(run.name).rows.map((row) => row.time);
    const x = series.horizontal(run.name, view.x, times);
    return {
      at: (time) => (x ? series.interpolate(times, x, [Math.min(time, times[times.length - 1])])[0] : null),
      time: (value) => (x ? series.interpolate(x, times, [value])[0] : null),
    };
  }

  function render() {
    const chosen = runs.chosen();
    const wanted = plan(chosen);
    let missing = 0;
    let several = false;
    const kept = new Set();
    for (const [key, item] of wanted) {
      const next = spec(item);
      if (!next) {
        missing += 1;
        continue;
      }
      kept.add(key);
      several = several || next.curves.some((curve) => curve.n > 1);
      if (!charts.has(key)) {
        charts.set(key, rlgen.chart());
        grid.append(charts.get(key).card);
      }
      charts.get(key).update(next);
    }
    for (const [key, chart] of [...charts]) {
      if (kept.has(key)) continue;
      chart.destroy();
      charts.delete(key);
    }
    note.hidden = kept.size > 0 && !missing;
    note.textContent = missing ? `No ${view.x} are logged for some of the runs.` : chosen.length ? "No metrics yet." : "Loading …";
    bands.hidden = view.band === "seeds" || !several;
    bands.textContent = view.band === "range" ? "Bands: the range of the seeds." : "Bands: 95 % bootstrap interval of the mean over seeds; of fewer than four seeds their range.";
    renderMore(chosen);
  }

  let offered = "";
  function renderMore(chosen) {
    const drawn = new Set(chosen.flatMap((run) => (run.axes || []).flatMap((axis) => Object.keys(axis.metrics))));
    const names = [...new Set(chosen.flatMap((run) => run.metrics || []))].filter((name) => !drawn.has(name) && name !== "time").sort();
    if (names.length && !names.includes("rate")) names.push("rate");
    const now = view.more.split(",").filter(Boolean);
    if (offered === JSON.stringify([names, now])) return;
    offered = JSON.stringify([names, now]);
    const active = document.activeElement?.dataset?.metric;
    rlgen.fill(more, names.map((name) => element("button", { type: "button", class: "chip", "data-metric": name,
      "aria-pressed": String(now.includes(name)), text: words(name), title: name,
      on: { click: () => view.set("more", (now.includes(name) ? now.filter((n) => n !== name) : [...now, name]).join(",")) } })));
    if (active) more.querySelector(`[data-metric="${CSS.escape(active)}"]`)?.focus();
  }

  /* Build the section in `parent`. */
  rlgen.curves = function (parent) {
    const x = rlgen.select(AXES, view.x, (value) => view.set("x", value), { id: "x" });
    const scale = rlgen.select(SCALES, view.scale, (value) => view.set("scale", value), { id: "scale" });
    const band = rlgen.select(BANDS, view.band, (value) => view.set("band", value), { id: "band" });
    const shown = element("output", { for: "smoothing", text: `${view.smoothing} %` });
    const smoothing = element("input", { type: "range", id: "smoothing", min: 0, max: 30, step: 1, value: view.smoothing,
      on: { input: (event) => view.set("smoothing", Number(event.target.value)) } });
    const group = element("input", { type: "checkbox", id: "group", checked: view.group, on: { change: (e) => view.set("group", e.target.checked) } });
    parent.append(
      element("div", { class: "toolbar" },
        rlgen.labelled("Horizontal", x), rlgen.labelled("Vertical", scale),
        element("label", { class: "control" }, element("span", { text: "Smoothing" }), smoothing, shown),
        rlgen.labelled("Seeds", band), element("label", { class: "control check" }, group, element("span", { text: "Average runs that differ in the seed alone" }))),
      note, grid, bands, element("details", { class: "more" }, element("summary", { text: "More metrics" }), more));
    view.on("smoothing", (value) => {
      smoothing.value = value;
      shown.textContent = `${value} %`;
    });
    for (const [name, control] of [["x", x], ["scale", scale], ["band", band]]) view.on(name, (value) => (control.value = value));
    for (const name of ["data", "smoothing", "scale", "band", "group", "theme"]) view.on(name, render);
  };
})(window.rlgen);
