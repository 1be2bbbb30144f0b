/* Statistics of chosen runs, computed by the server as in `rlgen compare`: best, last, mean, time, improvement. */
"use strict";
(function (rlgen) {
  const { element, button, format, view, runs, source } = rlgen;
  const COLUMNS = [["best", "best"], ["last", "last"], ["mean", "mean over time"]];
  const place = element("div");
  const line = element("p", { class: "faint small", role: "status" });

  /* A value with its interval, "0.94 (0.93 to 0.95)". */
  const text = (score) => (score.value === null ? "–" : format.number(score.value) +
    (score.low === null ? "" : ` (${format.number(score.low)} to ${format.number(score.high)})`));

  /* The experiment in words: its settings where these differ, else its runs. */
  const title = (experiment) => element("th", { scope: "row", style: { "--series": runs.color(experiment.runs[0]) } },
    element("span", { class: "run", text: experiment.runs.length > 1 ? `${experiment.runs[0]} and ${experiment.runs.length - 1} more` : experiment.runs[0] }),
    experiment.settings ? element("span", { class: "faint about", text: experiment.settings }) : null);

  function table(found, metric) {
    const threshold = `${found.time} until ${format.number(metric.threshold)}`;
    const experiments = found.experiments.filter((experiment) => !metric.task || experiment.task === metric.task || found.experiments.length === metric.scores.length);
    return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": metric.label },
      element("table", { class: "compared" }, element("caption", { text: `${metric.label}, ${metric.better} is better` }),
        element("thead", {}, element("tr", {}, [["", ""], ["n", "n"], ...COLUMNS, ["", threshold]].map(([, name]) => element("th", { scope: "col", text: name })))),
        element("tbody", {}, metric.scores.map((score, i) => element("tr", {}, experiments[i] ? title(experiments[i]) : element("th"),
          element("td", { class: "number", text: String(score.n) }),
          COLUMNS.map(([key]) => element("td", { class: "number", text: text(score[key]) })),
          element("td", { class: "number", text: score.time_to_threshold.median === null ? "not reached"
            : `${format.number(score.time_to_threshold.median)}${score.time_to_threshold.reached < score.n ? ` (${score.time_to_threshold.reached} of ${score.n} runs)` : ""}` }))))));
  }

  function improvement(found) {
    const lines = found.improvement.filter((one) => one.probability !== null).map((one) => element("li", {
      text: `${one.metric.replace(/_/g, " ")}: ${one.first} is better than ${one.second} with probability ${format.number(one.probability)}`
        + (one.low === null ? "" : ` (${format.number(one.low)} to ${format.number(one.high)})`) + `, n = ${one.n.join(" and ")}` }));
    return lines.length ? [element("h3", { text: "Probability of improvement" }), element("ul", { class: "small" }, lines)] : [];
  }

  async function compute() {
    line.textContent = "Computing …";
    try {
      const found = await source.json(`/api/compare?${view.runs.map((name) => `run=${encodeURIComponent(name)}`).join("&")}`);
      rlgen.fill(place, found.metrics.map((metric) => table(found, metric)), improvement(found));
      line.textContent = found.metrics.length ? "Ranges are 95 % intervals; runs that differ in the seed alone are one experiment." : "The runs share no metric.";
    } catch (error) {
      rlgen.fill(place);
      line.textContent = error.message;
    }
  }

  /* The card with the statistics; none in a report. */
  rlgen.statistics = function (parent) {
    if (!source.live) return;
    parent.append(element("div", { class: "card", id: "statistics" }, element("h3", { text: "Statistics over training" }),
      element("p", {}, button("Compute for the chosen runs", compute)), line, place));
    view.on("runs", () => {
      rlgen.fill(place);
      line.textContent = "";
    });
  };
})(window.rlgen);
