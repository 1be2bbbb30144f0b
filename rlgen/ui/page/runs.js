/* The runs that the page knows: summaries of all, details and logs of the chosen ones; polled each second. */
"use strict";
(function (rlgen) {
  const { source, view } = rlgen;
  const INTERVAL = 1000;  // milliseconds
  const NEWEST = 4;  // runs chosen at first, of the kind of the newest
  const MOST = 24;  // runs chosen at a time
  const slots = new Map();  // chosen run -> its place in the palette
  const runs = (rlgen.runs = {
    list: [], byName: new Map(), details: new Map(), logs: new Map(), folder: "", id: "", error: "", loaded: false, palette: 8,
  });

  /* A chosen run with everything about it, in the order of choice; those not yet loaded are left out. */
  runs.chosen = () => (view.runs || []).map((name) => runs.details.get(name)).filter(Boolean);
  runs.slot = (name) => slots.get(name) ?? 0;
  runs.color = (name) => `var(--c${runs.slot(name) % runs.palette})`;
  runs.log = function (name, kind = "log") {
    const key = `${kind} ${name}`;
    if (!runs.logs.has(key)) runs.logs.set(key, new source.Log(name, kind));
    return runs.logs.get(key);
  };
  runs.active = (run) => run.status === "running" || run.status === "created";
  runs.unit = (run) => run.unit || "steps";

  runs.choose = function (name, on = true) {
    const others = (view.runs || []).filter((other) => other !== name);
    if (on && others.length >= MOST) {
      rlgen.notice(`At most ${MOST} runs at a time: uncheck one first.`);
      view.emit("runs", view.runs);
      return;
    }
    view.set("runs", on ? [...others, name] : others);
  };

  function assign() {
    const chosen = new Set(view.runs || []);
    for (const name of [...slots.keys()]) if (!chosen.has(name)) slots.delete(name);
    for (const name of chosen) {
      if (slots.has(name)) continue;
      const taken = new Set(slots.values());
      let free = 0;
      while (taken.has(free)) free += 1;
      slots.set(name, free);
    }
    if (!chosen.has(view.focus)) view.set("focus", [...chosen].pop() || "");
  }

  /* One log of a run and the details belonging to it. */
  async function refresh(name, summary) {
    const known = runs.details.get(name);
    const text = JSON.stringify(summary);
    const log = runs.log(name);
    let changed = false;
    const first = log.version ? null : log.update();
    if (first) first.catch(() => {});  // awaited below
    if (!known || known.summary !== text) {
      const details = await source.json(source.path(name));
      runs.details.set(name, { ...summary, ...details, name, summary: text });
      changed = true;
    }
    if (first) await first;
    const names = view.x === "seconds" ? ["log", "timing"] : ["log"];
    if (view.x === "episodes" || (runs.details.get(name).axes || []).some((axis) => axis.episodes)) names.push("episodes");
    if (view.more.split(",").includes("rate")) names.push("timing");
    for (const kind of new Set(names)) {
      const other = runs.log(name, kind);
      if (first && other === log) continue;
      if (changed || !other.version || runs.active(summary)) changed = (await other.update()) || changed;
    }
    return changed;
  }

  let busy = null;
  let again = false;
  /* Fetch what changed, and announce it: "list" for the table, "data" for everything drawn from the chosen runs. */
  runs.update = async function () {
    if (busy) {
      again = true;
      return busy;
    }
    busy = fetchAll();
    try {
      await busy;
    } finally {
      busy = null;
    }
    if (again) {
      again = false;
      return runs.update();
    }
  };

  async function fetchAll() {
    let answer;
    try {
      answer = await source.json(`/api/runs?id=${runs.id}`);
      if (answer.unchanged) answer = { ...answer, runs: runs.list, folder: runs.folder };
    } catch (error) {
      runs.error = error.status === 403 || error.status === 401
        ? "This page is no longer authorised: open the address that rlgen ui printed."
        : "The server does not answer: it was stopped, or is restarting.";
      view.emit("list");
      return;
    }
    const before = JSON.stringify(runs.list) + runs.error;
    runs.error = "";
    runs.folder = answer.folder || "";
    runs.list = answer.runs;
    runs.id = answer.id || "";
    runs.byName = new Map(runs.list.map((run) => [run.name, run]));
    const first = !runs.loaded;
    runs.loaded = true;
    if (view.runs === null && runs.list.length) {
      const newest = [...runs.list].sort((a, b) => String(b.started).localeCompare(String(a.started)));
      const alike = source.live ? newest.filter((run) => run.kind === newest[0].kind).slice(0, NEWEST) : newest.slice(0, MOST);
      view.runs = alike.map((run) => run.name).reverse();
    }
    const gone = (view.runs || []).filter((name) => !runs.byName.has(name));
    if (gone.length) {
      if (!first) rlgen.notice(`${gone.join(", ")}: no longer in the folder of runs.`);
      for (const name of gone) forget(name);
      view.set("runs", view.runs.filter((name) => runs.byName.has(name)));
    }
    assign();
    if (first || before !== JSON.stringify(runs.list)) view.emit("list");
    const chosen = view.runs || [];
    const results = await Promise.allSettled(chosen.map((name) => refresh(name, runs.byName.get(name))));
    results.forEach((result, i) => {
      if (result.status === "rejected" && result.reason.status !== 404)
        rlgen.notice(`${chosen[i]}: ${result.reason.message}`);
    });
    if (first || results.some((result) => result.value)) runs.announce();
  }

  function forget(name) {
    runs.details.delete(name);
    for (const kind of ["log", "timing", "episodes"]) runs.logs.delete(`${kind} ${name}`);
  }

  /* The end of the common time and its stops, then everything drawn from the chosen runs. */
  runs.announce = function () {
    assign();
    const chosen = runs.chosen();
    const stops = new Set();
    let end = 0;
    for (const run of chosen) {
      const rows = runs.log(run.name).rows;
      if (rows.length) end = Math.max(end, rows[rows.length - 1].time);
      for (const times of Object.values(run.pictures || {})) times.forEach((time) => stops.add(time));
      (run.portraits || []).forEach((time) => stops.add(time));
    }
    for (const time of stops) end = Math.max(end, time);
    view.emit("data", chosen);
    view.extent(end, [...stops].sort((a, b) => a - b));
  };

  runs.start = async function () {
    view.on("runs", () => {
      assign();
      runs.announce();
      runs.update();
    });
    for (const name of ["x", "more"]) view.on(name, () => runs.update().then(() => view.emit("data", runs.chosen())));
    await runs.update();
    if (!source.live) return;
    const tick = async () => {
      if (!document.hidden) await runs.update();
      setTimeout(tick, INTERVAL);
    };
    setTimeout(tick, INTERVAL);
    document.addEventListener("visibilitychange", () => !document.hidden && runs.update());
  };
})(window.rlgen);
