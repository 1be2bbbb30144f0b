/* What the page shows: chosen runs, time, options. Kept in the address, announced to every part of the page. */
"use strict";
(function (rlgen) {
  const SHARED = {  // in the address, with their defaults
    runs: null, focus: "", time: null, x: "steps", scale: "auto", smoothing: 4, band: "interval", group: false,
    more: "", filter: "", sort: "-started", open: "",
  };
  const listeners = {};
  const view = (rlgen.view = { ...SHARED, runs: null, hover: "", end: 0, stops: [] });

  /* Call f(value) whenever `name` is set to another value. */
  view.on = function (name, f) {
    (listeners[name] = listeners[name] || new Set()).add(f);
    return f;
  };
  view.off = (name, f) => listeners[name] && listeners[name].delete(f);

  view.emit = function (name, value) {
    for (const f of [...(listeners[name] || [])]) {
      try {
        f(value);
      } catch (error) {
        console.error(error);
      }
    }
  };

  view.set = function (name, value) {
    if (JSON.stringify(view[name]) === JSON.stringify(value)) return;
    view[name] = value;
    view.emit(name, value);
    if (name in SHARED) write();
  };

  let pending = 0;
  function write() {
    clearTimeout(pending);
    pending = setTimeout(() => {
      const parts = [];
      for (const [name, initial] of Object.entries(SHARED)) {
        const value = view[name];
        if (value === null || value === initial || (name === "time" && view.following)) continue;
        const text = Array.isArray(value) ? value.map(encodeURIComponent).join(",") : encodeURIComponent(value);
        parts.push(`${name}=${text}`);
      }
      history.replaceState(null, "", `#${parts.join("&")}`);
    }, 150);
  }

  /* Take over the state in the address. An unknown name or value is ignored. */
  view.read = function () {
    for (const part of location.hash.slice(1).split("&")) {
      const at = part.indexOf("=");
      const name = part.slice(0, at);
      if (at < 1 || !Object.hasOwn(SHARED, name)) continue;
      try {
        const text = part.slice(at + 1);
        if (name === "runs") view.set(name, text ? text.split(",").map(decodeURIComponent) : []);
        else if (name === "time") view.follow(false, Number(text));
        else if (typeof SHARED[name] === "number") view.set(name, Math.min(50, Math.max(0, Number(text) || 0)));
        else if (typeof SHARED[name] === "boolean") view.set(name, text === "true");
        else view.set(name, decodeURIComponent(text));
      } catch {
        continue;  // a broken escape
      }
    }
  };

  /* The time follows the end of the training until it is set, and again once it is set to the end. */
  view.following = true;
  view.follow = function (following, time) {
    if (!following && !Number.isFinite(time)) return;
    view.following = following;
    view.set("time", following ? view.end : time);
  };

  /* The range of the common time, and the times at which there is something to show. */
  view.extent = function (end, stops) {
    view.end = end;
    view.stops = stops;
    if (view.following || view.time === null) view.set("time", end);
    view.emit("extent", end);
  };

  /* Theme: that of the system until the toggle is used. */
  const dark = matchMedia("(prefers-color-scheme: dark)");
  view.theme = () => document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  view.toggleTheme = function () {
    document.documentElement.dataset.theme = view.theme() === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("rlgen-theme", view.theme());
    } catch { /* a page without storage */ }
    view.emit("theme", view.theme());
  };
  dark.addEventListener("change", () => view.emit("theme", view.theme()));
  try {
    const kept = localStorage.getItem("rlgen-theme");
    if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  } catch { /* a page without storage */ }
  for (const event of ["beforeprint", "afterprint"])
    addEventListener(event, () => {
      document.documentElement.classList.toggle("printing", event === "beforeprint");
      view.emit("theme", view.theme());
    });
})(window.rlgen);
