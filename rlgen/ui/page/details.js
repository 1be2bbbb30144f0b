/* The run in focus: the command that reproduces it, versions, time, memory, all settings. */
"use strict";
(function (rlgen) {
  const { element, button, format, view, runs } = rlgen;
  const card = element("div", { class: "details" });

  /* A button that copies a text. */
  rlgen.copy = function (text) {
    const made = button("", async () => {
      try {
        await navigator.clipboard.writeText(text);
      } catch {  // a page that is not served over https or from this machine
        const area = element("textarea", { class: "hidden", value: text });
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
        made.focus();
      }
      rlgen.notice("Copied.");
    }, { icon: "copy", label: `Copy: ${text}`, class: "quiet" });
    return made;
  };

  const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${String(word).replaceAll("'", "'\\''")}'`);

  /* The command line of a run. */
  function command(run) {
    if (run.command) return Array.isArray(run.command) ? run.command.map(quoted).join(" ") : String(run.command);
    return ["rlgen", ...(run.argv || []).slice(1)].map(quoted).join(" ");
  }

  function state(run) {
    const done = run.budget ? ` of ${format.number(run.budget)}` : "";
    return [
      ["Status", element("span", { class: "status", "data-status": run.status, text: run.status })],
      run.error ? ["Reason", run.error] : null,
      ["Trained", `${format.number(run.time)}${done} ${runs.unit(run)}`],
      runs.log(run.name, "log").lost ? ["Log", `${format.number(runs.log(run.name, "log").lost)} lines damaged or missing: rlgen verify says what can be saved`] : null,
      ["Duration", format.duration(run.seconds)],
      ["Started", format.moment(run.started)],
      run.best === null || run.best === undefined ? null : ["Best score", `${format.number(run.best)}${run.best_time === undefined ? "" : ` at ${format.number(run.best_time)}`}`],
      run.tags && run.tags.length ? ["Tags", run.tags.join(", ")] : null,
      run.note ? ["Note", run.note] : null,
    ];
  }

  function machine(run) {
    const memory = run.memory && typeof run.memory === "object" ? Object.entries(run.memory) : [["", run.memory]];
    const git = run.git && run.git.commit ? `${String(run.git.commit).slice(0, 10)}${run.git.dirty ? ", with changes" : ""}` : null;
    return [
      ["Device", run.device], ...memory.filter(([, v]) => typeof v === "number").map(([name, v]) => [`Memory ${name}`.trim(), format.bytes(v)]),
      ["Parameters", run.parameters === undefined ? null : format.number(run.parameters)],
      ["Commit", git], ...Object.entries(run.versions || {}).map(([name, version]) => [name, String(version)]),
    ];
  }

  const list = (pairs) => element("dl", { class: "facts" }, pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined && pair[1] !== "")
    .flatMap(([name, value]) => [element("dt", { text: name }), element("dd", {}, value)]));

  function render() {
    const run = runs.details.get(view.focus);
    if (!run) {
      rlgen.fill(card);
      return;
    }
    const opened = card.querySelector("details")?.open;
    const line = command(run);
    const changed = run.changed || {};
    rlgen.fill(card,
      element("div", { class: "card", style: { "--series": runs.color(run.name) } },
        element("h3", {}, element("span", { class: "run", text: run.name })),
        element("p", { class: "command" }, element("code", { text: line }), rlgen.copy(line)),
        element("div", { class: "columns" }, list(state(run)), list(machine(run))),
        element("details", { open: opened }, element("summary", { text: "All settings" }),
          element("dl", { class: "facts many" }, Object.entries({ ...run.plan, ...run.config }).flatMap(([name, value]) =>
            [element("dt", { text: name, class: Object.hasOwn(changed, name) ? "changed" : "" }), element("dd", { text: format.setting(value) })])))));
  }

  /* Build the section in `parent`. */
  rlgen.details = function (parent) {
    const picker = element("select", { id: "focus", on: { change: (event) => view.set("focus", event.target.value) } });
    const sync = () => {
      const names = runs.chosen().map((run) => run.name);
      if (names.join("\n") !== [...picker.options].map((o) => o.value).join("\n"))
        rlgen.fill(picker, names.map((name) => element("option", { value: name, text: name })));
      picker.value = view.focus;
    };
    parent.append(rlgen.labelled("Run", picker), card);
    let drawn = "";
    const update = () => {
      sync();
      const run = runs.details.get(view.focus);
      const now = run ? run.summary + JSON.stringify([run.config, runs.slot(run.name)]) : "";
      if (now === drawn) return;
      drawn = now;
      render();
    };
    for (const name of ["data", "focus"]) view.on(name, update);
  };
})(window.rlgen);
