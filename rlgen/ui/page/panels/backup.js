/* The Bellman backup of a cell of the value map as a table: Q, r + γ Σ p V(s'), Q*, and the sum in numbers. */
"use strict";
(function (rlgen) {
  const { element } = rlgen;
  const { number } = rlgen.format;
  const MOST = 4;  // outcomes written out

  /* 0.33·(0 + 0.99·0.61) + ...: V is 0 where the episode ends. */
  function sum(action, gamma) {
    const parts = action.outcomes.slice(0, MOST).map((o) => {
      const next = o.terminated ? "end" : `${number(gamma)}·${number(o.v)}`;
      const inner = `${number(o.reward)} + ${next}`;
      return action.outcomes.length === 1 ? inner : `${number(Number(o.probability.toPrecision(3)))}·(${inner})`;
    });
    return parts.join(" + ") + (action.outcomes.length > MOST ? " + …" : "");
  }

  /* Elements that show the answer of the action `value-map-backup`. */
  rlgen.valueMap.backup = function (found) {
    const place = found.described.map((n, i) => `${n.name} ${n.words ? n.words[found.numbers[i]] : number(found.numbers[i])}`).join(", ");
    const exact = found.actions.some((a) => a.exact !== null);
    const known = found.actions.some((a) => a.backup !== null);
    const greedy = found.actions.reduce((best, a) => (a.q !== null && (best === null || a.q > best.q) ? a : best), null);
    const cell = (text, attributes = {}) => element("td", { text, ...attributes });
    const heads = ["action", "Q(s, a)", ...(known ? ["r + γ Σ p V(s')", "error"] : []), ...(exact ? ["Q*(s, a)"] : []), ...(known ? ["in numbers, V(s') = max Q(s', ·)"] : [])];
    const rows = found.actions.map((a) => element("tr", {},
      element("th", { scope: "row", text: a.name, class: a === greedy ? "changed" : "" }),
      cell(a.allowed ? number(a.q) : "not allowed", { class: a === greedy ? "changed" : "" }),
      known ? [cell(number(a.backup)), cell(a.q === null ? "–" : number(Number((a.backup - a.q).toPrecision(3))))] : [],
      exact ? cell(number(a.exact)) : [],
      known ? cell(sum(a, found.gamma)) : []));
    return [
      element("h3", { text: `Bellman backup at ${place}` }),
      element("p", { class: "small faint", text: found.steps === false ? "No step starts in this state: an episode ends here, or never comes here." : found.reason || `The error is backup − Q: 0 where Q satisfies the Bellman equation. Greedy: ${greedy ? greedy.name : "–"}.` }),
      element("table", { class: "compared", style: { "margin-top": "0.4rem" } },
        element("thead", {}, element("tr", {}, heads.map((text) => element("th", { scope: "col", text })))),
        element("tbody", {}, rows)),
    ];
  };
})(window.rlgen);
