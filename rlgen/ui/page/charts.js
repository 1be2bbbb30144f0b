/* One chart: curves with bands in uPlot, its legend with the values at the cursor, and the mark of the common time. */
"use strict";
(function (rlgen) {
  const { element, format, view, runs, colors } = rlgen;
  const ACCURACIES = [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 1];
  const LEAST = 5e-5;  // distance from 1 at which an accuracy of 1 is drawn
  const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const HEIGHT = 250;
  const sync = uPlot.sync("rlgen");

  const resolve = (color) => (color.startsWith("var(") ? colors[color.slice(6, -1)] : color);

  function alpha(color, share) {
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(resolve(color).slice(i, i + 2), 16));
    return `rgba(${r},${g},${b},${share})`;
  }

  const thousands = (values) => values.map((value) => (value === null ? "" : format.number(value)));
  const short = (values) => values.map((v) => {
    if (v === null) return "";
    const [size, suffix] = Math.abs(v) >= 1e6 ? [1e6, "M"] : Math.abs(v) >= 1e4 ? [1e3, "k"] : [1, ""];
    return `${Number((v / size).toPrecision(6))}${suffix}`;
  });

  /* The vertical scale: linear, log, or accuracy (by the distance from 1). The fall of a loss at the start of a
     training may lie outside of the chart, until a part of it is enlarged. */
  function vertical(kind, extent, limits) {
    const fit = (f) => (u, low, high) => {
      const { min, max } = u.scales.x;
      const all = limits && !(min !== null && min > extent[0]) && !(max !== null && max < extent[1]);
      return f(u, ...(all ? [Math.max(low, limits[0]), Math.min(high, limits[1])] : [low, high]));
    };
    if (kind === "log") return {
      scale: { distr: 3, log: 10, range: fit((u, low, high) => [low / (high / low) ** 0.06 / 1.05, high * (high / low) ** 0.06 * 1.05]) },
      splits: (u, i, low, high) => {
        const steps = high / low < 1000 ? [1, 2, 5] : [1];
        const [first, last] = [low, high].map((v) => Math.floor(Math.log10(v)));
        const every = Math.ceil((last - first) / 8) || 1;
        const found = [];
        for (let e = first; e <= last; e += every) found.push(...steps.map((step) => Number(`${step}e${e}`)));
        return found.filter((v) => v >= low && v <= high);
      },
      values: (u, found) => thousands(found),
    };
    if (kind !== "accuracy") return { scale: { range: fit((u, low, high) => uPlot.rangeNum(low, high, 0.08, false)) }, values: (u, s) => thousands(s) };
    const fwd = (v) => -Math.log10(Math.max(LEAST, 1 - v));
    const bwd = (h) => 1 - 10 ** -h;
    return {
      scale: { distr: 100, fwd, bwd, range: (u, low, high) => {
        const margin = 0.06 * (fwd(high) - fwd(low)) || 0.1;
        return [bwd(fwd(low) - margin), bwd(Math.min(fwd(high) + margin, fwd(1) + 0.1))];
      } },
      splits: (u, i, low, high) => {
        const inside = ACCURACIES.filter((v) => v >= low && v <= high);
        if (inside.length >= 3) return inside;
        const step = [1, 2, 5, 10, 20, 50, 100, 200].map((k) => k / 1000).find((k) => (high - low) / k <= 6) || 0.5;
        return Array.from({ length: 8 }, (_, k) => Number((step * (Math.ceil(low / step) + k)).toFixed(4))).filter((v) => v <= Math.min(1, high));
      },
      values: (u, splits) => splits.map((v) => format.percent(v)),
    };
  }

  /* The columns of uPlot: every curve as mean, and where there are several seeds low and high, or each seed. */
  function columns(spec) {
    const tables = [];
    const drawn = [{}];
    const bands = [];
    const entries = [];
    const positive = (values) => (spec.scale === "log" ? values.map((v) => (v > 0 ? v : null)) : values);
    const add = (table, options) => {
      tables.push(table);
      drawn.push(...options);
      return drawn.length - options.length;
    };
    for (const curve of spec.curves) {
      const stroke = resolve(curve.color);
      const dash = DASHES[curve.dash % DASHES.length];
      const quiet = { points: { show: false }, focusable: false };
      if (curve.dots)
        add([curve.dots.x, positive(curve.dots.y)], [{ ...quiet, stroke: "transparent", paths: () => null,
          points: { show: true, size: 3.5, width: 0, fill: alpha(curve.color, 0.3), stroke: "transparent" } }]);
      if (curve.raw) add([curve.x, positive(curve.raw)], [{ ...quiet, stroke: alpha(curve.color, 0.28), width: 1 }]);
      if (curve.n > 1 && spec.band === "seeds")
        add([curve.x, ...curve.seeds.map(positive)], curve.seeds.map(() => ({ ...quiet, stroke: alpha(curve.color, 0.4), width: 1 })));
      else if (curve.n > 1) {
        const edge = { ...quiet, stroke: "transparent", width: 0 };
        const at = add([curve.x, positive(curve.high), positive(curve.low)], [edge, edge]);
        bands.push({ series: [at, at + 1], fill: alpha(curve.color, 0.18) });
      }
      const few = curve.evaluation || curve.x.length < 3;
      const index = add([curve.x, positive(curve.mean)], [{ label: curve.label, stroke, width: 2, dash, alpha: 1,
        points: { show: few, size: 6, width: 1.5, stroke, fill: colors.card } }]);
      entries.push({ curve, index });
    }
    for (const [i, { value, outside }] of spec.references.entries()) {
      const ends = spec.extent;
      add([ends, [value, value]], [{ auto: !outside, points: { show: false }, focusable: false, stroke: colors.faint, width: 1, dash: i ? [2, 4] : [6, 4] }]);
    }
    return { data: uPlot.join(tables), drawn, bands, entries };
  }

  /* A chart with `update(spec)`, `destroy()` and `scales()`. spec: {title, label, unit, scale, band, curves, references, extent}.
     curve: {x, mean, low, high, raw, dots, seeds, n, evaluation, label, color, dash, run, runs} */
  rlgen.chart = function () {
    const title = element("h3");
    const plot = element("div", { class: "plot", tabindex: "-1" });
    const legend = element("div", { class: "legend" });
    const mark = element("div", { class: "mark", "aria-hidden": "true" });
    const card = element("figure", { class: "card chart" }, title, plot, element("figcaption", {}, legend));
    let chart = null;
    let spec = null;
    let made = null;
    let signature = "";

    function size() {
      return { width: Math.max(200, plot.clientWidth), height: HEIGHT };
    }

    function place() {
      if (!chart || !spec) return;
      const at = spec.at(view.time ?? view.end);
      const x = at === null ? -1 : chart.valToPos(at, "x");
      mark.hidden = at === null || x < -1 || x > chart.over.clientWidth + 1 || !view.end;
      mark.style.transform = `translateX(${Math.round(x)}px)`;
    }

    function values() {
      const at = chart.cursor.idx;
      made.entries.forEach(({ curve, index, output }) => {
        const column = chart.data[index];
        let k = at ?? column.length - 1;
        while (k >= 0 && (column[k] === undefined || column[k] === null)) k -= 1;
        output.textContent = k < 0 ? "–" : spec.scale === "accuracy" ? format.percent(column[k]) : format.number(column[k]);
      });
    }

    function renderLegend() {
      rlgen.fill(legend, made.entries.map((entry) => {
        const { curve } = entry;
        entry.output = element("output");
        const sample = element("i", { class: `line dash${curve.dash % 4}`, style: { "--series": curve.color } });
        const n = curve.n > 1 ? element("span", { class: "faint", text: `n = ${curve.n}` }) : null;
        return element("button", { type: "button", class: "entry", title: curve.label,
          on: { click: () => view.set("focus", curve.run), mouseenter: () => view.set("hover", curve.run), mouseleave: () => view.set("hover", "") } },
        sample, element("span", { class: "name", text: curve.label }), n, entry.output);
      }), spec.references.map(({ label, value, outside }) =>
        element("span", { class: "entry" }, element("i", { class: "line reference" }), element("span", { class: "name", text: outside ? `${label}, outside` : label }),
          element("output", { text: spec.scale === "accuracy" ? format.percent(value) : format.number(value) }))));
    }

    function options() {
      const { scale, splits, values: ticks } = vertical(spec.scale, spec.extent, spec.limits);
      const axis = { stroke: colors.faint, grid: { stroke: colors.line, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif",
        labelFont: "12px system-ui, sans-serif", labelSize: 18, labelGap: 2 };
      return {
        ...size(), padding: [8, 14, 0, 0], legend: { show: false },
        scales: { x: { time: false, range: (u, low, high) => (low === high ? [low - 1, high + 1] : [low, high]) }, y: scale },
        axes: [{ ...axis, label: spec.unit, values: (u, s) => short(s), space: 64, size: 30 },
          { ...axis, values: ticks, filter: (u, found) => found, size: (u, texts) => 14 + 7 * Math.max(3, ...(texts || []).map((text) => String(text ?? "").length)), ...(splits ? { splits } : {}) }],
        series: made.drawn, bands: made.bands, focus: { alpha: 0.3 },
        cursor: { sync: { key: sync.key, scales: ["x", null], setSeries: false }, focus: { prox: 20 }, drag: { x: true, y: false }, points: { size: 7 } },
        hooks: { setCursor: [() => values()], draw: [place], ready: [ready], setSeries: [(u, i) => {
          const entry = i === null ? null : made.entries.find(({ index }) => index === i);
          hovered = entry ? entry.curve.run : "";
          view.set("hover", hovered);
        }] },
      };
    }
    let hovered = "";
    let pressed = 0;

    function ready(made) {
      made.over.append(mark);
      made.over.addEventListener("mousedown", (event) => (pressed = event.clientX));
      made.over.addEventListener("click", click);
    }

    /* A click sets the time; on a curve it goes to its run as well. */
    function click(event) {
      if (Math.abs(event.clientX - pressed) > 3) return;  // the end of a drag
      if (hovered) view.set("focus", hovered);
      const left = event.clientX - chart.over.getBoundingClientRect().left;
      const time = spec.time(chart.posToVal(left, "x"));
      if (time !== null) view.follow(time >= view.end, Math.max(0, time));
    }

    function dim(name) {
      if (!chart || name === hovered) return;
      made.entries.forEach(({ curve, index }) => {
        chart.series[index].alpha = !name || curve.runs.includes(name) ? 1 : 0.3;
      });
      chart.redraw(false);
    }

    function update(next) {
      spec = next;
      title.textContent = spec.title;
      card.setAttribute("aria-label", `${spec.title}: ${spec.curves.map((curve) => curve.label).join(", ")}`);
      made = columns(spec);
      const now = JSON.stringify([spec.scale, spec.limits, spec.extent, spec.unit, view.theme(), made.drawn.length, made.bands, document.documentElement.className,
        spec.curves.map((c) => [c.label, c.color, c.dash, c.n, Boolean(c.raw), Boolean(c.dots)])]);
      if (chart && now === signature) {
        const zoomed = chart.scales.x.min > chart.data[0][0] || chart.scales.x.max < chart.data[0][chart.data[0].length - 1];
        chart.setData(made.data, !zoomed);
        const outputs = new Map(entriesBefore.map((entry) => [entry.index, entry.output]));
        made.entries.forEach((entry) => (entry.output = outputs.get(entry.index)));
        if (zoomed) chart.redraw();
      } else {
        if (chart) chart.destroy();
        renderLegend();
        chart = new uPlot(options(), made.data, plot);
        signature = now;
      }
      entriesBefore = made.entries;
      values();
      place();
    }
    let entriesBefore = [];

    const resize = new ResizeObserver(() => chart && chart.width !== size().width && (chart.setSize(size()), place()));
    resize.observe(plot);
    const follow = view.on("time", place);
    const hover = view.on("hover", dim);
    const destroy = () => {
      view.off("time", follow);
      view.off("hover", hover);
      resize.disconnect();
      if (chart) chart.destroy();
      card.remove();
    };
    return { card, update, destroy, scales: () => chart.scales };
  };
})(window.rlgen);
