/* The discriminator's opinion: its logits for the fixed samples and for real images, through the training. */
"use strict";
(function (rlgen) {
  const { element, button, format, source } = rlgen;
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

  function mount(parent, run, view) {
    const chart = element("canvas", { class: "chart-wide", role: "img", "aria-label": "Logits of the discriminator over images of training" });
    const text = element("p", { role: "status" });
    const samples = element("div", { class: "mosaic", role: "group", "aria-label": "Fixed samples" });
    const reals = element("div", { class: "mosaic", role: "group", "aria-label": "Real test images" });
    const heading = element("h4", { text: "Samples" });
    let logits = null;
    let shown = null;
    let chosen = { of: "samples", index: 0 };
    let frozen = false;

    const call = (action, body) => source.call(run.name, action, { at: null, ...body });
    const nearest = () => {
      const times = logits.times;
      const wanted = view.time === null ? times[times.length - 1] : view.time;
      return times.reduce((best, time, k) => (Math.abs(time - wanted) < Math.abs(times[best] - wanted) ? k : best), 0);
    };
    const threshold = () => (logits.threshold === null ? mean(logits.real[nearest()]) : logits.threshold);
    const verdict = (logit) => logits.threshold === null ? `score ${format.number(logit)}`
      : `logit ${format.number(logit)}: ${logit > logits.threshold ? "real" : "generated"}`;

    function draw() {
      if (!logits) return;
      const k = nearest();
      const one = logits[chosen.of].map((row) => row[chosen.index]);
      const faint = logits.samples[0].map((_, n) => ({ label: "", values: logits.samples.map((row) => row[n]), color: rlgen.colors.line, width: 1 }));
      const bound = logits.threshold === null ? [] : [{ label: "threshold", values: logits.times.map(() => logits.threshold), color: rlgen.colors.faint, dash: [2, 4], width: 1.5 }];
      rlgen.draw.lines(chart, { x: logits.times, marker: logits.times.length > 1 ? logits.times[k] : null, xlabel: "images seen in training", ylabel: logits.threshold === null ? "score of the critic, high: real" : "logit, high: real", series: [
        ...faint, ...bound,
        { label: "samples", values: logits.samples.map(mean), color: rlgen.colors.c1, width: 2.5 },
        { label: "real", values: logits.real.map(mean), color: rlgen.colors.c0, width: 2.5 },
        { label: "chosen", values: one, color: rlgen.colors.ink, width: 2, dash: [6, 3] },
      ] });
      const real = logits.real[k];
      const fooled = logits.samples[k].filter((v) => v > threshold()).length;
      const above = logits.threshold === null ? "score above the mean of the real images" : "are classified as real";
      text.textContent = `At ${format.number(logits.times[k])} images: ${fooled} of ${logits.samples[k].length} samples ${above}; mean ${format.number(mean(logits.samples[k]))} for samples, ${format.number(mean(real))} for real test images. Chosen ${chosen.of === "real" ? "test image" : "sample"} ${chosen.index}: ${verdict(one[k])}.`;
    }

    function grid(parent2, of, urls) {
      const k = nearest();
      const row = logits[of][k];
      rlgen.fill(parent2, urls.map((url, n) =>
        element("button", { type: "button", class: "tile", "aria-pressed": String(chosen.of === of && chosen.index === n), "data-opinion": row[n] > threshold() ? "real" : "fake",
          "aria-label": `${of === "real" ? "Test image" : "Sample"} ${n}: ${verdict(row[n])}`, title: verdict(row[n]),
          on: { click: () => { chosen = { of, index: n }; tiles(); draw(); } } }, element("img", { class: "pixels", src: url, alt: "" }))));
    }

    function tiles() {
      if (!shown) return;
      const focus = document.activeElement && document.activeElement.getAttribute("aria-label");
      grid(samples, "samples", shown.images);
      grid(reals, "real", shown.real);
      heading.textContent = `Samples after ${format.number(shown.time)} images`;
      if (focus) [...parent.querySelectorAll(".tile")].find((tile) => tile.getAttribute("aria-label") === focus)?.focus();
    }

    const show = rlgen.newest(async () => {
      if (!logits) return;
      draw();
      try {
        if (!frozen) shown = await call("opinion-at-time", { time: logits.times[nearest()] });
        tiles();
      } catch (error) {
        text.textContent = error.message;
      }
    });

    const load = rlgen.newest(async () => {
      try {
        if (!logits) text.textContent = "The discriminators of all portraits are loaded …";
        logits = await call("opinion-over-time", frozen && shown ? { judged: shown.time } : {});
        if (!logits.portraits) note.textContent = "The run has no portraits, the weights at its evaluations: the newest weights alone are shown.";
        await show();
      } catch (error) {
        text.textContent = error.message;
      }
    });

    const note = element("p", { class: "small faint", text: "Border of an image: solid blue where its logit is above the threshold (real), dotted orange below (generated)." });
    const keep = element("input", { type: "checkbox", on: { change: (event) => { frozen = event.target.checked; load(); } } });
    const line = (name, color) => element("span", { class: "entry" }, element("i", { class: "line", style: { "--series": `var(--${color})` } }), name);
    parent.append(chart,
      element("div", { class: "legend small" }, line("mean of the samples", "c1"), line("mean of real test images", "c0"), line("the chosen image", "ink"), line("each sample", "line"), element("span", { class: "faint", text: "dotted: decision threshold" })),
      text,
      element("div", { class: "choices" }, rlgen.labelled("every discriminator on the samples shown below, not on those of its own time", keep, { class: "control check" }), button("Update", load)),
      heading, samples, element("h4", { text: "Real test images" }), reals, note);
    const onTime = () => show();
    view.on("time", onTime);
    view.on("theme", draw);
    const resized = new ResizeObserver(draw);
    resized.observe(chart);
    load();
    return { destroy() { view.off("time", onTime); view.off("theme", draw); resized.disconnect(); } };
  }

  rlgen.panel({ name: "opinion", title: "Discriminator", order: 42, mount });
})(window.rlgen);
