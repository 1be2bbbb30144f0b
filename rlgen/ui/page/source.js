/* Where the data come from: the server of `rlgen ui`, or the JSON that `rlgen report` writes into the page. */
"use strict";
(function (rlgen) {
  const inlined = document.getElementById("data");
  const data = inlined ? JSON.parse(inlined.textContent) : null;  // path -> JSON, or a data URL of a picture
  const POINTS = 2000;  // rows of a long log after thinning, about one per pixel of a wide chart
  const source = (rlgen.source = { live: !data });

  /* The path of something that belongs to a run. */
  source.path = (run, ...parts) => ["/api/runs", run, ...parts].map((part, i) => (i ? encodeURIComponent(part) : part)).join("/");

  async function answer(response) {
    const text = await response.text();
    let body;
    try {
      body = JSON.parse(text);
    } catch {
      body = { error: text.slice(0, 200) || response.statusText };
    }
    if (response.ok) return body;
    const error = new Error(body.error || `the server answered ${response.status}`);
    error.status = response.status;
    throw error;
  }

  /* The JSON at a path. The error has a `status`: 404 where a run is gone. */
  source.json = async function (path) {
    if (!data) return answer(await fetch(path, { credentials: "same-origin", cache: "no-store" }));
    const found = data[path.split("?")[0]];
    if (found === undefined) throw Object.assign(new Error(`not in this report: ${path}`), { status: 404 });
    return found;
  };

  /* The address of a picture; `version` is anything that changes when the picture is written anew. */
  source.image = function (path, version) {
    if (data) return data[path] || null;
    return version === undefined ? path : `${path}?v=${encodeURIComponent(version)}`;
  };

  /* The answer of an interactive action on a run, such as the Q-values of an observation.

     Where the run needs a Python module of somebody else, the answer is a question, which is asked once per run. */
  const allowed = new Set();
  source.call = async function (run, action, body) {
    if (data) throw new Error("a report has no live panels: open the run with `rlgen ui`");
    const found = await answer(await fetch(source.path(run, "live", action), {
      method: "POST", credentials: "same-origin", cache: "no-store",
      headers: { "Content-Type": "application/json" }, body: JSON.stringify(allowed.has(run) ? { ...body, allow: true } : body),
    }));
    if (!found.ask) return found;
    if (!window.confirm(found.ask)) throw new Error("The module was not imported: its environment is needed for this panel.");
    allowed.add(run);
    return source.call(run, action, body);
  };

  /* A log of a run (log, timing or episodes) that fetches new lines alone. */
  source.Log = class {
    constructor(run, name) {
      this.path = source.path(run, name);
      this.rows = [];
      this.offset = 0;
      this.id = "";
      this.version = 0;  // increases with every change
      this.every = 1;  // of so many lines one was kept, of the first `thinned` rows
      this.thinned = 0;
      this.lost = 0;  // lines that are damaged or missing
    }

    /* Fetch what is new; true where there was something. A run that was resumed begins anew. */
    async update() {
      if (data && this.version) return false;
      let changed = false;
      for (let more = true; more; ) {
        const news = await source.json(`${this.path}?after=${this.offset}&id=${encodeURIComponent(this.id)}&points=${POINTS}`);
        changed = changed || news.rows.length > 0 || (news.restart && this.offset > 0) || !this.version;
        if (news.restart) {
          this.rows = [];
          this.lost = 0;
          this.every = news.every || 1;
          this.thinned = news.rows.length;
        }
        this.lost += news.lost || 0;
        more = Boolean(news.more) && news.offset > this.offset;
        this.id = news.id;
        this.offset = news.offset;
        this.rows = this.rows.length ? this.rows.concat(news.rows) : news.rows;
      }
      if (changed) this.version += 1;
      return changed;
    }
  };
})(window.rlgen);
