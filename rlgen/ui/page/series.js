/* From the rows of logs to curves: seeds, horizontal axes, moving means, bands, running means of episodes. */
"use strict";
(function (rlgen) {
  const { runs } = rlgen;
  const GRID = 400;  // points of a mean over runs whose times differ
  const WINDOW = 100;  // episodes in a running mean, or a tenth of those of a short run
  const DOTS = 1500;  // single episodes drawn
  const SAMPLES = 200;  // of a bootstrap
  const FEW = 4;  // seeds from which on there is an interval
  const series = (rlgen.series = {});
  const cache = new Map();

  const seedsOf = (value) => (Array.isArray(value) ? value : [value]);
  const usable = (value) => typeof value === "number" && Number.isFinite(value);

  /* Computed once per version of the logs it depends on. */
  function cached(key, version, make) {
    const known = cache.get(key);
    if (known && known.version === version) return known.value;
    const value = make();
    cache.delete(key);
    cache.set(key, { version, value });
    if (cache.size > 500) cache.delete(cache.keys().next().value);
    return value;
  }

  /* A metric of a run: {time: [P], seeds: [S][P] with null for no value}; null where the run lacks it. */
  series.metric = function (name, metric) {
    const log = runs.log(name, metric === "rate" ? "timing" : "log");
    return cached(`metric ${name} ${metric}`, log.version, () => {
      const found = log.rows.filter((row) => row[metric] !== undefined && usable(row.time));
      if (!found.length) return null;
      const n = found.reduce((most, row) => Math.max(most, seedsOf(row[metric]).length), 1);
      const seeds = Array.from({ length: n }, (_, s) => found.map((row) => {
        const value = seedsOf(row[metric])[s];
        return usable(value) ? value : null;
      }));
      return seeds.some((values) => values.some((v) => v !== null)) ? { time: found.map((row) => row.time), seeds } : null;
    });
  };

  /* Single episodes and their running mean per seed: [{time, raw, mean}]; null where episodes are not logged. */
  series.episodes = function (name, metric) {
    const log = runs.log(name, "episodes");
    return cached(`episodes ${name} ${metric}`, log.version, () => {
      const bySeed = new Map();
      for (const row of log.rows) {
        if (!usable(row[metric]) || !usable(row.time)) continue;
        if (!bySeed.has(row.seed || 0)) bySeed.set(row.seed || 0, { time: [], raw: [] });
        const seed = bySeed.get(row.seed || 0);
        seed.time.push(row.time);
        seed.raw.push(row[metric]);
      }
      if (!bySeed.size) return null;
      return [...bySeed.values()].map(({ time, raw }) => {
        const window = Math.max(1, Math.min(WINDOW, Math.floor(raw.length / 10)));
        let sum = 0;
        const mean = raw.map((value, i) => {
          sum += value - (i >= window ? raw[i - window] : 0);
          return sum / Math.min(i + 1, window);
        });
        return { time, raw, mean, window };
      });
    });
  };

  /* Values at other times by linear interpolation; null outside of the range. */
  series.interpolate = function (time, values, at) {
    const known = time.map((t, i) => [t, values[i]]).filter(([, value]) => value !== null);
    let k = 0;
    return at.map((t) => {
      if (!known.length || t < known[0][0] || t > known[known.length - 1][0]) return null;
      while (k < known.length - 2 && known[k + 1][0] < t) k += 1;
      const [a, b] = [known[k], known[Math.min(k + 1, known.length - 1)]];
      return b[0] > a[0] ? a[1] + ((b[1] - a[1]) * (t - a[0])) / (b[0] - a[0]) : b[1];
    });
  };

  /* Times of a run on the horizontal axis: steps as they are, seconds by timing.jsonl, episodes by episodes.jsonl. */
  series.horizontal = function (name, axis, times) {
    if (axis === "steps") return times;
    const log = runs.log(name, axis === "seconds" ? "timing" : "episodes");
    const known = cached(`axis ${name} ${axis}`, log.version, () => {
      if (axis === "seconds") return { t: [0, ...log.rows.map((row) => row.time)], x: [0, ...log.rows.map((row) => row.seconds)] };
      const n = new Set(log.rows.map((row) => row.seed || 0)).size || 1;
      let count = 0;
      const counts = log.rows.map((_, i) => (count += (i < log.thinned ? log.every : 1) / n));
      return { t: [0, ...log.rows.map((row) => row.time)], x: [0, ...counts] };
    });
    if (known.t.length < 2) return null;
    const end = known.t.length - 1;
    return series.interpolate(known.t, known.x, times.map((t) => Math.min(t, known.t[end])));
  };

  /* The moving mean over a share (percent) of the points; narrower near the start, where curves are steep. */
  series.smooth = function (values, percent) {
    const half = Math.floor((values.length * percent) / 200);
    if (half < 1) return values;
    const sums = [0];
    const counts = [0];
    values.forEach((value, i) => {
      sums.push(sums[i] + (value ?? 0));
      counts.push(counts[i] + (value === null ? 0 : 1));
    });
    return values.map((value, i) => {
      const reach = Math.min(half, i, Math.max(1, values.length - 1 - i));
      const [a, b] = [Math.max(0, i - reach), Math.min(values.length, i + reach + 1)];
      return value === null || counts[b] === counts[a] ? value : (sums[b] - sums[a]) / (counts[b] - counts[a]);
    });
  };

  /* Indices of bootstrap samples of n seeds, always the same ones. */
  const draws = new Map();
  function samples(n) {
    if (!draws.has(n)) {
      let state = 12345;
      const next = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32);
      draws.set(n, Array.from({ length: SAMPLES }, () => Array.from({ length: n }, () => Math.floor(next() * n))));
    }
    return draws.get(n);
  }

  /* The 95 % interval of the mean of values by bootstrap. */
  function interval(values) {
    const n = values.length;
    const means = Float64Array.from(samples(n), (draw) => draw.reduce((sum, i) => sum + values[i], 0) / n).sort();
    return [means[Math.floor(0.025 * SAMPLES)], means[Math.ceil(0.975 * SAMPLES) - 1]];
  }

  /* Mean over seeds with a band: the 95 % bootstrap interval of the mean from four seeds on, else the range. */
  series.band = function (seeds, kind) {
    const points = seeds[0].length;
    const [mean, low, high] = [0, 0, 0].map(() => new Array(points).fill(null));
    for (let i = 0; i < points; i += 1) {
      const found = seeds.map((values) => values[i]).filter((value) => value !== null && value !== undefined);
      if (!found.length) continue;
      mean[i] = found.reduce((a, b) => a + b, 0) / found.length;
      [low[i], high[i]] = kind === "interval" && found.length >= FEW ? interval(found) : [Math.min(...found), Math.max(...found)];
    }
    return { mean, low, high };
  };

  /* Seeds of one or several runs on common times. */
  function common(parts) {
    const [first] = parts;
    if (parts.every((part) => part.x.length === first.x.length && part.x.every((x, i) => x === first.x[i])))
      return { x: first.x, seeds: parts.map((part) => part.values) };
    const end = Math.max(...parts.map((part) => part.x[part.x.length - 1]));
    const start = Math.min(...parts.map((part) => part.x[0]));
    const x = Array.from({ length: GRID }, (_, i) => start + ((end - start) * i) / (GRID - 1));
    return { x, seeds: parts.map((part) => series.interpolate(part.x, part.values, x)) };
  }

  /* One curve of a metric over the seeds of runs: {x, mean, low, high, raw, dots, n, evaluation}; null without values.
     options: {axis, smoothing, band, episodes: name of a metric that is logged per episode} */
  series.curve = function (members, metric, options) {
    const names = members.map((run) => run.name);
    const logs = names.flatMap((name) => ["log", "timing", "episodes"].map((kind) => runs.log(name, kind).version));
    return cached(`curve ${metric} ${JSON.stringify(names)} ${JSON.stringify(options)}`, logs.join(), () => curve(members, metric, options));
  };

  function curve(members, metric, options) {
    const parts = [];
    let dots = null;
    let window = 0;
    for (const run of members) {
      const single = options.episodes ? series.episodes(run.name, options.episodes) : null;
      if (single) {
        for (const seed of single) {
          const x = series.horizontal(run.name, options.axis, seed.time);
          if (!x) continue;
          parts.push({ x, values: seed.mean, raw: seed.raw });
          window = seed.window;
        }
        continue;
      }
      const found = series.metric(run.name, metric);
      const x = found && series.horizontal(run.name, options.axis, found.time);
      if (x) for (const values of found.seeds) parts.push({ x, values });
    }
    if (!parts.length) return null;
    if (parts.length === 1 && parts[0].raw) {
      const every = Math.ceil(parts[0].x.length / DOTS);
      const keep = (_, i) => i % every === 0;
      dots = { x: parts[0].x.filter(keep), y: parts[0].raw.filter(keep) };
    }
    const evaluation = metric.startsWith("eval_");
    const { x, seeds } = common(parts);
    const plain = evaluation || window ? 0 : options.smoothing;
    const smooth = plain ? seeds.map((values) => series.smooth(values, plain)) : seeds;
    const raw = plain && seeds.length === 1 && smooth[0] !== seeds[0] ? seeds[0] : null;
    const band = series.band(smooth, options.band);
    return { x, ...band, raw, dots, seeds: smooth, n: seeds.length, evaluation, window };
  }
})(window.rlgen);
