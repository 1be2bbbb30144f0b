/* Copied or new: click a sample for the training images nearest to it, with their distance among those of test images. */
"use strict";
(function (rlgen) {
  const { element, button, format, source } = rlgen;
  const BINS = 40;

  function mount(parent, run, view) {
    const samples = element("div", { class: "mosaic", role: "group", "aria-label": "Samples" });
    const neighbours = element("div", { class: "figures" });
    const chart = element("canvas", { class: "chart-small wide", role: "img", "aria-label": "Distances of test images to their nearest training image" });
    const text = element("p", { role: "status" });
    const note = element("p", { class: "small faint" });
    let at = rlgen.portrait(run, view);
    let drawn = null;
    let found = null;
    let chosen = 0;
    let seed = null;

    const call = (action, body) => source.call(run.name, action, { at, ...body });
    const fail = (error) => { text.textContent = error.message; };
    const settings = () => (seed === null ? {} : { seed });

    function chartOf() {
      if (!found) return;
      const distance = found.neighbours[0].distance;
      const most = Math.max(distance, found.references[found.references.length - 1]) * 1.02 || 1;
      const counts = new Array(BINS).fill(0);
      for (const value of found.references) counts[Math.min(BINS - 1, Math.floor((value / most) * BINS))] += 1;
      rlgen.draw.histogram(chart, { values: counts, x: counts.map((_, k) => ((k + 0.5) * most) / BINS), highlight: Math.min(BINS - 1, Math.floor((distance / most) * BINS)),
        color: rlgen.colors.c6, xlabel: "distance to the nearest training image", ylabel: "test images; marked: this image" });
    }

    const search = rlgen.newest(async () => {
      try {
        text.textContent = "Searching the training images …";
        found = await call("nearest-search", { of: "sample", index: chosen, ...settings() });
        const name = (label) => (label === null ? "" : `, class ${found.classes[label]}`);
        rlgen.fill(neighbours, figure(found.image, "sample"), found.neighbours.map((n) =>
          figure(n.image, `${format.number(Number(n.distance.toPrecision(3)))} · percentile ${Math.round(n.percentile)}${name(n.label)}`)));
        const p = found.percentile;
        const judgement = p < 1 ? "closer than almost any test image is: perhaps a copy" : p < 10 ? "closer than most test images are" : p <= 90 ? "as far as test images are: no sign of a copy" : "further than most test images are: unlike any training image";
        text.textContent = `The nearest of ${format.number(found.training)} training images is at distance ${format.number(Number(found.neighbours[0].distance.toPrecision(3)))}, percentile ${format.number(Number(p.toPrecision(3)))} of the distances of ${found.references.length} test images to theirs: ${judgement}.`;
        chartOf();
      } catch (error) {
        fail(error);
      }
    });

    function figure(url, caption) {
      const made = rlgen.shown(caption, 88);
      made.img.src = url;
      return made.element;
    }

    function tiles() {
      const label = (n) => (drawn.labels ? `, class ${drawn.classes[drawn.labels[n]]}` : "");
      rlgen.fill(samples, drawn.samples.map((url, n) =>
        element("button", { type: "button", class: "tile", "aria-pressed": String(n === chosen), "aria-label": `Sample ${n}${label(n)}`, title: `Sample ${n}${label(n)}`,
          on: { click: () => { chosen = n; for (const [k, tile] of [...samples.children].entries()) tile.setAttribute("aria-pressed", String(k === n)); search(); } } },
        element("img", { class: "pixels", src: url, alt: "" }))));
    }

    const load = rlgen.newest(async () => {
      try {
        text.textContent = "Sampling …";
        drawn = await call("nearest-samples", settings());
        tiles();
        note.textContent = `${drawn.samples.length} samples of ${seed === null ? "the noise of the run's sample grids" : `seed ${seed}`}, weights at ${format.number(drawn.time)} images. Distance: square root of the sum of squared differences of pixels in [0, 1].`;
        await search();
      } catch (error) {
        fail(error);
      }
    });

    const typed = rlgen.whole(0, 0, 2147483647, () => {});
    parent.append(element("div", { class: "choices" }, rlgen.labelled("Seed", typed), button("Sample", () => { seed = Number(typed.value); load(); }),
      button("Samples of the run", () => { seed = null; load(); })), samples, neighbours, text, chart, note);
    const onTime = () => {
      const next = rlgen.portrait(run, view);
      if (next === at) return;
      at = next;
      load();
    };
    view.on("time", onTime);
    view.on("theme", chartOf);
    const resized = new ResizeObserver(chartOf);
    resized.observe(chart);
    load();
    return { destroy() { view.off("time", onTime); view.off("theme", chartOf); resized.disconnect(); } };
  }

  rlgen.panel({ name: "nearest", title: "Nearest training images", order: 43, mount });
})(window.rlgen);
