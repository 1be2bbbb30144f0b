/* Replay: the transitions with the largest TD errors in the replay buffer, and how errors and priorities are spread. */
"use strict";
(function (rlgen) {
  const { element, button, source, draw } = rlgen;
  const { number } = rlgen.format;

  function mount(parent, run, view) {
    let found = null;
    let drawings = [];
    let destroyed = false;
    const status = element("p", { class: "small faint", role: "status" });
    const body = element("div", {});
    parent.append(
      element("div", { class: "toolbar" }, button("Compute again", () => load(true), { class: "chip" }), status), body);

    async function load() {
      status.textContent = "Computing TD errors of the newest checkpoint …";
      try {
        let answer = await source.call(run.name, "replay", { at: null });
        if (answer.ask) {
          if (!window.confirm(answer.ask)) throw new Error("The environment was not imported.");
          answer = await source.call(run.name, "replay", { at: null, allow: true });
        }
        if (destroyed) return;
        found = answer;
        status.textContent = "";
        render();
      } catch (error) {
        status.textContent = error.message;
      }
    }

    const unit = () => run.unit || "steps";

    function chart(title, note, paint) {
      const canvas = element("canvas", { role: "img", "aria-label": `${title}. ${note}`, style: { width: "100%", height: "170px", display: "block" } });
      drawings.push(() => paint(canvas));
      return element("figure", { style: { flex: "1 1 20rem", "min-width": "0" } },
        element("figcaption", {}, element("h3", { text: title })), canvas, element("p", { class: "small faint", text: note }));
    }

    function pair(values, symbol, title) {
      const share = (part) => number(Number(part.toPrecision(3)));
      const total = values.counts.reduce((a, b) => a + b, 0);
      return [
        chart(title, `${number(total)} transitions, median ${share(values.middle)}, largest ${share(values.largest)}`,
          (canvas) => draw.histogram(canvas, { values: values.counts, x: values.x, xlabel: `log₁₀ ${symbol}`, ylabel: "transitions" })),
        chart(`${title} by the time of storage`, "largest, 90th percentile and median of each period, from top to bottom",
          (canvas) => draw.lines(canvas, { x: values.periods, xlabel: unit(), ylabel: `log₁₀ ${symbol}`, series: [
            { values: logs(values.largest_of_period), width: 1, color: rlgen.colors.c1 },
            { values: logs(values.high), width: 1.75, color: rlgen.colors.c0 },
            { values: logs(values.median), width: 3, color: rlgen.colors.c0 }] })),
      ];
    }
    const logs = (values) => values.map((v) => (v > 0 ? Math.log10(v) : NaN));

    function state(value) {
      if (value === null) return "end";
      if (typeof value === "string") return element("img", { src: value, alt: "observation", class: "pixels", style: { width: "4.5rem" } });
      return value.map((v) => number(Number(v.toPrecision(3)))).join(", ");
    }

    function render() {
      drawings = [];
      const cell = (content, attributes = {}) => element("td", attributes, content instanceof Node ? content : String(content));
      const after = found.n === 1 ? "r" : `Σ γᵏ r over ${found.n} steps`;
      const heads = ["δ", "Q(s, a)", "target", after, "action", "observation", found.n === 1 ? "next" : `${found.n} steps later`, "stored at"];
      const rows = found.transitions.map((t) => element("tr", {},
        element("th", { scope: "row", text: number(Number(t.error.toPrecision(3))), class: "changed" }),
        cell(number(t.q)), cell(number(t.target)), cell(number(t.reward)), cell(t.action), cell(state(t.observation)), cell(state(t.next)), cell(number(t.time))));
      const spread = found.stored === found.computed ? "all of them" : `${number(found.computed)} of them, evenly spaced`;
      const names = found.numbers.length ? ` An observation is: ${found.numbers.join(", ")}.` : "";
      const ranks = found.correlation === null ? "" : ` Rank correlation of the stored priorities with those of the newest networks: ${number(Number(found.correlation.toPrecision(2)))}.`;
      const kind = found.alpha
        ? `Drawn in proportion to priority^${number(found.alpha)}.${ranks}`
        : "Drawn uniformly: --alpha 0.5 draws in proportion to priorities.";
      rlgen.fill(body,
        element("p", { class: "small faint", text: `The buffer of the checkpoint at ${number(found.time)} ${unit()} holds ${number(found.stored)} transitions; TD errors δ = target − Q(s, a) of ${spread}. ${kind}` }),
        element("div", { class: "toolbar", style: { "align-items": "flex-start", "margin-top": "0.75rem" } },
          pair(found.errors, "|δ|", "TD errors |δ|"), found.priorities ? pair(found.priorities, "priority", "Stored priorities") : []),
        element("h3", { text: "Most surprising transitions", style: { "margin-top": "0.9rem" } }),
        element("p", { class: "small faint", text: `The largest |δ|; the target is ${after} + ${found.n === 1 ? "γ" : "γⁿ"} V(s').${names}` }),
        element("div", { class: "scroll", style: { "margin-top": "0.4rem" } }, element("table", { class: "compared" },
          element("thead", {}, element("tr", {}, heads.map((text) => element("th", { scope: "col", text })))), element("tbody", {}, rows))));
      paint();
    }

    const paint = () => drawings.forEach((f) => f());
    const onTheme = view.on("theme", paint);
    load();
    return {
      destroy() {
        destroyed = true;
        view.off("theme", onTheme);
      },
    };
  }

  rlgen.panel({ name: "replay", title: "Replay buffer", order: 35, mount });
})(window.rlgen);
