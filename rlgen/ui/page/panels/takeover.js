/* Take over: a person acts by keys, sees the regret of each action, and hands back; the agent's own score beside it. */
"use strict";
(function (rlgen) {
  const { element, button, labelled, select, format, source } = rlgen;
  const SPEEDS = [["0.1", "0.1 ×"], ["0.25", "0.25 ×"], ["0.5", "0.5 ×"], ["1", "1 ×"]];
  const TURN = 400;  // milliseconds per step of the agent where the environment waits for a key
  const SHOWN = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "space" };

  function mount(parent, run, view) {
    const image = element("img", { class: "frame pixels", alt: "the environment", hidden: true });
    const observed = element("div", { hidden: true });
    const arena = element("div", { class: "arena", "data-keys": "", tabindex: 0, role: "application", "aria-label": "Play: the keys are named beside the picture",
      on: { keydown, keyup, blur: () => { held = ""; } } }, image, observed);
    const keys = element("dl", { class: "keys" });
    const regret = element("p", { class: "regret", role: "status" });
    const scores = element("div", { class: "scores" });
    const curve = element("canvas", { class: "curve", role: "img", "aria-label": "Return so far by step, yours and the agent's" });
    const box = element("div", {});
    const line = element("p", { class: "small faint" });
    const legend = element("div", { class: "legend" }, [["you", "c1"], ["the agent alone, same seed", "c0"]].map(([text, color]) =>
      element("span", { class: "entry" }, element("i", { class: "line", style: { "--series": `var(--${color})` } }), text)));
    let values = null;
    let game = null;  // the answer to start
    let at = null;  // the age of the agent: that of the time slider at the start
    let [seed, speed, acting, paused, busy, held, latest, token, tapped] = [0, "0.25", "you", true, false, "", null, 0, null];
    let totals = [];
    let lost = [];
    let gone = false;

    const who = button("Hand over to the agent (H)", handOver, { disabled: true, id: `who-${run.name}` });
    const pauser = button("Pause (P)", pause, { disabled: true });
    const start = button("Start (Enter)", begin, {});
    const speeds = labelled("Speed", select(SPEEDS, speed, (value) => { speed = value; }));
    const seeds = element("input", { type: "number", min: 0, max: 9999, step: 1, value: "0", on: { change: () => { seed = Math.min(9999, Math.max(0, Math.round(Number(seeds.value)) || 0)); } } });
    parent.append(element("div", { class: "stack takeover" },
      element("div", { class: "toolbar" }, labelled("Seed", seeds), start, who, pauser, speeds),
      element("div", { class: "sides" }, arena, element("div", {}, keys, regret, box)), scores, legend, curve, line));

    const fail = (error) => { line.className = "error"; line.textContent = error.message; paused = true; labels(); };
    const call = (body) => source.call(run.name, "take-over", { at, ...body });
    const frameTime = () => 1000 / (game.fps * Number(speed));

    function labels() {
      const over = !game || game.ended;
      who.disabled = pauser.disabled = over;
      who.textContent = acting === "you" ? "Hand over to the agent (H)" : "Take over (H)";
      pauser.textContent = paused ? "Go on (P)" : "Pause (P)";
      pauser.hidden = !game || (game.waits && acting === "you");
      speeds.hidden = Boolean(game && game.waits);
      arena.dataset.acting = acting;
    }

    async function begin() {
      const mine = ++token;
      line.className = "small faint";
      line.textContent = "starting …";
      try {
        at = rlgen.portrait(run, view);
        const answer = await call({ do: "start", seed });
        if (gone || mine !== token) return;
        game = answer;
        [acting, paused, held, latest, totals, lost] = ["you", true, "", null, [], []];
        values = rlgen.values(game.names, game.distribution ? (game.atoms ? "atoms" : "quantiles") : "", "Q-values");
        rlgen.fill(box, values.element);
        name();
        show(game, null);
        line.textContent = game.waits ? "The environment waits for your key." : "Press a key of an action to begin; it then runs in real time.";
        arena.focus();
      } catch (error) {
        fail(error);
      }
    }

    /* The keys of each action, and the others. */
    function name() {
      const of = game.names.map((_, action) => Object.keys(game.keys).filter((key) => game.keys[key] === action));
      rlgen.fill(keys, game.names.flatMap((text, action) => [
        element("dt", {}, of[action].sort().map((key) => element("kbd", { text: SHOWN[key] || key }))),
        element("dd", {}, button(text, () => { act(action); arena.focus(); }, { class: "chip" }))]),
        element("dt", {}, element("kbd", { text: "A" })), element("dd", { text: "one step of the agent" }),
        element("dt", {}, element("kbd", { text: "H" })), element("dd", { text: "hand over, take over" }),
        ...(game.waits ? [] : [element("dt", {}, element("kbd", { text: "P" })), element("dd", { text: `pause; without a key: ${game.idle === null ? "the last action" : game.names[game.idle]}` })]));
    }

    function show(answer, before) {
      image.hidden = !answer.frame;
      if (answer.frame) image.src = answer.frame;
      observed.hidden = Boolean(answer.frame);
      if (!answer.frame) rlgen.fill(observed, rlgen.numbers(answer.numbers, (answer.numbers || []).map((number) => number.value), game.reason));
      arena.dataset.step = String(answer.step);
      if (before && before.by === "you") {
        lost.push(before.regret);
        const all = lost.reduce((a, b) => a + b, 0);
        regret.textContent = `${game.names[before.taken]}: regret max Q − Q(a) = ${format.number(before.regret)}` +
          ` · in ${lost.length} of your actions ${format.number(all)}`;
      } else if (before) regret.textContent = `the agent: ${game.names[before.taken]}`;
      else regret.textContent = "Each of your actions shows its regret: what the agent expects to lose by it.";
      if (answer.ended) values.clear();
      else values.show({ ...answer, taken: answer.action });  // highlighted: the greedy action now
      const step = answer.step;
      const own = game.scores.length ? game.scores[Math.min(step, game.scores.length) - 1] || 0 : 0;
      rlgen.fill(scores, element("table", { class: "compared" },
        element("thead", {}, element("tr", {}, ["", `at step ${step}`, "at the end"].map((text) => element("th", { text })))),
        element("tbody", {},
          element("tr", {}, element("th", { text: "you" }), element("td", { text: format.number(answer.total) }), element("td", { text: answer.ended ? format.number(answer.total) : "–" })),
          element("tr", {}, element("th", { text: "agent" }), element("td", { text: format.number(step ? own : 0) }), element("td", { text: `${format.number(game.score)} in ${game.scores.length} steps` })))));
      if (before) totals.push(answer.total);
      const x = Array.from({ length: Math.max(totals.length, game.scores.length) + 1 }, (_, i) => i);
      rlgen.draw.lines(curve, { x, xlabel: "step", ylabel: "return so far", series: [
        { label: "agent", values: [0, ...game.scores], color: rlgen.colors.c0 },
        { label: "you", values: [0, ...totals], color: rlgen.colors.c1, width: 2.5 }] });
      if (answer.ended) {
        game.ended = true;
        line.className = "small faint";
        line.textContent = `The episode is over: your return ${format.number(answer.total)}, the agent's ${format.number(game.score)}.`;
      }
      labels();
    }

    /* One step; null is the agent's action. Keys that arrive meanwhile are dropped. */
    async function step(action) {
      if (busy || !game || game.ended) return;
      busy = true;
      const mine = token;
      try {
        const answer = await call({ do: "step", action });
        if (!gone && mine === token) show(answer, answer);
      } catch (error) {
        fail(error);
      } finally {
        busy = false;
      }
    }

    /* Real time, or the agent's turns. */
    async function loop() {
      const mine = token;
      while (!gone && mine === token && !paused && !game.ended) {
        const began = performance.now();
        if (acting === "you" && game.waits) break;
        const key = held !== "" ? game.keys[held] : tapped !== null ? tapped : game.idle !== null ? game.idle : latest;
        tapped = null;
        await step(acting === "you" ? key : null);
        const rest = (game.waits ? TURN : frameTime()) - (performance.now() - began);
        if (rest > 0) await new Promise((done) => setTimeout(done, rest));
      }
      if (mine === token) { paused = true; labels(); }
    }

    function go() {
      if (!paused) return;
      paused = false;
      labels();
      loop();
    }

    function pause() {
      if (!game || game.ended) return;
      if (paused) go();
      else { paused = true; labels(); }
      arena.focus();
    }

    function handOver() {
      if (!game || game.ended) return;
      acting = acting === "you" ? "agent" : "you";
      held = "";
      labels();
      if (acting === "agent") go();
      else paused = true;
      line.textContent = acting === "agent" ? "The agent acts." : game.waits ? "Your turn: the environment waits for your key." : "Your turn: press a key to go on.";
      labels();
      arena.focus();
    }

    /* An action by a key or a button. */
    function act(action) {
      if (acting !== "you" || !game || game.ended) return;
      if (game.waits) return void step(action);
      latest = tapped = action;  // a short press counts for a step, even if it is over before the step is taken
      go();
    }

    function keydown(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab") return;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (key === "Enter") begin();
      else if (!game || game.ended) return;
      else if (key === "h") handOver();
      else if (key === "p" && !game.waits) pause();
      else if (key === "a" && (game.waits || paused)) step(null);
      else if (key in game.keys) {
        event.preventDefault();
        if (game.waits && event.repeat) return;
        if (!game.waits) held = key;
        act(game.keys[key]);
        return;
      } else return;
      event.preventDefault();
    }

    function keyup(event) {
      if (event.key === held || event.key.toLowerCase() === held) held = "";
    }

    labels();
    const redraw = () => values && values.redraw();
    view.on("theme", redraw);
    return {
      destroy() {
        gone = true;
        view.off("theme", redraw);
        if (game) call({ do: "stop" }).catch(() => {});
      },
    };
  }

  rlgen.panel({ name: "takeover", title: "Take over", order: 11, mount });
})(window.rlgen);
