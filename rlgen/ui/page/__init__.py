"""The static files of the page, in the order in which they are loaded."""

STYLES = ("vendor/uplot.css", "style.css", "models.css", "agents.css")
SCRIPTS = (
    "vendor/uplot.js",
    "element.js",
    "source.js",
    "view.js",
    "runs.js",
    "draw.js",
    "series.js",
    "charts.js",
    "table.js",
    "clock.js",
    "curves.js",
    "pictures.js",
    "compare.js",
    "details.js",
    "panels.js",
    # a line for each file in panels/, and for what several of them use
    "subject.js",
    "panels/latent.js",
    "panels/pixels.js",
    "panels/opinion.js",
    "panels/nearest.js",
    "panels/value_map.js",
    "panels/backup.js",
    "values.js",
    "panels/thinking.js",
    "panels/takeover.js",
    "panels/whatif.js",
    "main.js",
)
